"""Launch actions from the graph's description. For launch files only: it needs launch and launch_ros.

``ros2 launch`` is a program of the system's Python, so nothing here nor in what it imports needs more than ROS has.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import TypeVar

from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, Shutdown
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from substep_bringup.arguments import config_from_texts, to_text
from substep_bringup.commands import write_parameters
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import NodeSpec, lifecycle_manager, lifecycle_nodes
from substep_bringup.graph_config import NodeConfig
from substep_core.printable import printable_lines

RESPAWN_DELAY = 2.0  # s from a node's end to its next start
OUTPUT = {"both": {"screen", "own_log"}}
Config = TypeVar("Config", bound=NodeConfig)
Start = Callable[[Config, "ExitStatus"], list[LaunchDescriptionEntity]]


class ExitStatus:
    """What ``ros2 launch`` ends with, in place of the 0 and 1 that launch itself has.

    Attributes:
        code: 0: launch's own.
    """

    def __init__(self) -> None:
        self.code = 0
        atexit.register(self._exit)

    def _exit(self) -> None:
        if self.code:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def describe(config_type: type[Config], start: Start) -> LaunchDescription:
    """A launch description whose arguments are the fields of a configuration class.

    Args:
        start: makes the actions. What it refuses with a ValueError or an OSError ends launch with that message.
    """

    def begin(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        status = ExitStatus()
        texts = {entry.name: LaunchConfiguration(entry.name).perform(context) for entry in fields(config_type)}
        try:
            return start(config_from_texts(config_type, texts), status)
        except (ValueError, OSError) as error:
            return end(status, ExitCode.BAD_ARGUMENTS, str(error))

    return LaunchDescription([*map(_declare, fields(config_type)), OpaqueFunction(function=begin)])


def end(status: ExitStatus, code: int, why: str) -> list[LaunchDescriptionEntity]:
    """End launch, and say why."""
    status.code = status.code or code
    return [LogInfo(msg=printable_lines(why)), Shutdown(reason=why)]


def node_action(
    spec: NodeSpec, environment: Mapping[str, str], parameters_folder: Path | None = None, **options
) -> Node:
    """The process of a node.

    Args:
        parameters_folder: gets ``<node>.yaml``, which is read whenever the node is started; None: a temporary one,
            which is removed when launch ends.
        options: of launch's.
    """
    folder = parameters_folder or _temporary_folder()
    files = (*spec.parameter_files, write_parameters(spec, folder))
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        exec_name=spec.name,
        namespace=spec.namespace or None,
        parameters=[str(file) for file in files],
        remappings=list(spec.remappings),
        ros_arguments=["--log-level", spec.log_level],
        additional_env=dict(environment),
        output=OUTPUT,
        **options,
    )


def _temporary_folder() -> Path:
    """Removed when launch ends; a ``TemporaryDirectory`` may be only after ``ExitStatus``, which ends the process."""
    folder = tempfile.mkdtemp(prefix="substep_parameters_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def follow_launch(signal_name: str, *, from_terminal: bool = True) -> str | None:
    """What to start a process with, so that it gets a signal when launch ends.

    Launch leaves its processes behind when it is ended by SIGTERM or SIGKILL.

    Args:
        from_terminal: it gets the terminal's signals too, such as Ctrl-C.
    """
    if not shutil.which("setpriv"):
        return None
    session = "" if from_terminal else "setsid "
    return f"{session}setpriv --pdeathsig {signal_name} --"


def interrupt(node: Node) -> EmitEvent:
    """SIGINT to its process, if that is there."""
    return EmitEvent(event=SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(node)))


def kept_up(config_type: type[NodeConfig], manager: str) -> LaunchDescription:
    """Nodes under lifecycle that are started again when they end, and the manager that brings them up."""

    def start(config: NodeConfig, status: ExitStatus) -> list[LaunchDescriptionEntity]:
        specs = (*lifecycle_nodes(config), lifecycle_manager(config, manager))
        options = {"prefix": follow_launch("KILL"), "respawn": True, "respawn_delay": RESPAWN_DELAY}
        return [node_action(spec, {"PYTHONUNBUFFERED": "1"}, **options) for spec in specs]

    return describe(config_type, start)


def _declare(entry: Field) -> DeclareLaunchArgument:
    choices = {"choices": list(entry.metadata["choices"])} if entry.metadata["choices"] else {}
    description = entry.metadata["help"]
    return DeclareLaunchArgument(entry.name, default_value=to_text(entry.default), description=description, **choices)
