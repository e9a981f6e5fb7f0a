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
    """

    def __init__(self, names: Set[str], max_skew: float) -> None:
        self._names, self._max_skew = names, max_skew
        self._said: dict[str, _Said] = {}
        self._last = 0

    def whole(self, sample: SensorSample, now: int) -> SensorSample | None:
        """All that are wanted, at the stamp of the one that is furthest behind; None: that one has not been said anew.

        Args:
            sample: its value is ``Joints``.
            now: ns of ROS time.

        Raises:
            ValueError: a joint has not been said, or not lately; the message names it.
        """
        if self._names <= sample.value.position.keys():
            return sample
        self._take(sample, now)
        if missing := self._names - self._said.keys():
            raise ValueError(f"a message without joint {min(missing)}")
        behind = min(self._names, key=lambda name: self._said[name].stamp)
        stamp, newest = self._said[behind].stamp, max(self._said[name].stamp for name in self._names)
        if (skew := (newest - stamp) / 1e9) > self._max_skew:
            raise ValueError(f"joint {behind}: {skew:.3f} s behind the others, expected at most {self._max_skew:g} s")
        if stamp == self._last:
            return None
        self._last = stamp
        lately = {name: said for name, said in self._said.items() if said.stamp >= stamp}
        position = {name: said.position for name, said in lately.items()}
        velocity = {name: said.velocity for name, said in lately.items() if said.velocity is not None}
        content = hash((*position.items(), *velocity.items()))
        return SensorSample(stamp, content, Joints(position, velocity))

    def _take(self, sample: SensorSample, now: int) -> None:
        latest = now + round(FUTURE * 1e9)  # what lies behind that is of before the clock was set back
        self._said = {name: said for name, said in self._said.items() if said.stamp <= latest}
        joints = sample.value
        for name, position in joints.position.items():
            if name not in self._said or sample.stamp > self._said[name].stamp:
                self._said[name] = _Said(sample.stamp, position, joints.velocity.get(name))
