"""How a task is carried out in one process: planner, policy and bridge by the cores of their nodes, in lockstep.

Evaluations and demonstrations are such tasks. Substeps, switch rules, timeouts, retries and plans are the planner's
``SubstepManager``; requests, the safety guard and the action queue the bridge's ``ChunkPlayer``. Time is the world's.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from libero_bridge.simulation import Simulation
from substep_bridge.answer import NO_EOS_PROBABILITY, ChunkAnswer, ChunkReport
from substep_bridge.chunk_player import ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.joining import IN_TURN, Joining
from substep_bridge.moment import RobotMoment, moment_of
from substep_core.chunk import ChunkOutcome
from substep_core.contract import gripper_opening
from substep_core.episode import EpisodeEnd
from substep_core.errors import ErrorCode, PlanningError
from substep_core.keys import IssuedSubstep, RequestKey
from substep_core.named_substep import NamedSubstep
from substep_core.observation import Observation
from substep_core.protocol import ChunkReason, ChunkRefused, Reason
from substep_planner.completion.frame_scorer import FrameScorer
from substep_planner.decomposers.base import Decomposer, PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.manager.events import (
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    Command,
    Deactivate,
    EpisodeProgress,
    Event,
    Fingers,
    Finish,
    MakePlan,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    Stopped,
    TaskFeedback,
)
from substep_planner.manager.grasp_watch import FingerLimits
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.manager.switch_rules import SwitchRule
from substep_policy.policy import LeftOver, Policy, as_namer, taught_skills
from substep_policy.session.policy_session import PolicySession, StuckSettings
from training.task_observer import ControlCommand, Observer

EPISODE = 1  # a task is one episode of its world


@dataclass(frozen=True)
class TaskSettings:
    """How a task is carried out.

    Attributes:
        instruction: of the task; empty: the world's own.
        decomposers: who makes the plan.
        joining: when chunks are asked for and how they are joined; answers take no time, so that it matters only where
            ``actions_per_chunk`` are fewer than a chunk has.
        stuck: what helps the policy where it is stuck.
        stops_at_goal: as evaluations do: the task is over as soon as the world's goal holds, and after the plan's end
            the world comes to rest, in case the goal holds then. Else the task ends with the plan's last action.
    """

    decomposers: Sequence[Decomposer]
    instruction: str = ""
    manager: ManagerSettings = field(default_factory=ManagerSettings)
    guard: GuardSettings = GuardSettings()
    joining: Joining = IN_TURN
    stuck: StuckSettings = StuckSettings()
    stops_at_goal: bool = True


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes:
        success: the world's verdict.
        steps: control steps.
        finish: the planner's last word.
        outcomes: of all chunks, in order.
        rejections: why the guard rejected some of them.
        inference_times: s, of every chunk, with the beginning of its substep where it is the first.
    """

    success: bool
    steps: int
    finish: Finish
    outcomes: tuple[ChunkOutcome, ...]
    rejections: tuple[Reason[ChunkReason], ...]
    inference_times: tuple[float, ...]


