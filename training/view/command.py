"""Shows a bag or a running graph: as a file, or to a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from substep_bags.graph_bag import GraphBag
from substep_bags.reader import Bag
from substep_core.contract import RobotContract
from substep_core.ros.node_main import run_node
from training.view.drawing import Drawing
from training.view.entries import Entry
from training.view.live import ViewerNode
from training.view.sources import entries
from training.view.viewer import RerunRecording

SUFFIX = ".rrd"
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
        recording = _begun(str(path), drawing, out, port, said)
        try:
            recording.show(entries(bag, drawing))
            if out is None:
                said("all of it is there; Ctrl-C ends this")
                threading.Event().wait()
        finally:
            recording.close()


def view_live(namespace: str | None, out: Path | None, port: int, said: Say) -> int:
    """Show a running graph until this process is stopped. Arguments and errors as of ``view_bag``; -> exit code."""
    begun: list[RerunRecording] = []

    def begin(robot: RobotContract) -> Callable[[Iterable[Entry]], None]:
        begun.append(_begun(robot.name, Drawing(robot), out, port, said))
        return begun[0].show

    try:
        return run_node(lambda: ViewerNode(begin, namespace=namespace))
    finally:
        for recording in begun:
            recording.close()


def _begun(name: str, drawing: Drawing, out: Path | None, port: int, said: Say) -> RerunRecording:
    recording = RerunRecording(name, drawing.robot.camera_names, drawing.plots)
    if out is None:
        said(recording.serve(port))
    else:
        recording.save(out)
    return recording
