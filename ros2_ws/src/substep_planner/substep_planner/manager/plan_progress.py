"""How far a task has come: which substep of which plan is its next, which are done, which were tried again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from substep_core.keys import SubstepKey
from substep_core.plan import MAX_SUBSTEPS, Plan, Substep
from substep_planner.manager.recovery import needs_what_was_picked_up


class PlanProgress:
    """Of one task, which may come to have several plans, one after the other.

    Args:
        task_id: tells this task's plans from others'.

    Attributes:
        plan: None until there is one.
        source: who made it.
        is_open: what follows it is asked for at its end.
        attempt: of the substep; a new one for every time it is published anew.
        done: substeps, in order, whichever plan they were of.
    """

    def __init__(self, task_id: str) -> None:
        self.plan: Plan | None = None
        self.source = ""
        self.is_open = False
        self.attempt = 0
        self.done: list[Substep] = []
        self._task_id = task_id
        self._plans = 0  # so far
        self._plan_id = ""
        self._index = 0
        self._done_before = 0  # by earlier plans
        self._retries: Counter[int] = Counter()  # of the task's first, second, … substep, under this plan

    @property
    def key(self) -> SubstepKey:
        return SubstepKey(self._plan_id, self._index, self.attempt)

    @property
    def substep(self) -> Substep:
        return self.plan.substeps[self._index]

    @property
    def place(self) -> str:
        """This substep, in words."""
        return f"substep {self._index} ({self.substep.instruction!r})"

    @property
    def needs_pick_up(self) -> bool:
        """This substep needs what one that is done has picked up."""
        return needs_what_was_picked_up(self.done, self.substep)

    @property
    def remaining(self) -> tuple[Substep, ...]:
        """Of the plan: this substep, and what follows."""
        return self.plan.substeps[self._index :]

    @property
    def total(self) -> int:
        """Substeps of the plan, and those that were done before it."""
        return self._done_before + (len(self.plan.substeps) if self.plan is not None else 0)

    @property
    def retries(self) -> int:
        """Of this substep."""
        return self._retries[len(self.done)]

    def count_retry(self) -> None:
        self._retries[len(self.done)] += 1

    def forget_retries(self) -> None:
        """Another plan is another try."""
        self._retries.clear()

    def take_up(self, plan: Plan) -> None:
        """A plan of what remains, under a name of its own."""
        self.plan, self._index = plan, 0
        self._plan_id = f"{self._task_id}.{self._plans}" if self._plans else self._task_id
        self._plans += 1
        self._done_before = len(self.done)

    def grow(self, plan: Plan) -> None:
        """Put what follows to the plan, whose last substep is done, and go on to it."""
        if len(self.plan.substeps) + len(plan.substeps) > MAX_SUBSTEPS:
            self.take_up(plan)
            return
        self.plan = replace(self.plan, substeps=self.plan.substeps + plan.substeps)
        self.go_on()

    def replace_rest(self, remaining: tuple[Substep, ...]) -> None:
        """The plan with another rest; its first is the active substep, which goes on.

        Raises:
            ValueError: it begins with another substep.
        """
        if remaining[0] != self.substep:
            raise ValueError(f"the rest begins with {remaining[0].instruction!r}, not with {self.place}")
        before = self.plan.substeps[: self._index]
        if len(before) + len(remaining) > MAX_SUBSTEPS:
            self.take_up(Plan(self.plan.instruction, remaining))
        else:
            self.plan = replace(self.plan, substeps=(*before, *remaining))

    def go_on(self) -> None:
        """To the next substep of the plan."""
        self._index += 1

    def go_back(self) -> None:
        """To the substep that was done last, in a plan of its own with what remains."""
        remaining = self.remaining
        self.take_up(Plan(self.plan.instruction, (self.done.pop(), *remaining)))
