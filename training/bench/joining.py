"""What joining rules give under how much latency: ``./substep bench joining``.

Tasks in the simulated world, in one process, by the cores of planner, bridge and policy. The world goes on while the
policy thinks, and thinking takes as many control steps as is told, however fast the machine is: the same command gives
the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_bridge.joining import JoiningSettings, load_joining
from substep_core.chunk import NO_EOS, Chunk
from substep_core.chunk_timing import delay_steps, shortfall
from substep_core.contract import RobotContract
from substep_core.observation import Observation
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.policy import Policy, why_not_guided
from substep_policy.registry import POLICIES, PolicySettings
from training.bench.delayed_task import DelayedTask, MotionTrace
from training.evaluation.actors import demonstrated_actions
from training.evaluation.provenance import provenance
from training.lockstep import TaskSettings

REPLAY = "replay"
IN_TURN = "in_turn"


@dataclass(frozen=True)
class JoiningBench:
    """What is measured.

    Attributes:
        policy: a name or a checkpoint's folder; "replay": what the demonstrator did, in chunks of ``chunk_length``.
        joinings: joining rules; latencies: s of inference.
        suites, tasks, episodes: every task of ``tasks`` of every suite that often, from benchmark states from 0 on.
    """

    policy: str
    joinings: tuple[str, ...]
    latencies: tuple[float, ...]
    suites: tuple[str, ...]
    tasks: tuple[int, ...]
    episodes: int
    chunk_length: int
    joining: JoiningSettings
    guidance: PolicySettings


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        steps: control steps, those in which the robot stood still among them.
        answers: chunks that came.
        motion: what the robot was told and did.
    """

    success: bool
    steps: int
    answers: int
    motion: MotionTrace


@dataclass(frozen=True)
class JoiningFigures:
    """A rule under a latency.

    Attributes:
        steps: control steps of an episode that succeeded, on average; None where none did.
        idle: share of the control steps with a substep to carry out in which the robot held for want of a chunk, after
            the first chunk of the substep; starting: the same before that.
        joint_mm, joint_mm_p95: what the commanded motion changes by from one step to the next where chunks meet, on
            average and at the 95th percentile; None where none meet.
        jerk: m/s³ of the hand, root of the mean square.
        chunks_per_second: that the policy was asked for.
        shortfall: what cannot be hidden, in words.
    """

    rule: str
    latency: float
    delay: int
    episodes: int
    successes: int
    steps: float | None
    idle: float
    starting: float
    joint_mm: float | None
    joint_mm_p95: float | None
    jerk: float
    chunks_per_second: float
    shortfall: str

    @classmethod
    def of(cls, rule: str, latency: float, horizon: int, rate: float, episodes: Sequence[Episode]) -> JoiningFigures:
        motions = [episode.motion for episode in episodes]
        asked = sum(motion.asked for motion in motions)
        joints = [change for motion in motions for change in motion.joints()]
        jerk = [value for motion in motions for value in motion.jerk(rate)]
        done = [episode.steps for episode in episodes if episode.success]
        delay = delay_steps(latency, rate)
        return cls(
            rule,
            latency,
            delay,
            episodes=len(episodes),
            successes=len(done),
            steps=float(np.mean(done)) if done else None,
            idle=sum(motion.waited(within=True) for motion in motions) / asked,
            starting=sum(motion.waited(within=False) for motion in motions) / asked,
            joint_mm=float(np.mean(joints)) if joints else None,
            joint_mm_p95=float(np.percentile(joints, 95)) if joints else None,
            jerk=float(np.sqrt(np.mean(jerk))),
            chunks_per_second=sum(episode.answers for episode in episodes) * rate / asked,
            shortfall="" if rule == IN_TURN else shortfall(horizon, delay, rate),
        )

    def __str__(self) -> str:
        steps = "–" if self.steps is None else f"{self.steps:.0f}"
        joint = "–" if self.joint_mm is None else f"{self.joint_mm:.1f} / {self.joint_mm_p95:.1f}"
        success = f"{self.successes} of {self.episodes}"
        return (
            f"| {self.rule} | {1000 * self.latency:.0f} ms ({self.delay}) | {100 * self.idle:.1f} % | "
            f"{100 * self.starting:.1f} % | {joint} | {self.jerk:.1f} | {success} | {steps} | "
            f"{self.chunks_per_second:.1f} |"
        )


