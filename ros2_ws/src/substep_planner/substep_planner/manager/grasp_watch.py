"""Detects from the fingers' distance a grasp that missed, an object that was dropped, and one not let go.

The policy's EOS and what cameras see are judgements; how far the fingers are apart is a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from substep_core.contract import RobotContract
from substep_core.language.motions import is_place
from substep_core.plan import Substep
from substep_core.protocol import Cause, Reason
from substep_planner.manager.events import Fingers
from substep_planner.manager.recovery import needs_what_was_picked_up
from substep_planner.manager.switch_rules import STAY, Decision, Verdict


@dataclass(frozen=True)
class FingerLimits:
    """What the distance of a robot's fingers says.

    Attributes:
        empty: m, fingers nearer to each other hold nothing; 0: that is not checked, nor is anything else.
        let_go: m, fingers that much further apart than when they grasped have opened.
    """

    empty: float = 0.0
    let_go: float = 0.0

    @classmethod
    def of(cls, robot: RobotContract) -> FingerLimits:
        """Of the robot's first gripper whose opening is measured."""
        measured = (group for group in robot.state if group.opening)
        return next((cls(group.empty, group.let_go) for group in measured), cls())


class GraspWatch:
    """Watches one substep of a plan."""

    def __init__(self, limits: FingerLimits) -> None:
        self._limits = limits
        self._is_to_grasp = self._carries = self._is_to_let_go = False
        self._held: float | None = None  # m between the fingers when they had grasped; None: not measured

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
        if fingers is None or not self._limits.empty:
            return STAY
        is_closing = fingers.command > 0
        self._carries &= is_closing
        if fingers.width < self._limits.empty and (self._carries or self._is_to_grasp and is_end):
            what = Cause.DROPPED if self._carries else Cause.NOTHING_GRASPED
            return Decision(Verdict.RETRY, Reason(what, _apart(fingers)))
        if self._is_to_grasp and is_end and is_closing:
            self._held = fingers.width
        still_holds = self._held is not None and fingers.width < self._held + self._limits.let_go
        is_early = self._is_to_let_go and is_end and still_holds
        self._is_to_let_go &= is_closing
        return Decision(Verdict.REISSUE, Reason(Cause.NOT_LET_GO, _apart(fingers))) if is_early else STAY


def _apart(fingers: Fingers) -> str:
    return f"the fingers are {1000 * fingers.width:.1f} mm apart"
