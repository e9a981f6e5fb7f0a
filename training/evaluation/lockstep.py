"""The graph in one process: planner, policy and bridge by the cores of their nodes, the world in lockstep.

Substeps, switch rules, timeouts, retries and plans are the planner's ``SubstepManager``; requests, the safety guard and
the action queue the bridge's ``ChunkPlayer``. Time is the world's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from libero_bridge.chunk_player import NO_EOS_PROBABILITY, Answer, ChunkPlayer
from libero_bridge.chunk_player import Report as ChunkReport
from libero_bridge.safety import SafetyGuard, SafetyLimits
from libero_bridge.simulation import Simulation
from substep_planner.decomposers.base import Decomposer, PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.errors import PlanningError
from substep_planner.substep_manager import ManagerSettings, SubstepManager
from substep_planner.switch_rules import SwitchRule
from substep_planner.task_events import (
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    Command,
    EpisodeProgress,
    Event,
    Fingers,
    Finish,
    FrameScored,
    Hold,
    MakePlan,
    Outcome,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    Report,
)
from substep_policy.observation import Observation
from substep_policy.policy import Policy
from substep_policy.policy_session import PolicySession, StuckSettings
from substep_policy.request_desk import IssuedSubstep, RequestKey
from training.evaluation.vision import FrameScorer

EPISODE = 1  # a task is one episode of its world


class Observer(Protocol):
    """Watches a task being carried out."""

    def on_activate(self, command: Activate, observation: Observation) -> None:
        """A substep was made the active one."""

    def on_report(self, report: Report, step: int) -> None:
        """The planner's feedback, at control step ``step``."""

    def on_step(self, observation: Observation, step: int) -> None:
        """The world after a control step, without images."""


