"""What the nodes of a graph, and a run of one task, can be told from outside.

Each class is a set of command-line and of launch arguments. ROS launch reads them in the system's Python, where
nothing is installed but ROS: names of tasks, policies and worlds are looked up by the nodes, and by
``substep_bringup.checked_config`` where what the nodes have installed can be seen.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory

from substep_bringup.arguments import ArgumentError, argument, check_arguments
from substep_bringup.parameter_files import ParameterFileError, check_parameter_file
from substep_core.episode import Placement
from substep_core.tasks import EMBEDDED_ASSETS, LIBERO_ASSETS, TASKS_FROM_HELP

# of all graphs: a parameter file may be for several of them
NODES = ("recorder", "bridge", "policy", "planner", "session", "player")
CLOCKS = ("lockstep", "realtime")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
PLACEMENTS = tuple(placement.value for placement in Placement)
NAMESPACE_PATTERN = re.compile(r"(/?[A-Za-z]\w*)*/?", re.ASCII)
LARGEST_SEED = 2**31 - 1
LARGEST_INDEX = 999_999
LONGEST_TEXT = 2000  # characters
OWN_WORDS = "policy"  # the decomposer that asks the policy
SHIPPED_WORLD = "libero"  # and task source: what is run where nobody says otherwise
SEED_HELP = "of everything that is drawn at random"


@dataclass(frozen=True)
class NodeConfig:
    """What every node is told.

    Raises:
        ArgumentError: a value that no node would accept; the message names it and what would be right.
    """

    namespace: str = argument("", "namespace of the nodes")
    params_file: str = argument("", "ROS parameter file for the nodes, over the defaults")
    log_level: str = argument("info", "of every node", LOG_LEVELS)
    use_sim_time: bool = argument(
        True, "go by the time of a simulated world, as its bridge tells it; false on hardware"
    )

    def __post_init__(self) -> None:
        check_arguments(self)
        self._check()
        if (file := self.user_file) is not None:
            try:
                owned = {name: {**self.shared, **values} for name, values in self.parameters().items()}
                check_parameter_file(file, owned, NODES)
            except ParameterFileError as error:
                raise ArgumentError(f"params_file: {error}") from error

    @property
    def user_file(self) -> Path | None:
        """The parameter file that was given."""
        return Path(self.params_file).expanduser().resolve() if self.params_file else None

    @property
    def shared(self) -> dict[str, Any]:
        """The parameters of every node that follow from the arguments."""
        return {"use_sim_time": self.use_sim_time}

    def parameters(self) -> dict[str, dict[str, Any]]:
        """Node -> its own ones, for each node that these are the arguments of."""
        return {}

    def _check(self) -> None:
        """What types and choices do not say; raises ArgumentError."""
        if not NAMESPACE_PATTERN.fullmatch(self.namespace):
            raise ArgumentError(f"namespace is {self.namespace!r}, expected names joined by '/', e.g. robot1")


@dataclass(frozen=True)
class ViewConfig(NodeConfig):
    """What RViz is told."""

    config: str = argument("", "RViz file, as ./substep robot layout writes one for a robot; empty: LIBERO's Panda")

    @property
    def file(self) -> Path:
        shipped = Path(get_package_share_directory("substep_bringup"), "rviz", "substep.rviz")
        return Path(self.config).expanduser().resolve() if self.config else shipped

    def _check(self) -> None:
        super()._check()
        if self.config and not self.file.is_file():
            raise ArgumentError(f"config is {self.config!r}: there is no such file")


@dataclass(frozen=True)
class PlannerConfig(NodeConfig):
    """What the planner is told; whatever else it takes is in parameter files."""

    decomposers: tuple[str, ...] = argument(
        (), "who is asked for a plan, in this order; none: those of the parameter files, or the planner's own"
    )

    yes: bool = argument(False, "where it is not sure what a task means, take the reading that is suggested")

    def parameters(self) -> dict[str, dict[str, Any]]:
        planner = {"decomposers": list(self.decomposers)} if self.decomposers else {}
        planner |= {"take_suggestions": True} if self.yes else {}
        return {**super().parameters(), "planner": planner}

    def _check(self) -> None:
        super()._check()
        if len(set(self.decomposers)) != len(self.decomposers):
            raise ArgumentError(f"decomposers are {', '.join(self.decomposers)}: expected different names")


@dataclass(frozen=True)
class PolicyConfig(NodeConfig):
    """What the policy is told."""

    policy: str = argument("compact", "a policy's name, the folder of a checkpoint, or a hub id")
    dataset: str = argument(
        "", "whose statistics the checkpoint works with, by name; empty: the suite's, or those of the only data set"
    )
    seed: int = argument(0, SEED_HELP)

    def parameters(self) -> dict[str, dict[str, Any]]:
        policy = {"policy": self.policy, "seed": self.seed, **({"dataset": self.dataset} if self.dataset else {})}
        return {**super().parameters(), "policy": policy}

    def _check(self) -> None:
        super()._check()
        check_range("seed", self.seed, 0, LARGEST_SEED)


@dataclass(frozen=True)
class BridgeConfig(NodeConfig):
    """What the bridge and its world are told."""

    tasks_from: str = argument(SHIPPED_WORLD, TASKS_FROM_HELP)
    suite: str = argument("libero_10", "task suite, e.g. libero_spatial")
    task: int = argument(6, "task within the suite, from 0")
    world: str = argument(SHIPPED_WORLD, "what the bridge drives: libero, or a world that an installed package adds")
    clock: str = argument("lockstep", "whether the world waits for the policy", CLOCKS)
    placement: str = argument(
        Placement.BENCHMARK.value, "where objects start, in the task's initial states or in widened regions", PLACEMENTS
    )
    init_state: int = argument(0, "which of the task's initial states (LIBERO's have 0 to 49)")
    seed: int = argument(0, SEED_HELP)
    horizon: int = argument(1000, "control steps under a task after which the episode is over; 0: none")
    assets: str = argument(
        EMBEDDED_ASSETS,
        f"meshes and textures: {EMBEDDED_ASSETS} (the project's own), {LIBERO_ASSETS} (LIBERO's own), or a folder",
    )
    cameras: tuple[str, ...] = argument((), "names of the cameras; none: all of the robot's")
    image_size: tuple[int, int] | None = argument(
        None, "height and width of each camera's images in pixels; none: as the robot has them"
    )

    def parameters(self) -> dict[str, dict[str, Any]]:
        bridge = {
            "world": self.world,
            "tasks_from": self.tasks_from,
            "suite": self.suite,
            "task_index": self.task,
            "placement": self.placement,
            "init_state": self.init_state,
            "seed": self.seed,
            "horizon": self.horizon,
            "assets": self.assets,
            "clock": self.clock,
            **self._camera_names(),
            **dict(zip(("image_height", "image_width"), self.image_size or (), strict=False)),
        }
        return {"bridge": bridge, **super().parameters()}

    def _camera_names(self) -> dict[str, list[str]]:
        """Left out where it is all of the robot's."""
        return {"cameras": list(self.cameras)} if self.cameras else {}

    def _check(self) -> None:
        super()._check()
        check_range("task", self.task, 0, LARGEST_INDEX)
        check_range("init_state", self.init_state, 0, LARGEST_INDEX)
        check_range("seed", self.seed, 0, LARGEST_SEED)
        check_range("horizon", self.horizon, 0, 100_000)
        if self.image_size is not None:
            _check_size(self.image_size)
        if len(set(self.cameras)) != len(self.cameras):
            raise ArgumentError(f"cameras are {', '.join(self.cameras)}: expected different names")


