"""How it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from substep_policy.models.normalization import Statistics
from training.data.dataset import Sample
from training.data.frame_cache import StoreFormat
from training.train.config import FinetuneConfig
from training.train.models.plain import PlainTraining
from two_arms.glance.model import CHECKPOINTS, GlanceConfig
from two_arms.glance.policy import heard


@dataclass(frozen=True)
class GlanceInputs:
    """Implements ``training.train.models.ModelInputs``."""

    config: GlanceConfig
    proprio_statistics: Statistics

    def text(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        return {"words": heard([sample.instruction for sample in samples], self.config)}

    def check(self, instructions: Sequence[str]) -> None:
        """It can hear any."""

    def fits(self, instruction: str) -> bool:
        return True

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        return self.proprio_statistics.normalize(proprio)

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        return {"images": frames}

    def save(self, folder: Path) -> None:
        """Its words are in its configuration."""


class GlanceTraining(PlainTraining[GlanceConfig]):
    """Implements ``training.train.models.ModelTraining``."""

    @property
    def store_format(self) -> StoreFormat:
        return StoreFormat(self.config.robot, self.config.cameras, self.config.image_size)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        return Statistics.of(proprio)

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> GlanceInputs:
        return GlanceInputs(self.config, proprio)


def training(run: FinetuneConfig) -> GlanceTraining:
    return GlanceTraining(CHECKPOINTS, run)
