"""The running graph, described once. The launch file and the process runner both start what stands here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ament_index_python.packages import get_package_share_directory

from libero_bridge.libero_setup import EMBEDDED_ASSETS, LIBERO_ASSETS
from libero_bridge.placement import Placement
from libero_bridge.tasks import SUITES, load_task, task_names
from substep_bringup.arguments import (
    ArgumentError,
    argument,
    check_choices,
    read_bool,
    read_integer,
    read_names,
    read_size,
    show_bool,
    show_names,
    show_size,
)
from substep_bringup.parameter_files import ParameterFileError, check_parameter_file
from substep_policy.registry import HUB_ID_PATTERN, POLICIES

PACKAGE = "substep_bringup"
DEFAULT_PARAMETERS = "simulation.yaml"
CLOCKS = ("lockstep", "realtime")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
PLACEMENTS = tuple(placement.value for placement in Placement)
NAMESPACE_PATTERN = re.compile(r"(/?[A-Za-z]\w*)*/?", re.ASCII)
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class GraphConfig:
    """Everything a run can be told from outside. Each field is a command-line and a launch argument.

    Raises:
        ArgumentError: a value that no node would accept; the message names it and what there is.
    """

    suite: str = argument("libero_10", "LIBERO task suite", choices=SUITES)
    task: int = argument(6, "task within the suite, from 0", parse=read_integer)
    task_text: str = argument("", "what the planner is told instead of the task's own instruction")
    policy: str = argument("compact", "a policy's name, the folder of a checkpoint, or a hub id")
    clock: str = argument("lockstep", "lockstep: the world waits for the policy; realtime: it does not", choices=CLOCKS)
    placement: str = argument(
        Placement.BENCHMARK.value,
        "where objects start: LIBERO's initial states, or widened regions",
        choices=PLACEMENTS,
    )
    init_state: int = argument(0, "which benchmark initial state (0 to 49)", parse=read_integer)
    seed: int = argument(0, "of everything that is drawn at random", parse=read_integer)
    horizon: int = argument(1000, "control steps (50 ms each) after which the episode is over", parse=read_integer)
    assets: str = argument(
        EMBEDDED_ASSETS,
        f"meshes and textures: {EMBEDDED_ASSETS} (the project's own), {LIBERO_ASSETS} (LIBERO's own), or a folder",
    )
    cameras: tuple[str, ...] = argument(
        ("agentview", "eye_in_hand"), "cameras, separated by commas", parse=read_names, show=show_names
    )
    image_size: tuple[int, int] = argument(
        (128, 128), "of each camera, HEIGHTxWIDTH in pixels", parse=read_size, show=show_size
    )
    namespace: str = argument("", "namespace of the whole graph")
    params_file: str = argument("", "ROS parameter file for the nodes, over the defaults")
    log_level: str = argument("info", "of every node", choices=LOG_LEVELS)
    runs: str = argument("runs", "folder in which the run leaves its own folder")
    video: bool = argument(True, "record a video of all cameras", parse=read_bool, show=show_bool)

    def __post_init__(self) -> None:
        check_choices(self)
        _check_task(self)
        _check_policy(self.policy)
        _check_range("init_state", self.init_state, 0, 49)
        _check_range("seed", self.seed, 0, LARGEST_SEED)
        _check_range("horizon", self.horizon, 1, 100_000)
        for pixels in self.image_size:
            _check_range("image_size", pixels, 16, 2048)
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ArgumentError(f"cameras are {show_names(self.cameras)!r}, expected one or more different names")
        if not NAMESPACE_PATTERN.fullmatch(self.namespace):
            raise ArgumentError(f"namespace is {self.namespace!r}, expected names joined by '/', e.g. robot1")
        if self.params_file:
            _check_user_file(self)


@dataclass(frozen=True)
class NodeSpec:
    """One node, the way any launcher needs it.

    Attributes:
        parameter_files: later files win over earlier ones.
        parameters: set by this run's arguments; they win over the files.
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


