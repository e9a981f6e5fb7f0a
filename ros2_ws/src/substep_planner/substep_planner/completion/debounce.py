"""Debounce: a substep counts as seen done after several frames in a row say so."""

from __future__ import annotations


class Debounce:
    """True once ``frames`` frames in a row have reached the threshold, until one does not."""

    def __init__(self, threshold: float, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"frames is {frames}, expected at least 1")
        self._threshold = threshold
        self._frames = frames
        self._row = 0

    def update(self, score: float) -> bool:
        """The verdict after one more frame."""
        self._row = self._row + 1 if score >= self._threshold else 0
        return self._row >= self._frames

    def reset(self) -> None:
        """Another substep: what was seen before does not count."""
        self._row = 0
