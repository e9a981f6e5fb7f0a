"""Groups camera images by their stamp into one view of all cameras."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from substep_core.observation_sync import ObservationSync

PATIENCE = 20  # frames of the other cameras after which one that sent none is missed


class CameraViews:
    """The messages of all cameras with the same stamp.

    Args:
        cameras: whose frames are wanted.
    """

    def __init__(self, cameras: Sequence[str]) -> None:
        self._sync = ObservationSync(cameras)
        self._seen: Counter[str] = Counter({camera: 0 for camera in cameras})

    def add(self, camera: str, stamp: int, message: Any) -> dict[str, Any] | None:
        """Camera -> message of this stamp (ns) if this one completes it."""
        self._seen[camera] += 1
        self._sync.add(camera, stamp, message)
        return self._sync.messages(stamp)

    @property
    def missed(self) -> list[str]:
        """Cameras that have sent nothing while others have sent a lot."""
        if max(self._seen.values()) < PATIENCE:
            return []
        return [camera for camera, count in self._seen.items() if count == 0]
