"""What drivers say about themselves, as a reason to hold or as a fault."""

from __future__ import annotations

from arm_bridge.settings import StatusInput
from substep_core.protocol import HoldKind, Reason

REPEATED = 0.3  # s after a command in which a driver may still repeat what it said of an earlier one


class StatusWatch:
    """The last word of one driver on one topic."""

    def __init__(self, settings: StatusInput) -> None:
        self._settings = settings
        self._said: int | None = None
        self._heard: float | None = None
        self._forgotten: int | None = None
        self._is_commanded = False  # since it was forgotten
        self._again: float | None = None  # s at which it was first said again after that

    def hear(self, number: int, now: float) -> None:
        """now: s, monotonic."""
        self._heard = now
        if number == self._forgotten:
            if self._is_commanded and self._again is None:
                self._again = now
            return
        self._said, self._forgotten, self._again = number, None, None

    def forget(self) -> None:
        """Faults of commands that were told before do not count. A robot's state does: it may be said once only."""
        if self._settings.of_commands and self._said in self._settings.fault:
            self._said, self._forgotten, self._again = None, self._said, None
            self._is_commanded = False

    def commanded(self) -> None:
        """A command has left: what is said from now on, and is not taken back, may be about it."""
        self._is_commanded = True

    def trouble(self, now: float) -> Reason[HoldKind]:
        settings, said = self._settings, self._said
        if self._again is not None and now - self._again > REPEATED:
            said = self._forgotten
        if settings.max_silence and (self._heard is None or now - self._heard > settings.max_silence):
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic}: nothing heard for {settings.max_silence:g} s")
        if said in settings.fault:
            return Reason(HoldKind.ROBOT_FAULT, f"{settings.topic} says {said}: {settings.fault[said]}")
        if said in settings.hold:
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic} says {said}: {settings.hold[said]}")
        if settings.ready and said is None and self._forgotten is None:
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic}: nothing heard, expected one of {settings.ready}")
        if settings.ready and said is not None and said not in settings.ready:
            return Reason(HoldKind.ROBOT_HALTED, f"{settings.topic} says {said}, expected one of {settings.ready}")
        return Reason(HoldKind.NONE)