class LockstepTask:
    """One task in a world that was just reset.

    Args:
        observation: the world's, as ``reset`` gave it.
        scorer: looks at frames; None: no frame is scored.
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
        self._policy, self._session = policy, PolicySession(policy, simulation.contract, settings.stuck)
        self._observation = observation
        self._scorer, self._observers = scorer, observers
        contract = simulation.contract
        self._player = ChunkPlayer(contract, SafetyGuard(contract, settings.guard), settings.joining)
        self._player.reset(EPISODE, self._moment())
        self._manager = SubstepManager(
            settings.manager,
            rule,
            settings.instruction,
            "task",
            self._progress(),
            self._now,
            FingerLimits.of(contract),
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
        while self._settings.stops_at_goal and self._player.may_step:  # what was let go comes to rest
            self._step()
        reports = self._reports
        return TaskResult(
            self._simulation.success,
            self._simulation.step_count,
            self._finish,
            tuple(report.outcome for report in reports),
            tuple(report.reason for report in reports if report.outcome is ChunkOutcome.REJECTED),
            tuple(report.answer.inference_time for report in reports),
        )

    # --- the world and the policy, in the bridge's order ---

    def _advance(self) -> None:
        if self._player.may_step:
            self._step()
        elif self._player.wants_request:
            self._ask()
        elif not self._look():
            raise RuntimeError(f"nothing moves at step {self._simulation.step_count}: {self._player.hold.text}")
        self._drain()

    def _step(self) -> None:
        counts = self._player.step_counts
        command = self._command()
        for observer in self._observers:
            observer.on_command(self._observation, command)
        self._observation = self._simulation.step(command.action, counts=counts)
        reports = self._player.after_step(self._moment(), self._over)
        for observer in self._observers:
            observer.on_step(self._observation, self._simulation.step_count)
        if self._scorer is not None and self._scorer.is_due(self._observation.stamp):
            self._look()
        self._events.append(self._progress())
        self._hear(reports)

    def _command(self) -> ControlCommand:
        chunk, index = self._player.playing or (None, 0)
        substep = None if self._active is None else self._active.key
        return ControlCommand(self._player.next_action(), substep, chunk, index)

    def _moment(self) -> RobotMoment:
        world = self._simulation
        return moment_of(world.contract, self._observation.stamp, world.readings(), world.workspace_origin)

    def _ask(self) -> None:
        request = self._player.request()
        seen = replace(self._observation, images=self._simulation.images(self._policy.cameras))
        begin = time.perf_counter()
        try:
            active = self._active
            issued = IssuedSubstep(request.substep, active.substep.instruction, active.task, active.back_off)
            goes_on = self._player.answer_delay > 0
            held = self._player.held_action
            chunk = self._session.chunk(EPISODE, issued, held, seen, self._left_over(), goes_on)
        except ChunkRefused as refused:  # as the policy node does: it says why, and the planner decides
            self._events.append(PolicyRefused(request.substep, refused.reason))
            return
        self._receive(request, chunk, time.perf_counter() - begin)

    def _left_over(self) -> LeftOver | None:
        left = self._player.left_over
        return LeftOver(left, min(self._player.answer_delay, len(left))) if len(left) else None

    def _receive(self, request: RequestKey, chunk, inference_time: float) -> None:
        self._events.append(ChunkAnnounced(request.substep, chunk.has_eos))
        probability = float(max(chunk.eos_probabilities, default=NO_EOS_PROBABILITY))
        self._hear(self._player.receive(ChunkAnswer(request, chunk, probability, inference_time)))

    def _look(self) -> bool:
        """Have the newest frame scored; whether there was one that had not been."""
        if self._scorer is None or self._active is None or not self._scorer.is_new(self._observation.stamp):
            return False
        names = {camera: self._simulation.contract.camera_called(camera) for camera in self._scorer.cameras}
        seen = self._simulation.images(tuple(names.values()))
        images = {camera: seen[name] for camera, name in names.items()}
        try:
            self._events.append(self._scorer.score(images, self._observation.stamp))
        except PlanningError as error:  # as the planner node does: whom the scorer asks gives no answer
            self._events.append(Stopped(error.code, f"the scorer: {error}"))
        return True

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
                case Deactivate():
                    self._active = None
                    self._hear(self._player.activate(None, command.plan_done))
                case TaskFeedback():
                    for observer in self._observers:
                        observer.on_feedback(command, self._simulation.step_count)
                case Finish():
                    self._finish = command

    def _activate(self, command: Activate) -> None:
        self._active = command
        if self._scorer is not None:
            self._scorer.watch(command.key, command.plan)
        for observer in self._observers:
            observer.on_activate(command, self._observation)
        self._hear(self._player.activate(command.key))

    def own_words(self, task: str = "") -> NamedSubstep:
        """What the policy itself says comes next, by what it sees now. Args: task: in words; empty: the one under way.

        Raises:
            PlanningError: the policy has no words, or cannot see enough.
        """
        seen = replace(self._observation, images=self._simulation.images(self._policy.cameras))
        try:
            return as_namer(self._policy).next_substep(seen, task or self._active.task)
        except ValueError as error:
            raise PlanningError(ErrorCode.BACKEND_FAILED, str(error)) from error

    def _plan(self, request: MakePlan) -> PlanMade | PlanFailed:
        counts = Counter(item.category for item in self._observation.scene.objects.values())
        wanted = PlanRequest(
            request.instruction,
            request.suite,
            request.done,
            request.failure,
            objects=frozenset(counts),
            counts=counts,
            skills=self._simulation.contract.skills,
            policy_skills=taught_skills(self._policy),
            ask_policy=partial(self.own_words, request.instruction),
        )
        try:
            return PlanMade(request, decompose(wanted, self._settings.decomposers).sourced)
        except PlanningError as error:
            return PlanFailed(request, error.code, str(error), error.clarification)

    def _hear(self, reports: Sequence[ChunkReport]) -> None:
        self._reports += reports
        fingers = Fingers(self._player.gripper, gripper_opening(self._simulation.contract, self._observation.proprio))
        for report in reports:
            answer = report.answer
            self._events.append(
                ChunkPlayed(
                    answer.request.substep,
                    report.outcome,
                    self._observation.stamp,
                    answer.eos_probability,
                    report.reason.text,
                    report.latched,
                    fingers,
                )
            )

    def _progress(self) -> EpisodeProgress:
        world = self._simulation
        success = world.success and self._settings.stops_at_goal
        over = self._over is not None
        latched = self._player.guard.latched or ""
        return EpisodeProgress(EPISODE, world.step_count, success, over, world.instruction, world.suite, latched)

    @property
    def _over(self) -> EpisodeEnd | None:
        """Why the episode has ended; None while it goes on."""
        return self._simulation.over if self._settings.stops_at_goal else self._simulation.out_of_time

    @property
    def _now(self) -> float:
        return self._observation.stamp / 1e9
