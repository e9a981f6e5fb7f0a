"""What a policy says comes next in a task."""

from __future__ import annotations

from dataclasses import dataclass

TASK_DONE = "the task is done"  # what a policy is taught to say where nothing is left to do


@dataclass(frozen=True)
class NamedSubstep:
    """The words of a policy for what comes next.

    Attributes:
        text: e.g. "pick up the mug", or ``TASK_DONE``.
        probability: the geometric mean of their tokens'.
        is_complete: they came to an end by themselves.
    """

    text: str
    probability: float
    is_complete: bool
