"""What became of every substep: why it was left, and whether that was right."""

from __future__ import annotations

from dataclasses import dataclass

from substep_planner.task_events import ADVANCED, RETRY, Activate, Report
from substep_policy.observation import Observation
from substep_policy.request_desk import SubstepKey
from training.evaluation.effects import Effect, EffectFinder

MISSED_AFTER = 60  # control steps (3 s) that an effect may hold before not advancing counts as a miss
ACTIVE = ""


@dataclass
class SubstepRecord:
    """One substep of one plan.

    Attributes:
        place: in the whole task, how many substeps come before it.
        attempts: how often it was issued.
        steps: control steps that it was active.
        advanced: whether the switch rule left it for the next one.
        ended: why it was left, "eos", "vision", …, or how the task ended.
        effect_after: steps after its beginning at which its effect first held; None: it never did.
        premature: it was advanced from while its effect did not hold; None: it was not advanced from, or nobody
            can tell.
        missed: its effect held for ``MISSED_AFTER`` steps or to the task's failure without an advance; None as before.
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


@dataclass(frozen=True)
class LoggedEvent:
    """Something the planner announced."""

    step: int
    substep: int
    text: str


class SubstepLog:
    """An observer of ``LockstepTask``.

    Args:
        finder: knows what a substep's effect is; None: the plan's substeps are not the task's own, so that effects
            mean nothing.
    """

    def __init__(self, finder: EffectFinder | None) -> None:
        self.records: list[SubstepRecord] = []
        self.events: list[LoggedEvent] = []
        self.plan_source = ""
        self.plan_length = 0
        self._finder = finder
        self._effect: Effect | None = None
        self._holds = False
        self._key: SubstepKey | None = None
        self._seen: Observation | None = None
        self._began = self._step = 0

    def on_activate(self, command: Activate, observation: Observation) -> None:
        self._seen = observation  # the report that follows says what it is about

    def on_report(self, report: Report, step: int) -> None:
        """ "advanced: …" comes with the next substep, except at the end."""
        self.plan_source = report.source
        if report.event:
            self.events.append(LoggedEvent(step, report.key.index, report.event))
        if report.event.startswith(ADVANCED) and self._active is not None:
            self._leave(report.event.removeprefix(ADVANCED), advanced=True)
        if report.key != self._key:
            self._enter(report)

    def _enter(self, report: Report) -> None:
        place, self._key = (report.key.plan_id, report.key.index), report.key
        if self._active is not None and (self._active.plan_id, self._active.index) == place:
            self._active.attempts += 1
            return
        if self._active is not None:
            self._leave("tried again" if report.event.startswith(RETRY) else "replanned")
        instruction = report.plan[report.key.index].instruction
        for record in self.records:
            record.undone |= record.advanced and record.place >= report.done
        self.records.append(SubstepRecord(*place, report.done, instruction))
        self.plan_length = max(self.plan_length, len(report.plan))
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
        """Substeps that were advanced from with their effect, as far as anybody can tell; all of them on success."""
        if success:
            return self.plan_length
        return sum(record.advanced and not record.undone and record.premature is not True for record in self.records)

    @property
    def _active(self) -> SubstepRecord | None:
        return self.records[-1] if self.records and self.records[-1].ended == ACTIVE else None

    def _judge(self, holds: bool) -> None:
        record = self._active
        self._holds = holds
        if holds and record.effect_after is None:
            record.effect_after = record.steps
        if holds and record.steps - record.effect_after >= MISSED_AFTER:
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
        """None where nobody can tell."""
        if self._finder is None:
            return None
        try:
            return self._finder.find(instruction, self._seen.scene)
        except ValueError:
            return None
