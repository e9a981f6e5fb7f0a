"""Shows a bag or a running graph: as a file, or to a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from substep_bags.graph_bag import GraphBag
from substep_bags.reader import Bag
from substep_core.contract import RobotContract
from substep_core.ros import topics
from substep_core.ros.node_main import run_node
from training.view.drawing import Drawing
from training.view.entries import Entry
from training.view.live import ViewerNode
from training.view.sources import entries
from training.view.viewer import RerunRecording

Say = Callable[[str], Any]


def view_bag(path: Path, namespace: str | None, out: Path | None, port: int, said: Say) -> None:
    """Show a bag. out: the file that is written; None: a browser is served until this process is stopped.

    Raises:
        BagError: the bag cannot be read, or is of no graph.
        OSError: the file cannot be written, or the port is taken.
        MissingViewer: rerun-sdk is not installed.
    """
    with Bag(path) as opened:
        bag = GraphBag(opened, namespace)
        drawing = Drawing(bag.contract)
        with _recording(out, port, said) as recording:
            recording.begin(str(path), drawing.robot.camera_names, drawing.plots)
            recording.show(entries(bag, drawing))
            if out is None:
                said("all of it is there; Ctrl-C ends this")
                threading.Event().wait()


def view_live(namespace: str | None, out: Path | None, port: int, said: Say) -> int:
    """Show a running graph until this process is stopped. Arguments and errors as of ``view_bag``; -> exit code."""
    with _recording(out, port, said) as recording:

        def begin(robot: RobotContract) -> Callable[[Iterable[Entry]], None]:
            recording.begin(robot.name, robot.camera_names, Drawing(robot).plots)
            said(f"shows {robot.name}; Ctrl-C ends this")
            return recording.show

        def create() -> ViewerNode:
            node = ViewerNode(begin, namespace=namespace)
            contract = node.resolve_topic_name(topics.ROBOT_CONTRACT.name)
            said(f"waits for a graph that says its {contract} in ROS domain {node.context.get_domain_id()}")
            return node

        return run_node(create)


def _recording(out: Path | None, port: int, said: Say) -> RerunRecording:
    recording = RerunRecording(out, port)
    if recording.page is not None:
        said(recording.page)
    return recording