@dataclass(frozen=True)
class Graph:
    """Nodes under lifecycle, in the order in which they are activated, and the session that drives them."""

    nodes: tuple[NodeSpec, ...]
    session: NodeSpec
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def everything(self) -> tuple[NodeSpec, ...]:
        return (*self.nodes, self.session)


def simulation_graph(config: GraphConfig, run_folder: Path, default_parameters: Path | None = None) -> Graph:
    """Bridge to LIBERO, policy, planner and session of one run.

    Args:
        run_folder: where the run leaves its video, summary and logs.
        default_parameters: parameter file below the user's own; None: the installed ``simulation.yaml``.
    """
    parameters = _parameters(config, run_folder.resolve())
    files = [default_parameters or default_parameter_file()]
    if config.params_file:
        files.append(_user_file(config))

    def node(package: str, executable: str, name: str) -> NodeSpec:
        return NodeSpec(
            package=package,
            executable=executable,
            name=name,
            parameters=MappingProxyType(parameters[name]),
            parameter_files=tuple(files),
            namespace=absolute_namespace(config.namespace),
            log_level=config.log_level,
        )

    return Graph(
        nodes=(
            node("libero_bridge", "bridge_node", "bridge"),
            node("substep_policy", "policy_node", "policy"),
            node("substep_planner", "planner_node", "planner"),
        ),
        session=node(PACKAGE, "session", "session"),
        environment=_environment(run_folder.resolve()),
    )


def absolute_namespace(namespace: str) -> str:
    """Absolute: "robot1", "/robot1" and "robot1/" are "/robot1"; the root is ""."""
    name = namespace.strip("/")
    return f"/{name}" if name else ""


def default_parameter_file() -> Path:
    return Path(get_package_share_directory(PACKAGE), "params", DEFAULT_PARAMETERS)


def _parameters(config: GraphConfig, run_folder: Path) -> dict[str, dict[str, Any]]:
    """Node -> the parameters that follow from the arguments."""
    cameras = list(config.cameras)
    return {
        "bridge": {
            "suite": config.suite,
            "task_index": config.task,
            "placement": config.placement,
            "init_state": config.init_state,
            "seed": config.seed,
            "horizon": config.horizon,
            "assets": config.assets,
            "cameras": cameras,
            "image_height": config.image_size[0],
            "image_width": config.image_size[1],
            "clock": config.clock,
        },
        "policy": {"policy": config.policy, "seed": config.seed, "cameras": cameras},
        "planner": {},
        "session": {
            "task_text": config.task_text,
            "placement": config.placement,
            "init_state": config.init_state,
            "seed": config.seed,
            "cameras": cameras,
            "video": config.video,
            "run_folder": str(run_folder),
        },
    }


def _environment(run_folder: Path) -> Mapping[str, str]:
    return MappingProxyType({"ROS_LOG_DIR": str(run_folder / "logs" / "ros"), "PYTHONUNBUFFERED": "1"})


def _user_file(config: GraphConfig) -> Path:
    return Path(config.params_file).expanduser().resolve()


def _check_user_file(config: GraphConfig) -> None:
    try:
        check_parameter_file(_user_file(config), _parameters(config, Path()))
    except ParameterFileError as error:
        raise ArgumentError(f"params_file: {error}") from error


def _check_task(config: GraphConfig) -> None:
    count = len(task_names(config.suite))
    if not 0 <= config.task < count:
        known = (f"  {index:2d}  {load_task(config.suite, index).instruction}" for index in range(count))
        raise ArgumentError(
            "\n".join([f"task {config.task} is not one of {config.suite}, expected one of these:", *known])
        )


def _check_policy(policy: str) -> None:
    known = policy in POLICIES.named or Path(policy).expanduser().is_dir() or HUB_ID_PATTERN.fullmatch(policy)
    if not known:
        raise ArgumentError(
            f"unknown policy {policy!r}: expected one of {', '.join(sorted(POLICIES.named))}, the folder of a "
            "checkpoint (there is none of that name), or a hub id such as organisation/model"
        )


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ArgumentError(f"{name} is {value}, expected {lowest} to {highest}")
