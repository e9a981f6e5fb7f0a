"""Launch actions of a graph that carries out one task, simulated or on a robot. For launch files only.

When a node or the session ends, everything ends, with the session's exit code (``substep_bringup.exit_codes``).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import launch.logging
from launch.actions import RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from substep_bringup.child_process import describe_exit
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import simulation_graph
from substep_bringup.graph_config import GraphConfig
from substep_bringup.launching import ExitStatus, describe, end, follow_launch, interrupt, node_action
from substep_bringup.run_folder import RunFolder

FINISHING = "30"  # s for the session to finish video and summary, and for nodes to wait for that


def one_task(config_type: type[GraphConfig]) -> LaunchDescription:
    """Its arguments are the fields of the configuration class."""
    return describe(config_type, _start)


def _start(config: GraphConfig, status: ExitStatus) -> list[LaunchDescriptionEntity]:
    folder = RunFolder.create(Path(config.runs), asdict(config))
    _log_to(folder.logs)
    graph = simulation_graph(config, folder.path)
    # Ctrl-C goes to the session alone, which takes the nodes down in order
    options = {"prefix": follow_launch("KILL", from_terminal=False), "sigterm_timeout": FINISHING}
    common = graph.environment, folder.parameters
    nodes = {spec.name: node_action(spec, *common, **options) for spec in (*graph.drivers, *graph.nodes)}
    session = node_action(graph.session, *common, prefix=follow_launch("TERM"), sigterm_timeout=FINISHING)
    vital = [spec.name for spec in graph.nodes if spec.vital]
    watches = [_end_with(nodes[name], _node_watch(name, folder, status)) for name in vital]
    return [*watches, _end_with(session, _session_watch(nodes.values(), status)), *nodes.values(), session]


def _log_to(folder: Path) -> None:
    """The nodes' output goes here. Launch warns that its own log, already open, stays where it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        launch.logging.launch_config.log_dir = str(folder)


def _end_with(action: Node, on_exit) -> RegisterEventHandler:
    """To be registered before the action, so that launch's own handlers of the exit come first."""
    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=on_exit))


def _node_watch(name: str, folder: RunFolder, status: ExitStatus):
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if context.is_shutdown:
            return []
        failure = f"node {name} {describe_exit(event.returncode)}"
        folder.note_failure(failure)
        return end(status, ExitCode.NODE_DIED, failure)

    return on_exit


def _session_watch(nodes: Collection[Node], status: ExitStatus):
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        code = event.returncode if event.returncode >= 0 else ExitCode.NODE_DIED
        ended = end(status, code, f"the session {describe_exit(event.returncode)}")
        # after Ctrl-C launch takes it that the terminal has told the nodes
        return [*ended, *(interrupt(node) for node in nodes)] if context.is_shutdown else ended

    return on_exit
