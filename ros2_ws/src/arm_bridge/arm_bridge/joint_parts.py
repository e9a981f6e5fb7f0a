"""Joints of one topic that several publishers say between them, as an arm's driver and its gripper's may do."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from arm_bridge.intake import FUTURE, SensorSample
from substep_core.contract import Joints


@dataclass(frozen=True)
class _Said:
    """Of one joint. stamp: ns of ROS time; velocity: None where it was not said."""

    stamp: int
    position: float
    velocity: float | None


class JointParts:
    """Puts messages together that have some of the joints each. One that has all of them stays as it is.

    Args:
        names: the joints that are wanted.
        max_skew: s by which what is put together may be apart.
        also: those that are wanted from the first time on that they are said here: several topics may say them.

    Attributes:
        names, also: as above; what has been said of the second is one of the first.
        awaited: the joint whose next message is waited for, and why; "" where none is.
    """

    def __init__(self, names: Set[str], max_skew: float, also: Set[str] = frozenset()) -> None:
        self.names, self.also, self._max_skew = set(names), set(also), max_skew
        self._said: dict[str, _Said] = {}
        self._last = 0
        self.awaited = ""

    def learn(self, sample: SensorSample) -> bool:
        """Whether a joint was said that is wanted from now on: what came before lacks it."""
        new = self.also & sample.value.position.keys()
        self.names |= new
        self.also -= new
        return bool(new)

    def whole(self, sample: SensorSample, now: int) -> SensorSample | None:
        """All that are wanted, at the stamp of the newest; None: one has not been said yet, or not lately enough, or
        the sample says none of them.

        Args:
            sample: its value is ``Joints``.
            now: ns of ROS time.
        """
        if self.names <= sample.value.position.keys():
            self.awaited = ""
            return sample
        if self.names.isdisjoint(sample.value.position):
            self.awaited = f"joint {min(self.names)} has not been said"
            return None
        self._take(sample, now)
        self.awaited = self._missing()
        if self.awaited or (stamp := self._newest) == self._last:
            return None
        self._last = stamp
        lately = {name: said for name, said in self._said.items() if stamp - said.stamp <= self._max_skew * 1e9}
        position = {name: said.position for name, said in lately.items()}
        velocity = {name: said.velocity for name, said in lately.items() if said.velocity is not None}
        content = hash((*position.items(), *velocity.items()))
        return SensorSample(stamp, content, Joints(position, velocity))

    @property
    def _newest(self) -> int:
        """ns. One that is wanted has been said."""
        return max(self._said[name].stamp for name in self.names & self._said.keys())

    def _missing(self) -> str:
        if never := self.names - self._said.keys():
            return f"joint {min(never)} has not been said"
        behind = min(self.names, key=lambda name: self._said[name].stamp)
        skew = (self._newest - self._said[behind].stamp) / 1e9
        if skew <= self._max_skew:
            return ""
        return f"joint {behind}: {skew:.3f} s behind the others, expected at most {self._max_skew:g} s"

    def _take(self, sample: SensorSample, now: int) -> None:
        latest = now + round(FUTURE * 1e9)  # what lies behind that is of before the clock was set back
        self._said = {name: said for name, said in self._said.items() if said.stamp <= latest}
        joints = sample.value
        for name, position in joints.position.items():
            if name not in self._said or sample.stamp > self._said[name].stamp:
                self._said[name] = _Said(sample.stamp, position, joints.velocity.get(name))
