"""Notices by the fingers that there is nothing between them: a grasp that missed, or a thing that was dropped.

The policy's EOS and what cameras see are judgements; the width of a closed gripper is a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

from substep_planner.plan import Substep
from substep_planner.recovery import needs_what_was_picked_up
from substep_planner.task_events import Fingers

EMPTY_WIDTH = 0.003  # m; a Panda's fingers come to 1.5 mm with nothing in between, the rim of LIBERO's bowl holds 3.6


class GraspWatch:
    """Watches one substep of a plan.

    Args:
        empty_width: m, fingers nearer to each other hold nothing; 0: nobody looks.
    """

    def __init__(self, empty_width: float) -> None:
        self._empty_width = empty_width
        self._is_to_grasp = self._carries = False

    def begin(self, done: Sequence[Substep], remaining: Sequence[Substep]) -> None:
        """The first of ``remaining`` begins."""
        substep, after = remaining[0], remaining[1:2]
        self._carries = needs_what_was_picked_up(done, substep)
        self._is_to_grasp = bool(after) and needs_what_was_picked_up((substep,), after[0])

    def verdict(self, fingers: Fingers | None, is_end: bool) -> str:
        """What is wrong after a chunk; empty: nothing that can be told.

        What is carried may be let go at any time, which is what placing is; from then on there is nothing to watch.
        Commands say only that: at its last action a policy may already be about to open a hand that still holds.

        Args:
            is_end: the chunk ended in an EOS.
        """
        if fingers is None:
            return ""
        self._carries &= fingers.command > 0
        what = "dropped" if self._carries else "nothing grasped" if self._is_to_grasp and is_end else ""
        if not what or fingers.width >= self._empty_width:
            return ""
        return f"{what}: the fingers are {1000 * fingers.width:.1f} mm apart"
