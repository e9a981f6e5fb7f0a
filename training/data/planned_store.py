"""What a store of demonstrations is going to hold, all but the frames: what is wrong is found before those are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.frame_cache import StoredEpisode, StoreFormat, stack_steps, unstack_steps
from training.data.readers import Demonstration


class PlannedStore:
    """Stands in for a ``DemonstrationStore`` where nobody looks at frames."""

    def __init__(self, demonstrations: Sequence[Demonstration], format: StoreFormat) -> None:
        self.format = format
        self._steps = np.concatenate([stack_steps(demonstration) for demonstration in demonstrations])
        ends = np.cumsum([len(demonstration) for demonstration in demonstrations])
        self.episodes = [
            StoredEpisode(
                item.suite, item.task, item.episode, item.instruction, end - len(item), len(item), item.collection
            )
            for item, end in zip(demonstrations, ends.tolist(), strict=True)
        ]

    def frames(self) -> None:
        """There are none."""

    def steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As of a ``DemonstrationStore``."""
        return unstack_steps(self._steps, self.format.robot)
