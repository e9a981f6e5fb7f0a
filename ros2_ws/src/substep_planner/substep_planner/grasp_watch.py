"""Notices by the fingers what is between them: a grasp that missed, a thing that was dropped or not let go yet.

The policy's EOS and what cameras see are judgements; how far the fingers are apart is a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

from substep_planner.plan import Substep, is_place
from substep_planner.recovery import needs_what_was_picked_up
from substep_planner.switch_rules import STAY, Decision, Verdict
from substep_planner.task_events import Fingers

EMPTY_WIDTH = 0.0022  # m; a Panda's fingers come to 1.5 mm with nothing in between, to 3.6 with the rim of a bowl
LET_GO = 0.005  # m; fingers that much further apart than when they grasped have opened


class GraspWatch:
    """Watches one substep of a plan.

    Args:
        empty_width: m, fingers nearer to each other hold nothing; 0: nobody looks.
    """

    def __init__(self, empty_width: float) -> None:
        self._empty_width = empty_width
        self._is_to_grasp = self._carries = self._is_to_let_go = False
        self._held: float | None = None  # m between the fingers when they had grasped; None: nobody saw it

    def begin(self, done: Sequence[Substep], remaining: Sequence[Substep]) -> None:
        """The first of ``remaining`` begins."""
        substep, after = remaining[0], remaining[1:2]
        self._carries = needs_what_was_picked_up(done, substep)
        self._is_to_let_go = self._carries and is_place(substep.instruction)
        self._is_to_grasp = bool(after) and needs_what_was_picked_up((substep,), after[0])
        if not self._carries:
            self._held = None

    def verdict(self, fingers: Fingers | None, is_end: bool) -> Decision:
        """What to do about the substep after a chunk: RETRY it, it failed; REISSUE it, it is not over; or STAY.

        What is carried may be let go at any time, which is what placing is; from then on it cannot be dropped, and the
        place may end. In a "pick up" commands say nothing: at its last action a policy may already be about to open a
        hand that still holds.

        Args:
            fingers: None: not known, and nothing can be told.
            is_end: the chunk ended in an EOS.
        """
        if fingers is None or not self._empty_width:
            return STAY
        is_closing = fingers.command > 0
        self._carries &= is_closing
        if fingers.width < self._empty_width and (self._carries or self._is_to_grasp and is_end):
            what = "dropped" if self._carries else "nothing grasped"
            return Decision(Verdict.RETRY, f"{what}: {_apart(fingers)}")
        if self._is_to_grasp and is_end and is_closing:
            self._held = fingers.width
        still_holds = self._held is not None and fingers.width < self._held + LET_GO
        is_early = self._is_to_let_go and is_end and still_holds
        self._is_to_let_go &= is_closing
        return Decision(Verdict.REISSUE, f"not let go: {_apart(fingers)}") if is_early else STAY


def _apart(fingers: Fingers) -> str:
    return f"the fingers are {1000 * fingers.width:.1f} mm apart"
