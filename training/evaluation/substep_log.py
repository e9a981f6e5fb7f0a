"""Logs how each substep of an episode ended, and whether its effect held then."""

from __future__ import annotations

from dataclasses import dataclass

from substep_bringup.session.tracker import Event
from substep_core.keys import SubstepKey
from substep_core.observation import Observation
from substep_core.protocol import SubstepEnd, TaskEvent
from substep_planner.manager.events import Activate, TaskFeedback
from training.evaluation.effects import Effect, EffectFinder
from training.task_observer import Observer

MISSED_AFTER = 3.0  # s that an effect may hold before not advancing counts as a miss
ACTIVE = ""


@dataclass
class JudgedSubstep:
    """One substep of one plan.

    Attributes:
        place: in the whole task, how many substeps come before it.
        attempts: how often it was issued.
        steps: control steps that it was active.
        advanced: whether the switch rule left it for the next one.
        ended: why it was left: the words of the advance's cause ("eos", "vision", …), a ``SubstepEnd``, or how the task
            ended.
        effect_after: steps after its beginning at which its effect first held; None: it never did.
        premature: it was advanced from while its effect did not hold; None: it was not advanced from, or it
            cannot be judged.
        missed: its effect held for ``MISSED_AFTER`` s or to the task's failure without an advance; None as before.
        undone: it was done, and then begun again because what came after it failed.
    """

    plan_id: str
    index: int
    place: int
    instruction: str
    attempts: int = 1
    steps: int = 0
    advanced: bool = False
    ended: str = ACTIVE
    effect_after: int | None = None
    premature: bool | None = None
    missed: bool | None = None
    undone: bool = False


class SubstepLog(Observer):
    """Follows the substeps of one task.

    Args:
        finder: knows what a substep's effect is; None: the plan's substeps are not the task's own, so that effects
            mean nothing.
        rate: Hz of control steps.
    """

    def __init__(self, finder: EffectFinder | None, rate: float) -> None:
        self.records: list[JudgedSubstep] = []
        self.events: list[Event] = []
        self.plan_source = ""
        self.plan_length = 0
        self._finder, self._rate = finder, rate
        self._effect: Effect | None = None
        self._holds = False
        self._key: SubstepKey | None = None
        self._seen: Observation | None = None
        self._began = self._step = 0

    def on_activate(self, command: Activate, observation: Observation) -> None:
        self._seen = observation  # the feedback that follows says what it is about

    def on_feedback(self, feedback: TaskFeedback, step: int) -> None:
        """ADVANCED comes with the next substep, except at the end."""
        self.plan_source = feedback.source
        cause = feedback.cause.kind.words
        if feedback.event is not TaskEvent.NONE:
            words = feedback.event.words, cause, feedback.event_text
            self.events.append(Event(step, feedback.key.index, *words))
        if feedback.event is TaskEvent.ADVANCED and self._active is not None:
            self._leave(cause, advanced=True)
        if feedback.key != self._key:
            self._enter(feedback)

    def _enter(self, feedback: TaskFeedback) -> None:
        place, self._key = (feedback.key.plan_id, feedback.key.index), feedback.key
        if self._active is not None and (self._active.plan_id, self._active.index) == place:
            self._active.attempts += 1
            return
        if self._active is not None:
            is_retry = feedback.event is TaskEvent.RETRIED_FROM_PICK_UP
            self._leave(SubstepEnd.TRIED_AGAIN if is_retry else SubstepEnd.REPLANNED)
        instruction = feedback.plan[feedback.key.index].instruction
        for record in self.records:
            record.undone |= record.advanced and record.place >= feedback.done
        self.records.append(JudgedSubstep(*place, feedback.done, instruction))
        self.plan_length = max(self.plan_length, len(feedback.plan))
        self._began, self._holds = self._step, False
        self._effect = self._find(instruction)
        if self._effect is not None:
            self._judge(self._effect(self._seen.scene))

    def on_step(self, observation: Observation, step: int) -> None:
        self._step = step
        if self._active is None:
            return
        self._active.steps = step - self._began
        if self._effect is not None:
            self._judge(self._effect(observation.scene))

    def finish(self, ended: str, success: bool) -> None:
        """The task is over; ``ended`` is why the active substep, if any, was left."""
        if self._active is not None:
            self._leave(ended, success=success)

    def completed(self, success: bool) -> int:
        """Substeps that were advanced from with their effect, as far as it can be judged; all of them on success."""
        if success:
            return self.plan_length
        return sum(record.advanced and not record.undone and record.premature is not True for record in self.records)

    @property
    def _active(self) -> JudgedSubstep | None:
        return self.records[-1] if self.records and self.records[-1].ended == ACTIVE else None

    def _judge(self, holds: bool) -> None:
        record = self._active
        self._holds = holds
        if holds and record.effect_after is None:
            record.effect_after = record.steps
        if holds and record.steps - record.effect_after >= MISSED_AFTER * self._rate:
            record.missed = True

    def _leave(self, ended: str, advanced: bool = False, success: bool = False) -> None:
        record = self._active
        record.ended, record.advanced = ended, advanced
        if self._effect is None:
            return
        if advanced:
            record.premature = not self._holds
        record.missed = bool(record.missed) or not (advanced or success) and record.effect_after is not None

    def _find(self, instruction: str) -> Effect | None:
        """None where it cannot be judged."""
        if self._finder is None:
            return None
        try:
            return self._finder.find(instruction, self._seen.scene)
        except ValueError:
            return None
