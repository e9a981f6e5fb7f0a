"""A camera with a clock of its own: frames are taken at its rate, come later, and some never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from substep_core.units import NANOSECONDS


@dataclass(frozen=True)
class CameraSettings:
    """How pictures come.

    Attributes:
        rate: Hz; latency: s from the exposure to the message; jitter: s by which that varies, up to twice as much.
        drop: share of the frames that is lost.
    """

    rate: float = 20.0
    latency: float = 0.03
    jitter: float = 0.01
    drop: float = 0.01

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"camera rate {self.rate} Hz is out of range: expected more than 0")
        if not 0 <= self.jitter <= self.latency:
            raise ValueError(
                f"camera jitter {self.jitter} s is out of range: expected 0 to the latency, {self.latency}"
            )
        if not 0 <= self.drop < 1:
            raise ValueError(f"camera drop {self.drop} is out of range: expected 0 to below 1")


@dataclass(frozen=True)
class Exposure:
    """stamp: ns of the exposure; image: (H, W, 3) uint8 RGB, upright."""

    camera: str
    stamp: int
    image: np.ndarray


class CameraStream:
    """One camera.

    Args:
        phase: share of a period by which it comes later than one that starts at 0.
        now: ns; the first picture is that of the next period.

    Attributes:
        frozen: it gives the last picture again and again, with new stamps.
        stopped: it gives none.
    """

    def __init__(
        self,
        name: str,
        settings: CameraSettings,
        take: Callable[[], np.ndarray],
        phase: float,
        now: int,
        random: np.random.Generator,
    ) -> None:
        self.name, self.frozen, self.stopped = name, False, False
        self._settings, self._take, self._random = settings, take, random
        self._period = round(NANOSECONDS / settings.rate)
        self._offset = round(self._period * phase)
        self._slot = self._slot_at(now)
        self._last: np.ndarray | None = None
        self._coming: list[tuple[int, Exposure]] = []

    def periods_due(self, now: int) -> int:
        """Since its last exposure; 0: it is not due."""
        return self._slot_at(now) - self._slot

    def expose(self, now: int) -> None:
        """Takes the picture of this period."""
        self._slot = self._slot_at(now)
        if self.stopped:
            return
        if self._last is None or not self.frozen:
            self._last = self._take()
        if self._random.random() < self._settings.drop:
            return
        late = self._settings.latency + self._random.uniform(-1, 1) * self._settings.jitter
        comes = now + round(late * NANOSECONDS)
        if self._coming:
            comes = max(comes, self._coming[-1][0])  # one camera's pictures keep their order
        self._coming.append((comes, Exposure(self.name, now, self._last)))

    def arrived(self, now: int) -> list[Exposure]:
        """What has come since."""
        count = sum(comes <= now for comes, _ in self._coming)
        arrived, self._coming = self._coming[:count], self._coming[count:]
        return [picture for _, picture in arrived]

    def _slot_at(self, now: int) -> int:
        """Number of the period."""
        return (now - self._offset) // self._period
