"""A node's description -> the command line that starts it."""

from __future__ import annotations

from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

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


def node_command(node: NodeSpec, executable: Path, parameters_folder: Path) -> tuple[str, ...]:
    """The command line of a node. Its own parameters are written to a file, where their types survive.

    Args:
        parameters_folder: gets ``<node>.yaml``.
    """
    own = parameters_folder / f"{node.name}.yaml"
    content = {f"{node.namespace}/{node.name}": {"ros__parameters": dict(node.parameters)}}
    own.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    command = [str(executable), "--ros-args", "-r", f"__node:={node.name}", "--log-level", node.log_level]
    if node.namespace:
        command += ["-r", f"__ns:={node.namespace}"]
    for source, target in node.remappings:
        command += ["-r", f"{source}:={target}"]
    for file in (*node.parameter_files, own):
        command += ["--params-file", str(file)]
    return tuple(command)
