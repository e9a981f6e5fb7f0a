"""A node's description -> the process that it is started as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from substep_bringup.child_process import ProcessSpec
from substep_bringup.graph import NodeSpec


class ExecutableNotFound(LookupError):
    """A node's executable is not installed; the message says what to do."""


def find_executable(package: str, executable: str) -> Path:
    """Where the workspace has installed ``ros2 run package executable``.

    Raises:
        ExecutableNotFound: the package or its executable is not there.
    """
    hint = "build the workspace with './substep setup', or 'colcon build' in ros2_ws and source install/setup.bash"
    try:
        path = Path(get_package_prefix(package), "lib", package, executable)
    except PackageNotFoundError as error:
        raise ExecutableNotFound(f"ROS package {package!r} is not installed: {hint}") from error
    if not path.is_file():
        raise ExecutableNotFound(f"ROS package {package!r} has no executable {executable!r} ({path}): {hint}")
    return path


def node_process(
    node: NodeSpec, parameters_folder: Path, environment: Mapping[str, str], log: Path | None = None
) -> ProcessSpec:
    """As the workspace has it installed.

    Raises:
        ExecutableNotFound: it has not.
    """
    executable = find_executable(node.package, node.executable)
    return ProcessSpec(node.name, node_command(node, executable, parameters_folder), log, environment, node.vital)


def node_command(node: NodeSpec, executable: Path, parameters_folder: Path) -> tuple[str, ...]:
    """The command line of a node.

    Args:
        parameters_folder: gets ``<node>.yaml``.
    """
    command = [str(executable), "--ros-args", "-r", f"__node:={node.name}", "--log-level", node.log_level]
    if node.namespace:
        command += ["-r", f"__ns:={node.namespace}"]
    for source, target in node.remappings:
        command += ["-r", f"{source}:={target}"]
    for file in (*node.parameter_files, write_parameters(node, parameters_folder)):
        command += ["--params-file", str(file)]
    return tuple(command)


def write_parameters(node: NodeSpec, folder: Path) -> Path:
    """The node's own parameters as ``<node>.yaml``, where their types survive.

    The section is for any node, as only this one reads the file: whoever includes a launch file may have put the node
    into another namespace.
    """
    file = folder / f"{node.name}.yaml"
    content = {"/**": {"ros__parameters": dict(node.parameters)}}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file