HEAD = (
    "| rule | inference (steps) | stands still | … at starts | change at joints, mm | jerk, m/s³ | success | steps | "
    "chunks/s |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class JoiningReport:
    """All of one run."""

    settings: JoiningBench
    made: dict[str, Any]
    horizon: int
    rows: tuple[JoiningFigures, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, default=str)

    def __str__(self) -> str:
        infeasible = {row.latency: row.shortfall for row in self.rows if row.shortfall}
        notes = [f"{1000 * latency:.0f} ms cannot be hidden: {why}" for latency, why in infeasible.items()]
        head = f"{self.settings.policy}, chunks of {self.horizon}, commit {self.made['commit']}\n"
        return "\n".join([head, HEAD, *map(str, self.rows), *(["", *notes] if notes else [])])


class RecordedPolicy:
    """Implements ``Policy``: answers with the actions that were recorded for where the robot is on its way."""

    name, requires_scene, device, dtype = REPLAY, False, "cpu", "float32"
    cameras: tuple[str, ...] = ()

    def __init__(self, actions: np.ndarray, robot: RobotContract, horizon: int) -> None:
        self.robot, self.horizon = robot, horizon
        self._actions = np.asarray(actions, np.float32)
        self.task: DelayedTask | None = None  # that it acts in

    def start_substep(self, instruction: str, task: str) -> None:
        """It does what was recorded."""

    def predict(self, observation: Observation) -> Chunk:
        first = min(self.task.played, len(self._actions) - 1)
        actions = self._actions[first : first + self.horizon]
        is_last = first + len(actions) == len(self._actions)
        return Chunk(actions, eos_index=len(actions) - 1 if is_last else NO_EOS)


def benchmark(settings: JoiningBench, command_line: str) -> JoiningReport:
    """Every rule under every latency; without latency all rules do the same, so that one is enough.

    Raises:
        ValueError: a name is wrong, or a rule needs a policy that can be guided.
    """
    joinings = {rule: load_joining(rule, settings.joining) for rule in settings.joinings}
    policy = None if settings.policy == REPLAY else POLICIES.load(settings.policy, settings.guidance)
    for rule, joining in joinings.items():
        why = "it replays" if policy is None else why_not_guided(policy)
        if joining.rule.needs_guidance and why:
            raise ValueError(
                f"joining rule {rule} needs a policy that can be guided, and {settings.policy} cannot: {why}"
            )
    cells = [
        (rule, latency)
        for latency in settings.latencies
        for rule in (settings.joinings if latency else settings.joinings[:1])
    ]
    found: dict[tuple[str, float], list[Episode]] = {cell: [] for cell in cells}
    horizon, rate = settings.chunk_length if policy is None else policy.horizon, 0.0
    for simulation in _worlds(settings):
        rate = simulation.contract.rate
        actor = policy or RecordedPolicy(demonstrated_actions(simulation), simulation.contract, horizon)
        for cell in cells:
            for number in range(settings.episodes):
                rule, latency = cell
                delay = delay_steps(latency, rate)
                found[cell].append(_episode(simulation, actor, joinings[rule], delay, number))
    rows = tuple(JoiningFigures.of(*cell, horizon, rate, episodes) for cell, episodes in found.items())
    return JoiningReport(settings, provenance(command_line), horizon, rows)


def _worlds(settings: JoiningBench) -> Iterator[Simulation]:
    for suite in settings.suites:
        for task in settings.tasks:
            simulation = Simulation(SimulationConfig(suite, task, render=False))
            try:
                yield simulation
            finally:
                simulation.close()


def _episode(simulation: Simulation, policy: Policy, joining, delay: int, number: int) -> Episode:
    torch.manual_seed(number)
    decomposers = ("whole_task",) if isinstance(policy, RecordedPolicy) else ("library", "rules")
    task = DelayedTask(
        simulation,
        simulation.reset(number % simulation.init_state_count),
        policy,
        make_switch_rule("eos"),
        TaskSettings(decomposers=load_decomposers(decomposers, DecomposerSettings()), joining=joining),
        delay=delay,
    )
    if isinstance(policy, RecordedPolicy):
        policy.task = task
    result = task.run()
    return Episode(result.success, task.steps, task.answers, task.motion)
