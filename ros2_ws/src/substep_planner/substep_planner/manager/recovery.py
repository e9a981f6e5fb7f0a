"""What follows a failed substep: retry, retry from the pick up before it, plan again, abort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from substep_core.language.motions import is_pick
from substep_core.plan import Substep


class Remedy(Enum):
    RETRY = "retry"  # issue the same substep again, from the pick up before it
    REPLAN = "replan"  # ask the decomposers for a plan of what remains
    ABORT = "abort"


@dataclass(frozen=True)
class RecoveryLadder:
    """Retries of the substep first, then new plans for the rest of the task, then the end.

    Attributes:
        retries: of one substep.
        replans: of one task.
    """

    retries: int = 1
    replans: int = 1

    def __post_init__(self) -> None:
        for name, value in (("retries", self.retries), ("replans", self.replans)):
            if value < 0:
                raise ValueError(f"{name} is {value}, expected 0 or more")

    def remedy(self, retries_used: int, replans_used: int) -> Remedy:
        """The next rung."""
        if retries_used < self.retries:
            return Remedy.RETRY
        return Remedy.REPLAN if replans_used < self.replans else Remedy.ABORT


def needs_what_was_picked_up(done: Sequence[Substep], failed: Substep) -> bool:
    """Whether the substep before the one that came to no end picked something up: most likely it has been dropped."""
    return bool(done) and is_pick(done[-1].instruction) and not is_pick(failed.instruction)
