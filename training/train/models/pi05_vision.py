"""The image network of a π0.5 that is trained frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from substep_policy.models.pi05.model import TASK
from substep_policy.models.pi05.vision import Convolution, ToldTokens

if TYPE_CHECKING:
    from training.train.models.pi05 import Pi05Inputs


@dataclass(frozen=True)
class Pi05ImageNetwork:
    """Implements ``training.train.models.frozen_vision.ImageNetwork``.

    The low level is told the substep, the high level the task.
    """

    network: Convolution
    inputs: Pi05Inputs

    level_of_task = TASK

    @property
    def features_shape(self) -> tuple[int, int]:
        return self.network.features_shape

    @property
    def tokenizer(self) -> str:
        return self.inputs.tokenizer.tokenizer.to_str() if self.network.is_told_words else ""

    def freeze(self) -> None:
        self.network.freeze_features()

    def see(self, frames: Tensor, told: Sequence[str]) -> Tensor:
        shown, arrays = self.inputs.images(frames, is_cropped=False)["pixel_values"], self.inputs.builder.told(told)
        words = (
            ToldTokens(*(torch.from_numpy(array).to(frames.device) for array in arrays.values())) if arrays else None
        )
        return self.network.features(shown, self.network.condition(words))
