"""What is played on the stand-in robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from arm_bridge.settings import load_arm
from libero_bridge.tasks import LIBERO
from substep_bridge.joining import JOINING_RULES
from substep_core.configuration import configuration
from substep_core.tasks import TaskSource, task_source
from substep_policy.policy import Policy, why_not_guided
from substep_policy.registry import DEFAULT_POLICY

SIMULATION = "simulation"  # in place of a joining rule: LIBERO's own world, which waits for each chunk
JOININGS_HELP = f"how chunks are joined ({', '.join(JOINING_RULES.names)}), or {SIMULATION}"


@configuration
class RobotBenchSettings:
    """What results depend on. A folder of results is made with one of these.

    Attributes:
        policy: a name, the folder of a checkpoint, or a hub id.
        inference_time: s that a chunk takes besides what is added: what the policy takes on the machine that is meant.
        horizon: control steps of an episode; standing still for want of a chunk costs none.
        device: auto (a GPU where there is one), cpu, cuda or cuda:N.
        tasks_from: whose tasks: a task source's name.
    """

    policy: str = DEFAULT_POLICY
    inference_time: float = Field(default=0.025, ge=0.0, le=10.0)
    horizon: int = Field(default=600, ge=1)
    device: str = "cpu"
    tasks_from: str = LIBERO

    @property
    def source(self) -> TaskSource:
        """Raises: ValueError: there is no such task source."""
        return task_source(self.tasks_from)


@configuration
class GraphBenchSettings(RobotBenchSettings):
    """The same through the running graph, in real time.

    Attributes:
        robot: name of an arm whose driver is the stand-in's, or the path of its parameter file.
        inference_time: s that the bridge takes for granted of a chunk before one has come, besides what is added.
    """

    robot: str = "standin"

    def __post_init__(self) -> None:
        load_arm(self.robot)


@configuration
class PaceSettings(GraphBenchSettings):
    """What is timed.

    Attributes:
        suite, task: that is carried out again and again.
        joining: rule of the bridge.
        minutes: of wall time.
        record: a recorder keeps every topic in a bag meanwhile.
    """

    suite: str = "libero_object"
    task: int = 0
    joining: str = "in_turn"
    minutes: Annotated[float, Field(gt=0, le=1440)] = 10.0
    record: bool = False

    def __post_init__(self) -> None:
        arm, _ = load_arm(self.robot)
        if arm.arm.ahead:
            raise ValueError(f"robot {self.robot} is told whole chunks: its commands have no pace")


@configuration
class RobotSelection:
    """Which episodes are played; it may grow in a later run.

    Attributes:
        suites: of the task source.
        tasks: of each suite; none: all.
        joinings: joining rules, or "simulation" for the world that waits.
        latencies: s of policy latency that are added.
        episodes: of each task; the numbers of the evaluation split.
    """

    suites: tuple[str, ...] = ("libero_object", "libero_spatial")
    tasks: tuple[int, ...] = ()
    joinings: Annotated[tuple[str, ...], Parameter(help=JOININGS_HELP)] = (SIMULATION, "in_turn", "replace", "blend")
    latencies: tuple[float, ...] = (0.0, 0.1, 0.3)
    episodes: int = Field(default=5, ge=1, le=50)

    def __post_init__(self) -> None:
        for rule in self.joinings:
            if rule != SIMULATION:
                JOINING_RULES.check(rule)
        if any(latency < 0 for latency in self.latencies):
            raise ValueError(f"latencies are {self.latencies} s, expected 0 or more")


@dataclass(frozen=True, order=True)
class EpisodeName:
    """One episode. rule: of ``RobotSelection.joinings``; latency: s that are added; number: of the evaluation split."""

    number: int
    suite: str
    task: int
    rule: str
    latency: float


def planned(settings: RobotBenchSettings, selection: RobotSelection) -> Iterator[EpisodeName]:
    """All of them: each task's first episode under every rule before the second, so that a run that is stopped has
    compared what it has played.

    Raises:
        ValueError: the source has no such suite or task.
    """
    source = settings.source
    places = [
        (suite, task) for suite in selection.suites for task in selection.tasks or range(len(source.names(suite)))
    ]
    for suite, task in places:
        source.task(suite, task)
    for number in range(selection.episodes):
        for suite, task in places:
            for rule in selection.joinings:
                for latency in (0.0,) if rule == SIMULATION else selection.latencies:
                    yield EpisodeName(number, suite, task, rule, latency)


def by_graph(names: Sequence[EpisodeName]) -> list[EpisodeName]:
    """Episodes that one graph can play one after the other, and tasks one after the other.

    Raises:
        ValueError: they are to be played in simulation, which no graph of a robot does.
    """
    if any(name.rule == SIMULATION for name in names):
        raise ValueError(f"joining {SIMULATION!r} is the world that waits: ./substep bench robot plays it")
    return sorted(names, key=lambda name: (name.suite, name.task, name.rule, name.latency, name.number))


def check_rules(selection: RobotSelection, policy: Policy) -> None:
    """Raises: ValueError: a rule needs what the policy cannot do; says which, and why."""
    from substep_bridge.joining import JoiningSettings, load_joining

    for rule in selection.joinings:
        if rule != SIMULATION and load_joining(rule, JoiningSettings()).rule.needs_guidance:
            if why := why_not_guided(policy):
                raise ValueError(f"joining rule {rule!r} does not go with policy {policy.name!r}: {why}")
