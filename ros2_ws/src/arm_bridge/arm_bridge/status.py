"""What drivers say about themselves, as a reason to hold or as a fault."""

from __future__ import annotations

from arm_bridge.settings import StatusInput
from substep_core.protocol import HoldKind, Reason


class DriverStatus:
    """The last word of one driver on one topic."""

    def __init__(self, settings: StatusInput) -> None:
        self._settings = settings
        self._said: int | None = None
        self._heard: float | None = None
        self._forgotten: int | None = None

    def hear(self, number: int, now: float) -> None:
        """now: s, monotonic."""
        self._heard = now
        if self._settings.of_commands and number == self._forgotten:
            return
        self._said, self._forgotten = number, None

    def forget(self) -> None:
        """Faults that were told before do not count; one that goes on is told again."""
        if self._said in self._settings.fault:
            self._said, self._forgotten = None, self._said

    def trouble(self, now: float) -> Reason[HoldKind]:
        settings, said = self._settings, self._said
        if settings.max_silence and (self._heard is None or now - self._heard > settings.max_silence):
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic}: nothing heard for {settings.max_silence:g} s")
        if said in settings.fault:
            return Reason(HoldKind.ROBOT_FAULT, f"{settings.topic} says {said}: {settings.fault[said]}")
        if said in settings.hold:
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic} says {said}: {settings.hold[said]}")
        if settings.ready and said is not None and said not in settings.ready:
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic} says {said}, expected one of {settings.ready}")
        return Reason(HoldKind.NONE)
