"""What the model takes, and a checkpoint as a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_policy.device import choose_device
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.normalization import fitting_statistics
from substep_policy.registry import PolicySettings
from two_arms.glance.model import CHECKPOINTS, GlanceConfig


def heard(instructions: Sequence[str], config: GlanceConfig) -> np.ndarray:
    """-> (B, words) float32, 1 where the word is said."""
    return np.array([[word in text.split() for word in config.words] for text in instructions], np.float32)


def seen(images: Mapping[str, np.ndarray], config: GlanceConfig) -> np.ndarray:
    """-> (cameras, S, S, 3) uint8."""
    return np.stack([cv2.resize(images[name], (config.image_size,) * 2) for name in config.cameras])


class GlancePolicy:
    """Implements ``substep_policy.policy.Policy``."""

    requires_scene, dtype = False, "float32"

    def __init__(self, folder: Path, settings: PolicySettings) -> None:
        config, model = CHECKPOINTS.load(folder)
        statistics = fitting_statistics(folder, config, settings.dataset)
        config = replace(config, eos=config.eos.at(settings.eos_threshold, folder))
        self.name, self.robot = f"glance:{folder.name}", config.robot
        self.cameras, self.horizon = config.cameras, config.chunk_length
        self._device = choose_device(settings.device)
        self.device = str(self._device)
        self._config, self._model, self._proprio = config, model.to(self._device), statistics.proprio
        self._chunks = ChunkBuilder.build(model, config, statistics.action)

    def start_substep(self, instruction: str, task: str) -> None:
        self._words = heard([instruction], self._config)

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        batch = {
            "images": seen(observation.images, self._config)[None],
            "words": self._words,
            "proprio": self._proprio.normalize(observation.proprio[None]),
        }
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in batch.items()}
        return self._chunks.chunk(*self._model.act(tensors))
