"""When a substep is over: rules that weigh the policy's EOS against what the completion scorer sees.

An EOS that was played out leaves the bridge waiting for another substep or another attempt, so every rule answers it
with ``ADVANCE``, with ``REISSUE`` (the same substep again), or stays for a moment until a frame has been scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

CONFIRMATION_WAIT = 2.0  # s of wall time; the world stands still meanwhile


class Verdict(Enum):
    STAY = "stay"
    ADVANCE = "advance"
    REISSUE = "reissue"


@dataclass(frozen=True)
class Decision:
    """What to do about the active substep, and the reason as it is shown to people."""

    verdict: Verdict
    reason: str = ""


STAY = Decision(Verdict.STAY)


class SwitchRule(Protocol):
    """Weighs the signals of one substep at a time."""

    uses_vision: bool

    def begin(self) -> None:
        """A substep begins, or begins again after a retry."""

    def on_chunk(self, eos: bool) -> None:
        """A chunk is about to be played; ``eos``: it will end the substep."""

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        """A chunk that ended in an EOS was played out at world time ``stamp`` (ns), control step ``step``."""

    def on_frame(self, completed: bool, stamp: int, step: int) -> Decision:
        """A frame of world time ``stamp`` (ns) was scored."""

    def on_time(self, now: float) -> Decision:
        """Wall time in s, monotonic."""


class EosRule:
    """The policy's EOS alone."""

    uses_vision = False

    def begin(self) -> None: ...

    def on_chunk(self, eos: bool) -> None: ...

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        return Decision(Verdict.ADVANCE, "eos")

    def on_frame(self, completed: bool, stamp: int, step: int) -> Decision:
        return STAY

    def on_time(self, now: float) -> Decision:
        return STAY


class VisionRule(EosRule):
    """The completion scorer alone; an EOS only makes the policy start the substep again."""

    uses_vision = True

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        return Decision(Verdict.REISSUE, "eos not heeded")

    def on_frame(self, completed: bool, stamp: int, step: int) -> Decision:
        return Decision(Verdict.ADVANCE, "vision") if completed else STAY


class EitherRule(EosRule):
    """Whichever comes first; an EOS that is being played out comes before vision."""

    uses_vision = True

    def __init__(self) -> None:
        self._eos_coming = False

    def begin(self) -> None:
        self._eos_coming = False

    def on_chunk(self, eos: bool) -> None:
        self._eos_coming = eos

    def on_frame(self, completed: bool, stamp: int, step: int) -> Decision:
        return Decision(Verdict.ADVANCE, "vision") if completed and not self._eos_coming else STAY


@dataclass
class EosThenVisionRule:
    """An EOS that the completion scorer confirms within ``confirm_steps`` control steps."""

    confirm_steps: int
    uses_vision: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if self.confirm_steps < 0:
            raise ValueError(f"confirm_steps is {self.confirm_steps}, expected 0 or more control steps")
        self.begin()

    def begin(self) -> None:
        self._seen: tuple[int, bool] | None = None  # stamp of the newest scored frame and its verdict
        self._claimed_at: int | None = None  # step of the EOS that is still to be confirmed
        self._awaited: tuple[int, float] | None = None  # stamp of the frame that the world waits for, and since when

    def on_chunk(self, eos: bool) -> None: ...

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        self._claimed_at = step
        if self._seen is not None and self._seen[0] >= stamp:
            return self._confirmed() if self._seen[1] else self._go_on("eos not confirmed by vision")
        self._awaited = (stamp, now)
        return STAY

    def on_frame(self, completed: bool, stamp: int, step: int) -> Decision:
        self._seen = (stamp, completed)
        if self._claimed_at is None:
            return STAY
        if step - self._claimed_at > self.confirm_steps:
            self._claimed_at = None
            return STAY
        if completed:
            return self._confirmed()
        if self._awaited is not None and stamp >= self._awaited[0]:
            return self._go_on("eos not confirmed by vision")
        return STAY

    def on_time(self, now: float) -> Decision:
        if self._awaited is not None and now - self._awaited[1] > CONFIRMATION_WAIT:
            return self._go_on(f"no frame was scored within {CONFIRMATION_WAIT} s of the eos")
        return STAY

    def _confirmed(self) -> Decision:
        self._awaited = None
        return Decision(Verdict.ADVANCE, "eos confirmed by vision")

    def _go_on(self, reason: str) -> Decision:
        self._awaited = None
        return Decision(Verdict.REISSUE, reason)


SWITCH_RULES = ("eos", "vision", "eos_then_vision", "either")


def make_switch_rule(name: str, confirm_steps: int = 20) -> SwitchRule:
    """The rule of that name.

    Raises:
        ValueError: there is no such rule.
    """
    if name == "eos":
        return EosRule()
    if name == "vision":
        return VisionRule()
    if name == "either":
        return EitherRule()
    if name == "eos_then_vision":
        return EosThenVisionRule(confirm_steps)
    raise ValueError(f"unknown switch rule {name!r}, expected one of {', '.join(SWITCH_RULES)}")
