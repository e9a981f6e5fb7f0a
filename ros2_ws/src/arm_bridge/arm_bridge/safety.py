"""The safety states of a real arm: disabled, shadow, armed, holding, fault. Knows neither ROS nor a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind, Reason, SafetyState

READY = Reason(HoldKind.NONE)
DISABLED = Reason(HoldKind.ROBOT_DISABLED, "nobody has armed it")
CODES = {
    HoldKind.NONE: ErrorCode.NONE,
    HoldKind.ROBOT_DISABLED: ErrorCode.ROBOT_DISABLED,
    HoldKind.OBSERVATION_LOST: ErrorCode.OBSERVATION_LOST,
    HoldKind.ROBOT_HALTED: ErrorCode.ROBOT_HALTED,
    HoldKind.ROBOT_FAULT: ErrorCode.ROBOT_FAULT,
}


@dataclass(frozen=True)
class Transition:
    """For the log and for robot/state. Twice the same state: only what holds commands back has changed."""

    before: SafetyState
    after: SafetyState
    cause: str


class SafetyStates:
    """Decides what may leave. Every change is told with its cause.

    Args:
        tell: called at every change.
        settle: s for which nothing must be amiss before a robot that holds goes on.
    """

    def __init__(self, tell: Callable[[Transition], None], settle: float) -> None:
        self._tell, self._settle = tell, settle
        self.state = SafetyState.DISABLED
        self.changes = 0  # of the state so far: whoever has waited can tell whether it is still the one he asked in
        self._trouble = READY
        self._fine_since: float | None = None
        self._fault = READY

    # --- what an operator says; each answers why it cannot be, or "" ---

    def shadow(self) -> str:
        """Let everything run, and send nothing."""
        if self.state is SafetyState.FAULT:
            return f"{self._fault.text}: reset it first"
        if self.state in (SafetyState.ARMED, SafetyState.HOLDING):
            return f"the robot is in state {self.state.words}: disarm it first"
        self._enter(SafetyState.SHADOW, "asked for")
        return ""

    def arm(self) -> str:
        """Send commands from now on."""
        if self.state is SafetyState.ARMED:
            return ""
        if self.state is not SafetyState.SHADOW:
            return f"the robot is in state {self.state.words}, expected shadow: look at what would be sent first"
        if self._trouble:
            return f"the robot cannot be armed: {self._trouble.text}"
        self._enter(SafetyState.ARMED, "asked for")
        return ""

    def disarm(self, why: str = "asked for") -> str:
        """Stop, and send nothing from then on. A fault stays."""
        if self.state is not SafetyState.FAULT:
            self._enter(SafetyState.DISABLED, why)
        return ""

    def reset(self) -> str:
        """Let go of a fault. Whatever has caused it must be gone."""
        if self.state is not SafetyState.FAULT:
            return ""
        if self._trouble.kind is HoldKind.ROBOT_FAULT:
            return f"the fault is still there: {self._trouble.text}"
        self._fault = READY
        self._enter(SafetyState.DISABLED, "fault reset")
        return ""

    # --- what is found ---

    def look(self, trouble: Reason[HoldKind], now: float) -> None:
        """What is amiss with robot and sensors at this moment; ``READY``: nothing. now: s, monotonic."""
        self._trouble = trouble
        if trouble.kind is HoldKind.ROBOT_FAULT:
            self.fail(trouble.detail)
        elif trouble:
            self._fine_since = None
            if self.state is SafetyState.ARMED:
                self._enter(SafetyState.HOLDING, trouble.text)
        elif self.state is SafetyState.HOLDING:
            self._fine_since = now if self._fine_since is None else self._fine_since
            if now - self._fine_since >= self._settle:
                self._enter(SafetyState.ARMED, "nothing is amiss any more")

    def fail(self, why: str) -> None:
        """A fault, which latches. While the robot is disabled it is only told."""
        if self.state in (SafetyState.FAULT, SafetyState.DISABLED):
            return
        self._fault = Reason(HoldKind.ROBOT_FAULT, why)
        self._enter(SafetyState.FAULT, self._fault.text)

    # --- what follows ---

    @property
    def hindrance(self) -> Reason[HoldKind]:
        """Why nothing is to be played; ``READY`` if something may be."""
        if self.state is SafetyState.FAULT:
            return self._fault
        if self.state is SafetyState.DISABLED:
            return DISABLED
        if self._trouble:
            return self._trouble
        return Reason(HoldKind.ROBOT_HALTED, "settling") if self.state is SafetyState.HOLDING else READY

    @property
    def sends(self) -> bool:
        """Commands, the stop among them, leave for the robot."""
        return self.state in (SafetyState.ARMED, SafetyState.HOLDING, SafetyState.FAULT)

    @property
    def code(self) -> ErrorCode:
        """Of what hinders it."""
        return CODES[self.hindrance.kind]

    def _enter(self, state: SafetyState, cause: str) -> None:
        if state is not self.state:
            transition = Transition(self.state, state, cause)
            self.state, self._fine_since = state, None
            self.changes += 1
            self._tell(transition)