@dataclass(frozen=True)
class TaskSettings:
    """How a task is carried out.

    Attributes:
        instruction: of the task; empty: the world's own.
        decomposers: who makes the plan.
        cameras: what the policy is shown.
        stuck: what helps the policy where it is stuck.
    """

    decomposers: Sequence[Decomposer]
    instruction: str = ""
    manager: ManagerSettings = field(default_factory=ManagerSettings)
    limits: SafetyLimits = field(default_factory=SafetyLimits)
    cameras: tuple[str, ...] = ()
    stuck: StuckSettings = StuckSettings()


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes:
        success: the world's verdict.
        steps: control steps.
        finish: the planner's last word.
        outcomes: of all chunks, in order.
        rejections: the reasons of those that the guard rejected.
        inference_times: s, of every chunk, with the beginning of its substep where it is the first.
    """

    success: bool
    steps: int
    finish: Finish
    outcomes: tuple[Outcome, ...]
    rejections: tuple[str, ...]
    inference_times: tuple[float, ...]


class LockstepTask:
    """One task in a world that was just reset.

    Args:
        observation: the world's, as ``reset`` gave it.
        scorer: looks at frames; None: nobody does.
    """

    def __init__(
        self,
        simulation: Simulation,
        observation: Observation,
        policy: Policy,
        rule: SwitchRule,
        settings: TaskSettings,
        scorer: FrameScorer | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._simulation, self._settings = simulation, settings
        self._session = PolicySession(policy, settings.stuck)
        self._observation = observation
        self._scorer, self._observers = scorer, observers
        self._player = ChunkPlayer(SafetyGuard(settings.limits))
        self._player.reset(EPISODE)
        self._manager = SubstepManager(
            settings.manager, rule, settings.instruction, "task", self._progress(), self._now
        )
        self._events: deque[Event] = deque()
        self._active: Activate | None = None
        self._finish: Finish | None = None
        self._reports: list[ChunkReport] = []

    def run(self) -> TaskResult:
        """To the end of the task. Raises: RuntimeError: nothing moves any more, which is a fault of the rules."""
        self._perform(self._manager.start(self._now))
        self._drain()
        while self._finish is None:
            self._advance()
        while self._player.may_step:  # what was let go comes to rest
            self._step()
        reports = self._reports
        return TaskResult(
            self._simulation.success,
            self._simulation.step_count,
            self._finish,
            tuple(Outcome(int(report.outcome)) for report in reports),
            tuple(report.reason for report in reports if Outcome(int(report.outcome)) is Outcome.REJECTED),
            tuple(report.answer.inference_time for report in reports),
        )

    # --- the world and the policy, in the bridge's order ---

    def _advance(self) -> None:
        if self._player.may_step:
            self._step()
        elif self._player.wants_request:
            self._ask()
        elif not self._look():
            raise RuntimeError(f"nothing moves at step {self._simulation.step_count}: {self._player.hold_reason}")
        self._drain()

    def _step(self) -> None:
        self._observation = self._simulation.step(self._player.next_action())
        reports = self._player.after_step(self._simulation.over)
        for observer in self._observers:
            observer.on_step(self._observation, self._simulation.step_count)
        if self._scorer is not None and self._scorer.is_due(self._observation.stamp):
            self._look()
        self._events.append(self._progress())
        self._hear(reports)

    def _ask(self) -> None:
        request = self._player.request(self._observation.stamp)
        seen = replace(self._observation, images=self._images(self._settings.cameras))
        begin = time.perf_counter()
        try:
            active = self._active
            issued = IssuedSubstep(request.substep, active.substep.instruction, active.task, active.back_off)
            chunk = self._session.chunk(EPISODE, issued, self._player.gripper, seen)
        except ValueError as error:  # as the policy node does: it says why, and the planner decides
            self._events.append(PolicyRefused(request.substep, str(error)))
            return
        self._receive(request, chunk, time.perf_counter() - begin)

    def _receive(self, request: RequestKey, chunk, inference_time: float) -> None:
        self._events.append(ChunkAnnounced(request.substep, chunk.has_eos))
        probability = float(max(chunk.eos_probabilities, default=NO_EOS_PROBABILITY))
        answer = Answer(request, chunk, probability, inference_time)
        position = self._simulation.eef_pose()[0] - self._simulation.workspace_origin
        self._hear(self._player.receive(answer, self._observation.stamp, position))

    def _look(self) -> bool:
        """Have the newest frame scored; whether there was one that had not been."""
        if self._scorer is None or self._active is None or not self._scorer.is_new(self._observation.stamp):
            return False
        images = self._images(self._scorer.cameras)
        similarity, completed = self._scorer.score(images, self._observation.stamp, self._active.key.index)
        self._events.append(FrameScored(self._active.key, self._observation.stamp, similarity, completed))
        return True

    def _images(self, cameras: Sequence[str]) -> dict[str, np.ndarray]:
        """Rendered when somebody looks, which is not every step."""
        return {camera: self._simulation.render(camera, *self._simulation.config.image_size) for camera in cameras}

    # --- the planner ---

    def _drain(self) -> None:
        while self._events and self._finish is None:
            self._perform(self._manager.handle(self._events.popleft(), self._now))

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case MakePlan():
                    self._events.append(self._plan(command))
                case Activate():
                    self._activate(command)
                case Hold():
                    self._active = None
                    self._hear(self._player.activate(None, command.plan_done))
                case Report():
                    for observer in self._observers:
                        observer.on_report(command, self._simulation.step_count)
                case Finish():
                    self._finish = command

    def _activate(self, command: Activate) -> None:
        self._active = command
        if self._scorer is not None:
            self._scorer.watch(command)
        for observer in self._observers:
            observer.on_activate(command, self._observation)
        self._hear(self._player.activate(command.key))

    def _plan(self, request: MakePlan) -> PlanMade | PlanFailed:
        objects = frozenset(item.category for item in self._observation.scene.objects.values())
        wanted = PlanRequest(request.instruction, request.suite, request.done, request.trouble, objects)
        try:
            return PlanMade(request, decompose(wanted, self._settings.decomposers).sourced)
        except PlanningError as error:
            return PlanFailed(request, error.code, str(error))

    def _hear(self, reports: Sequence[ChunkReport]) -> None:
        self._reports += reports
        fingers = Fingers(self._player.gripper, self._observation.gripper_width)
        for report in reports:
            answer = report.answer
            self._events.append(
                ChunkPlayed(
                    answer.request.substep,
                    Outcome(int(report.outcome)),
                    self._observation.stamp,
                    answer.eos_probability,
                    report.reason,
                    report.latched,
                    fingers,
                )
            )

    def _progress(self) -> EpisodeProgress:
        world = self._simulation
        said = world.instruction, world.suite
        return EpisodeProgress(EPISODE, world.step_count, world.success, bool(world.over), *said)

    @property
    def _now(self) -> float:
        return self._observation.stamp / 1e9