@dataclass(frozen=True)
class StackConfig(BridgeConfig, PolicyConfig, PlannerConfig):
    """What bridge, policy and planner are told, and whether a recorder is there too."""

    record: bool = argument(False, "record every topic into a bag")

    def parameters(self) -> dict[str, dict[str, Any]]:
        recorder = {"policy": self.policy, "arguments": json.dumps(asdict(self))}
        found = {**({"recorder": recorder} if self.record else {}), **super().parameters()}
        if OWN_WORDS in self.decomposers:
            found["policy"]["must_name_substeps"] = True
        return found


@dataclass(frozen=True)
class GraphConfig(StackConfig):
    """Everything a run of one task can be told."""

    task_text: str = argument("", "what the planner is told instead of the task's own instruction")
    runs: str = argument("runs", "folder in which the run leaves its own folder")
    video: bool = argument(True, "record a video of all cameras")

    def parameters(self) -> dict[str, dict[str, Any]]:
        session = {
            "task_text": self.task_text,
            "placement": self.placement,
            "init_state": self.init_state,
            "seed": self.seed,
            **self._camera_names(),
            "video": self.video,
        }
        found = super().parameters()
        found["policy"]["suite"] = self.suite  # a stack that is kept up may be told of other suites later
        return {**found, "session": session}

    def _check(self) -> None:
        super()._check()
        _check_text(self.task_text)


