"""Description of the running graph: nodes, parameters, environment; used by launch files and process runner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ament_index_python.packages import get_package_share_directory

from substep_bringup.graph_config import GraphConfig, NodeConfig, PlayerConfig, RealConfig
from substep_bringup.parameter_files import WILDCARDS, read_parameter_file

PACKAGE = "substep_bringup"
CLOCK = (("/clock", "clock"),)  # each namespace has a world of its own, whose bridge tells its time
DEFAULT_PARAMETERS = "simulation.yaml"
# Lifecycle nodes in the order in which they are activated: package and executable.
RECORDER = "recorder"
BAG = "bag"  # of a run, in its folder
EXECUTABLES = MappingProxyType(
    {
        "recorder": ("substep_bags", "recorder_node"),  # first, so that nothing is missed
        "bridge": ("substep_bridge", "bridge_node"),
        "policy": ("substep_policy", "policy_node"),
        "planner": ("substep_planner", "planner_node"),
    }
)


@dataclass(frozen=True)
class NodeSpec:
    """One node, the way any launcher needs it.

    Attributes:
        parameter_files: later files win over earlier ones.
        parameters: set by the arguments; they win over the files.
        vital: a run is over when it ends.
        namespace: absolute ("/robot1"), or "" for the root.
    """

    package: str
    executable: str
    name: str
    parameters: Mapping[str, Any]
    parameter_files: tuple[Path, ...] = ()
    namespace: str = ""
    log_level: str = "info"
    remappings: tuple[tuple[str, str], ...] = ()
    vital: bool = True

    def all_parameters(self) -> dict[str, Any]:
        """What it is told by files and arguments together."""
        told: dict[str, Any] = {}
        for file in self.parameter_files:
            for pattern, values in read_parameter_file(file).items():
                if pattern.rsplit("/", 1)[-1] in (self.name, *WILDCARDS):
                    told |= values
        return {**told, **self.parameters}


@dataclass(frozen=True)
class Graph:
    """Nodes under lifecycle, in the order in which they are activated, and the session that drives them."""

    nodes: tuple[NodeSpec, ...]
    session: NodeSpec
    drivers: tuple[NodeSpec, ...] = ()  # of a robot; they know nothing of the graph
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def everything(self) -> tuple[NodeSpec, ...]:
        return (*self.drivers, *self.nodes, self.session)


def simulation_graph(config: GraphConfig, run_folder: Path, default_parameters: Path | None = None) -> Graph:
    """Bridge, policy, planner and session of one run; of a real robot its driver too, where that is to be started.

    Args:
        run_folder: where the run leaves its video, summary and logs.
        default_parameters: parameter file below the user's own; None: the installed ``simulation.yaml``.
    """
    folder = run_folder.resolve()
    nodes = lifecycle_nodes(config, default_parameters, str(folder / BAG))
    told = {"run_folder": str(folder), "starts_graph": True, "nodes": [node.name for node in nodes]}
    parameters = {**config.parameters()["session"], **told}
    return Graph(
        nodes=nodes,
        session=_node(config, PACKAGE, "session", "session", parameters, default_parameters),
        drivers=_drivers(config) if isinstance(config, RealConfig) else (),
        environment=MappingProxyType({"ROS_LOG_DIR": str(folder / "logs" / "ros"), "PYTHONUNBUFFERED": "1"}),
    )


def _drivers(config: RealConfig) -> tuple[NodeSpec, ...]:
    if not config.driver:
        return ()
    package, executable, name = config.driver_parts()
    namespace = absolute_namespace(Path(config.robot).stem)
    told = {"use_sim_time": False}  # it has a clock of its own
    return (NodeSpec(package, executable, name, told, namespace=namespace, log_level=config.log_level, vital=False),)


def lifecycle_nodes(
    config: NodeConfig, default_parameters: Path | None = None, bag: str | None = None
) -> tuple[NodeSpec, ...]:
    """The nodes under lifecycle that these arguments are for, in the order in which they are activated.

    Args:
        bag: folder of the recorder's bag; None: as its own parameter has it.
    """
    parameters = config.parameters()
    if bag is not None and RECORDER in parameters:
        parameters[RECORDER]["bag"] = bag
    names = [name for name in EXECUTABLES if name in parameters]
    if RECORDER in names:
        others = (_node(config, *EXECUTABLES[name], name, parameters[name], default_parameters) for name in names)
        told = {node.name: node.all_parameters() for node in others if node.name != RECORDER}
        parameters[RECORDER]["parameters"] = json.dumps(told)
    return tuple(_node(config, *EXECUTABLES[name], name, parameters[name], default_parameters) for name in names)


def lifecycle_manager(config: NodeConfig, name: str) -> NodeSpec:
    """The node that brings these up and keeps them up; its name differs from that of other machines' managers."""
    nodes = [spec.name for spec in lifecycle_nodes(config)]
    return _node(config, PACKAGE, "lifecycle_manager", name, {"nodes": nodes}, None)


def player(config: PlayerConfig) -> NodeSpec:
    """The node that plays a bag."""
    return _node(config, "substep_bags", "player_node", "player", config.parameters()["player"], None)


def viewer(config: NodeConfig) -> NodeSpec:
    """RViz, which looks for tf2's topics in the root unless it is told otherwise."""
    return NodeSpec(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        parameters=MappingProxyType(config.shared),
        namespace=absolute_namespace(config.namespace),
        log_level=config.log_level,
        remappings=(*CLOCK, ("/tf", "tf"), ("/tf_static", "tf_static")),
    )


def absolute_namespace(namespace: str) -> str:
    """Absolute: "robot1", "/robot1" and "robot1/" are "/robot1"; the root is ""."""
    name = namespace.strip("/")
    return f"/{name}" if name else ""


def default_parameter_file() -> Path:
    return Path(get_package_share_directory(PACKAGE), "params", DEFAULT_PARAMETERS)


def _node(
    config: NodeConfig,
    package: str,
    executable: str,
    name: str,
    parameters: Mapping[str, Any],
    default_parameters: Path | None,
) -> NodeSpec:
    files = (default_parameters or default_parameter_file(), config.user_file)
    return NodeSpec(
        package=package,
        executable=executable,
        name=name,
        parameters=MappingProxyType({**config.shared, **parameters}),
        parameter_files=tuple(file for file in files if file is not None),
        namespace=absolute_namespace(config.namespace),
        log_level=config.log_level,
        remappings=CLOCK,
        vital=name != RECORDER,
    )
