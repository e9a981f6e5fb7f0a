"""``ros2 launch substep_bringup sim.launch.py``: the graph of ``substep_bringup.graph`` as launch actions.

When a node or the session ends, everything ends. The exit status is 0 only if the session's is.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import asdict
from pathlib import Path

import launch.logging
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from substep_bringup.arguments import Argument, arguments_of, config_from_texts
from substep_bringup.child_process import describe_exit
from substep_bringup.graph import Graph, GraphConfig, NodeSpec, simulation_graph
from substep_bringup.run_folder import RunFolder

FINISHING = "30"  # s for the session to finish video and summary before launch becomes impatient
OUTPUT = {"both": {"screen", "own_log"}}


def generate_launch_description() -> LaunchDescription:
    declared = [_declare(argument) for argument in arguments_of(GraphConfig)]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _declare(argument: Argument) -> DeclareLaunchArgument:
    choices = {"choices": list(argument.choices)} if argument.choices else {}
    return DeclareLaunchArgument(argument.name, default_value=argument.default, description=argument.help, **choices)


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    names = [argument.name for argument in arguments_of(GraphConfig)]
    config = config_from_texts(GraphConfig, {name: LaunchConfiguration(name).perform(context) for name in names})
    folder = RunFolder.create(Path(config.runs), asdict(config))
    _log_to(folder.logs)
    graph = simulation_graph(config, folder.path)
    nodes = {spec.name: _action(spec, graph, prefix=_follow_launch("KILL")) for spec in graph.nodes}
    session = _action(graph.session, graph, prefix=_follow_launch("TERM"), sigterm_timeout=FINISHING)
    watches = [_end_with(action, _node_watch(name, folder)) for name, action in nodes.items()]
    return [*watches, _end_with(session, _end_with_session), *nodes.values(), session]


def _log_to(folder: Path) -> None:
    """The nodes' output goes here. Launch warns that its own log, already open, stays where it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        launch.logging.launch_config.log_dir = str(folder)


def _action(spec: NodeSpec, graph: Graph, **options) -> Node:
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        exec_name=spec.name,
        namespace=spec.namespace or None,
        parameters=[*map(str, spec.parameter_files), dict(spec.parameters)],
        remappings=list(spec.remappings),
        ros_arguments=["--log-level", spec.log_level],
        additional_env=dict(graph.environment),
        output=OUTPUT,
        **options,
    )


def _follow_launch(signal_name: str) -> str | None:
    """Launch leaves its processes behind when it is ended by SIGTERM or SIGKILL; this sends them a signal then."""
    return f"setpriv --pdeathsig {signal_name} --" if shutil.which("setpriv") else None


def _end_with(action: Node, on_exit) -> RegisterEventHandler:
    """To be registered before the action, so that launch's own handlers of the exit come first."""
    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=on_exit))


def _node_watch(name: str, folder: RunFolder):
    def end(event: ProcessExited, context: LaunchContext) -> None:
        if context.is_shutdown:
            return
        failure = f"node {name} {describe_exit(event.returncode)}"
        folder.note_failure(failure)
        raise RuntimeError(failure)  # what makes launch shut down and return an error

    return end


def _end_with_session(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    if event.returncode != 0:
        raise RuntimeError(f"the session {describe_exit(event.returncode)}")
    return None if context.is_shutdown else Shutdown(reason="the session is over")
