"""Switch rules: when a substep is over, by the policy's EOS, by what the completion scorer sees, or by both.

An EOS that was played out leaves the bridge waiting for another substep or another attempt, so every rule answers it
with ``ADVANCE``, with ``REISSUE`` (the same substep again), with ``RETRY`` (it failed), or stays for a moment until a
frame has been scored. A package adds a rule with an entry point in ``substep.switch_rules``, a function from settings
to a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from pydantic import Field

from substep_core.configuration import configuration
from substep_core.protocol import Cause, Reason
from substep_core.registry import Registry
from substep_planner.manager.events import FrameScored

CONFIRMATION_WAIT = 2.0  # s of wall time; the world stands still meanwhile
NOT_SCORED = Reason(Cause.EOS_NOT_SCORED, f"no frame within {CONFIRMATION_WAIT} s of it")


class Verdict(Enum):
    STAY = "stay"
    ADVANCE = "advance"
    REISSUE = "reissue"
    RETRY = "retry"  # the substep failed and is to be tried again; where no retry is left, ADVANCE


@dataclass(frozen=True)
class Decision:
    """What to do about the active substep, and why."""

    verdict: Verdict
    reason: Reason[Cause] = Reason(Cause.NONE)


STAY = Decision(Verdict.STAY)


@configuration
class SwitchSettings:
    """What rules can be told; the planner's parameters and the options of ``./substep eval`` are these fields."""

    confirm_steps: int = Field(
        default=20,
        ge=0,
        le=10_000,
        description="eos_then_vision: control steps within which vision must confirm an EOS",
    )
    denial_threshold: float = Field(
        default=0.1,
        ge=-1.0,
        le=1.0,
        description="eos_unless_denied: score below which a frame shows that the substep is not done; the default is "
        "for the compact scorer's probability",
    )


DEFAULTS = SwitchSettings()


class SwitchRule(Protocol):
    """Weighs the signals of one substep at a time."""

    uses_vision: bool

    def begin(self) -> None:
        """A substep begins, or begins again after a retry."""

    def on_chunk(self, eos: bool) -> None:
        """A chunk is about to be played; ``eos``: it will end the substep."""

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        """A chunk that ended in an EOS was played out at world time ``stamp`` (ns), control step ``step``."""

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        """A frame was scored; control step ``step`` is the newest."""

    def on_time(self, now: float) -> Decision:
        """Wall time in s, monotonic."""


class EosSwitchRule:
    """The policy's EOS alone."""

    uses_vision = False

    def __init__(self, settings: SwitchSettings = DEFAULTS) -> None: ...

    def begin(self) -> None: ...

    def on_chunk(self, eos: bool) -> None: ...

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        return Decision(Verdict.ADVANCE, Reason(Cause.EOS))

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        return STAY

    def on_time(self, now: float) -> Decision:
        return STAY


class VisionSwitchRule(EosSwitchRule):
    """The completion scorer alone; an EOS only makes the policy start the substep again."""

    uses_vision = True

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        return Decision(Verdict.REISSUE, Reason(Cause.EOS_NOT_HEEDED))

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        return Decision(Verdict.ADVANCE, Reason(Cause.VISION)) if frame.completed else STAY


class EitherSwitchRule(EosSwitchRule):
    """Whichever comes first; an EOS that is being played out comes before vision."""

    uses_vision = True

    def __init__(self, settings: SwitchSettings = DEFAULTS) -> None:
        self.begin()

    def begin(self) -> None:
        self._eos_coming = False

    def on_chunk(self, eos: bool) -> None:
        self._eos_coming = eos

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        return Decision(Verdict.ADVANCE, Reason(Cause.VISION)) if frame.completed and not self._eos_coming else STAY


@dataclass
class EosThenVisionSwitchRule:
    """An EOS that the completion scorer confirms within ``confirm_steps`` control steps."""

    settings: SwitchSettings = DEFAULTS
    uses_vision: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._seen: tuple[int, bool] | None = None  # stamp of the newest scored frame and its verdict
        self._claimed_at: int | None = None  # step of the EOS that is still to be confirmed
        self._awaited: tuple[int, float] | None = None  # stamp of the frame that the world waits for, and since when

    def on_chunk(self, eos: bool) -> None: ...

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        self._claimed_at = step
        if self._seen is not None and self._seen[0] >= stamp:
            return self._confirmed() if self._seen[1] else self._go_on(Reason(Cause.EOS_NOT_CONFIRMED_BY_VISION))
        self._awaited = (stamp, now)
        return STAY

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        self._seen = (frame.stamp, frame.completed)
        if self._claimed_at is None:
            return STAY
        if step - self._claimed_at > self.settings.confirm_steps:
            self._claimed_at = None
            return STAY
        if frame.completed:
            return self._confirmed()
        if self._awaited is not None and frame.stamp >= self._awaited[0]:
            return self._go_on(Reason(Cause.EOS_NOT_CONFIRMED_BY_VISION))
        return STAY

    def on_time(self, now: float) -> Decision:
        if self._awaited is not None and now - self._awaited[1] > CONFIRMATION_WAIT:
            return self._go_on(NOT_SCORED)
        return STAY

    def _confirmed(self) -> Decision:
        self._awaited = None
        return Decision(Verdict.ADVANCE, Reason(Cause.EOS_CONFIRMED_BY_VISION))

    def _go_on(self, reason: Reason[Cause]) -> Decision:
        self._awaited = None
        return Decision(Verdict.REISSUE, reason)


@dataclass
class EosUnlessDeniedSwitchRule(EosSwitchRule):
    """An EOS, unless the frame after it scores below ``denial_threshold``: then the substep has surely failed.

    One frame is enough, and the bar is far lower than that of a completion: a policy that says it is done mostly is.
    When all retries are used up its word stands, so that a scorer that does not see what was done stops nothing.
    """

    settings: SwitchSettings = DEFAULTS
    uses_vision: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._seen: FrameScored | None = None
        self._awaited: tuple[int, float] | None = None  # stamp of the frame that the world waits for, and since when

    def on_eos(self, stamp: int, step: int, now: float) -> Decision:
        self._awaited = (stamp, now)
        return STAY if self._seen is None else self._judge(self._seen)

    def on_frame(self, frame: FrameScored, step: int) -> Decision:
        self._seen = frame
        return self._judge(frame)

    def on_time(self, now: float) -> Decision:
        if self._awaited is None or now - self._awaited[1] <= CONFIRMATION_WAIT:
            return STAY
        self._awaited = None
        return Decision(Verdict.ADVANCE, NOT_SCORED)

    def _judge(self, frame: FrameScored) -> Decision:
        if self._awaited is None or frame.stamp < self._awaited[0]:
            return STAY
        self._awaited = None
        if frame.similarity < self.settings.denial_threshold:
            return Decision(Verdict.RETRY, Reason(Cause.EOS_DENIED_BY_VISION))
        return Decision(Verdict.ADVANCE, Reason(Cause.EOS))


SwitchRuleRegistry = Registry[Callable[[SwitchSettings], SwitchRule]]
SWITCH_RULES: SwitchRuleRegistry = Registry("switch rule", "substep.switch_rules")


def make_switch_rule(
    name: str, settings: SwitchSettings = DEFAULTS, registry: SwitchRuleRegistry = SWITCH_RULES
) -> SwitchRule:
    """The rule of that name.

    Raises:
        RegistryError: there is no such rule.
    """
    return registry.load(name)(settings)