@dataclass(frozen=True)
class RealConfig(GraphConfig):
    """Everything a run of one task on a real robot can be told. To policy and planner it is a run like any other."""

    robot: str = argument("", "name of an arm, or the path of its parameter file")
    arm: bool = argument(False, "arm the robot for this run; else it waits until somebody has armed it")
    driver: str = argument(
        "", "a driver to start too, in the robot's namespace: package/executable/node, as substep_standin/driver_node/x"
    )
    planner_silence: float = argument(2.5, "s without a sign of the planner after which the robot holds")
    world: str = argument("arm", "what the bridge drives: an arm with ROS drivers")
    clock: str = argument("realtime", "a robot does not wait", ("realtime",))
    use_sim_time: bool = argument(False, "go by the time of a simulated world, which there is none of")
    suite: str = argument("", "task suite whose task is laid out in front of the robot; empty: see task_text")
    task: int = argument(0, "task within the suite, from 0")
    horizon: int = argument(0, "control steps under a task after which the episode is over; 0: none")

    def parameters(self) -> dict[str, dict[str, Any]]:
        found = super().parameters()
        found["bridge"] |= {"robot": self.robot, "planner_silence": self.planner_silence}
        found["session"] |= {"waits_for_robot": True, "arms_robot": self.arm}
        return found

    def driver_parts(self) -> tuple[str, ...]:
        """Package, executable and node name of the driver that is to be started; empty: none."""
        return tuple(self.driver.split("/")) if self.driver else ()

    def _check(self) -> None:
        super()._check()
        if not self.robot:
            raise ArgumentError("robot is empty, expected the name of an arm, or the path of its parameter file")
        if self.driver and len(self.driver_parts()) != 3:
            raise ArgumentError(f"driver is {self.driver!r}, expected package/executable/node")
        if not (self.suite or self.task_text):
            raise ArgumentError("task_text is empty, and no suite is given: expected what the robot is to do")


@dataclass(frozen=True)
class PlayerConfig(NodeConfig):
    """What the player of a bag is told."""

    use_sim_time: bool = argument(False, "whether the player itself goes by simulated time; it tells it in any case")
    bag: str = argument("", "folder of the bag")
    rate: float = argument(1.0, "of wall time: 2.0 is twice as fast as it was recorded")
    start: float = argument(0.0, "s after the bag's beginning to begin at")
    loop: bool = argument(False, "begin again when the end is reached")
    topics: tuple[str, ...] = argument((), "patterns of what is played, e.g. /camera/*; none: everything")
    exclude: tuple[str, ...] = argument((), "patterns of what is not played")

    def parameters(self) -> dict[str, dict[str, Any]]:
        player = {"bag": self.bag, "rate": self.rate, "start": self.start, "loop": self.loop}
        lists = {"topics": self.topics, "exclude": self.exclude}
        return {"player": player | {name: list(values) for name, values in lists.items() if values}}

    def _check(self) -> None:
        super()._check()
        if not self.bag:
            raise ArgumentError("bag is empty, expected the folder of a bag")


def _check_text(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise ArgumentError(f"task_text has {len(text)} characters, expected at most {LONGEST_TEXT}")


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Raises: ArgumentError: it is no whole number in this range."""
    if not (isinstance(value, int) and lowest <= value <= highest):
        raise ArgumentError(f"{name} is {value}, expected {lowest} to {highest}")


def _check_size(size: Any) -> None:
    if not isinstance(size, tuple) or len(size) != 2:
        raise ArgumentError(f"image_size is {size!r}, expected height and width")
    for pixels in size:
        check_range("image_size", pixels, 16, 2048)
