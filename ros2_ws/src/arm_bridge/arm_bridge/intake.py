"""Takes in what sensors say, each at its own rate and with its own delay, and puts one observation together.

A sample that is older than the one before it (late, out of order, said twice) is dropped, and so is one from the
future, also one that has come to lie there since the clock was set back. What is left must be recent, and close enough
to the observation's instant: the stamp of the input that is furthest behind. An input whose content stays the same to
the last bit though the arm has moved is taken for frozen. What turns out to be no picture when it is decoded is dropped
then, and from there on only pictures that were decoded count for an input's age, until one is again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from substep_core.protocol import HoldKind, Reason

REPEATS = 3  # samples that say the same, at least, before an input counts as frozen
FUTURE = 0.05  # s by which clocks may differ
NEVER = -1
NOTHING_AMISS = Reason(HoldKind.NONE)


@dataclass(frozen=True)
class InputLimits:
    """What one input must be like.

    Attributes:
        max_age: s between its stamp and now.
        max_skew: s between its stamp and the observation's.
        frozen_motion: m or rad that the arm may move while the input says the same; 0: it is not looked at.
    """

    max_age: float
    max_skew: float
    frozen_motion: float = 0.0


@dataclass(frozen=True)
class SensorSample:
    """stamp: ns of ROS time; content: of it, to tell whether it has changed; value: whatever was said."""

    stamp: int
    content: int
    value: Any


class Input:
    """One stream of samples.

    Args:
        memory: s of samples that are kept: as old as another input may be.

    Attributes:
        dropped: samples that were not taken, by why.
    """

    def __init__(self, name: str, limits: InputLimits, memory: float) -> None:
        self.name, self.limits, self._memory = name, limits, round(memory * 1e9)
        self.samples: deque[SensorSample] = deque()
        self.dropped = {"old": 0, "future": 0, "malformed": 0}
        self._changed_at = 0.0  # way of the arm when the content changed last
        self._repeated, self._repeated_at = 0, 0.0  # samples that said the same since, and way of the arm at the last
        self._last_drop, self._awaited = "", ""
        self._read, self._unreadable = NEVER, NEVER  # ns: stamps of the newest samples that could be read, and not

    def add(self, sample: SensorSample, now: int, way: float) -> None:
        """Take a sample in. now: ns of ROS time; way: m or rad that the arm has moved so far."""
        if sample.stamp > now + FUTURE * 1e9:
            self._drop("future", f"its stamp is {(sample.stamp - now) / 1e9:.3f} s in the future")
            return
        if self._ahead(now) > FUTURE:
            self._drop("future", f"the clock was set back by {self._ahead(now):.3f} s at least")
            self.forget()
        if self.samples and sample.stamp <= self.samples[-1].stamp:
            self._drop("old", f"its stamps went back by {(self.samples[-1].stamp - sample.stamp) / 1e9:.3f} s")
            return
        if self.samples and sample.content == self.samples[-1].content:
            self._repeated, self._repeated_at = self._repeated + 1, way
        else:
            self._changed_at, self._repeated = way, 0
        self.samples.append(sample)
        while len(self.samples) > 1 and self.samples[1].stamp <= sample.stamp - self._memory:
            self.samples.popleft()
        self._last_drop = ""

    def trouble(self, now: int) -> str:
        """What is amiss; empty: nothing."""
        if not self.samples:
            return f"{self.name}: nothing has come{self._why()}"
        is_readable = self._unreadable <= self._read
        if not is_readable and self._read == NEVER:
            return f"{self.name}: nothing has come that can be read{self._why()}"
        age = (now - (self.samples[-1].stamp if is_readable else self._read)) / 1e9
        if age > self.limits.max_age:
            return f"{self.name}: {age:.2f} s old, expected at most {self.limits.max_age:g} s{self._why()}"
        if -age > FUTURE:
            return f"{self.name}: its stamp is {-age:.3f} s in the future: the clock was set back"
        moved = self._repeated_at - self._changed_at
        if self.limits.frozen_motion and self._repeated >= REPEATS and moved > self.limits.frozen_motion:
            return f"{self.name}: frozen, the same again and again while the arm moved by {moved:.3f}"
        return ""

    @property
    def newest(self) -> SensorSample | None:
        return self.samples[-1] if self.samples else None

    def refuse(self, why: str) -> None:
        """A sample came that is none."""
        self._drop("malformed", why)

    def read(self, sample: SensorSample, why: str = "") -> None:
        """A sample was looked at. why: it turned out to be none; "": it is one."""
        if not why:
            self._read = max(self._read, sample.stamp)
            return
        self._unreadable = max(self._unreadable, sample.stamp)
        self.samples = deque(each for each in self.samples if each is not sample)
        self.refuse(why)

    def awaits(self, what: str) -> None:
        """A part came of what makes a sample. what: the part that is waited for; "": none is."""
        self._awaited = what

    def nearest(self, stamp: int) -> SensorSample:
        """Raises: ValueError: nothing has come."""
        if not self.samples:
            raise ValueError(f"{self.name}: nothing has come")
        later = None
        for sample in reversed(self.samples):  # their stamps grow
            if sample.stamp <= stamp:
                return sample if later is None or stamp - sample.stamp <= later.stamp - stamp else later
            later = sample
        return later

    def forget(self) -> None:
        self.samples.clear()
        self._repeated = 0
        self._read, self._unreadable = NEVER, NEVER

    def _ahead(self, now: int) -> float:
        """s by which what was taken last is ahead of the clock."""
        return (self.samples[-1].stamp - now) / 1e9 if self.samples else 0.0

    def _drop(self, kind: str, why: str) -> None:
        self.dropped[kind] += 1
        self._last_drop = why

    def _why(self) -> str:
        why = self._awaited or self._last_drop
        return f" ({why})" if why else ""


class Intake:
    """All inputs of one robot."""

    def __init__(self, limits: Mapping[str, InputLimits]) -> None:
        memory = FUTURE + max((each.max_age for each in limits.values()), default=0.0)
        self.inputs = {name: Input(name, each, memory) for name, each in limits.items()}

    def add(self, name: str, sample: SensorSample, now: int, way: float) -> None:
        self.inputs[name].add(sample, now, way)

    def observation(self) -> tuple[int, dict[str, SensorSample]] | None:
        """The newest instant (ns) of which every input has a sample, and those; None: nothing has come of one."""
        if not all(each.samples for each in self.inputs.values()):
            return None
        stamp = min(each.samples[-1].stamp for each in self.inputs.values())
        return stamp, {name: each.nearest(stamp) for name, each in self.inputs.items()}

    def forget(self) -> None:
        """What was seen before does not count: the scene was changed."""
        for each in self.inputs.values():
            each.forget()

    def apart(self) -> Reason[HoldKind]:
        """Whether an input is too far from the others; every input has spoken."""
        stamp, samples = self.observation()
        for name, sample in samples.items():
            skew, limit = abs(sample.stamp - stamp) / 1e9, self.inputs[name].limits.max_skew
            if skew > limit:
                why = f"{name}: {skew:.3f} s apart from the others, expected at most {limit:g} s"
                return Reason(HoldKind.OBSERVATION_LOST, why)
        return NOTHING_AMISS
