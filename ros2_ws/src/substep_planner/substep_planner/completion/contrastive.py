"""Zero-shot completion: similarity of the frame and the substep's expected effect in a CLIP-like model.

Source: the visual switching of the substep fine-tuning method (cosine similarity, threshold 0.25). SigLIP's own
calibrated sigmoid (Zhai et al. 2023) is the other measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from substep_core.plan import Substep
from substep_planner.completion.registry import CompletionSettings
from substep_planner.completion.scorer import warn_of_default
from substep_planner.completion.unread import NOT_DONE, whole_texts

THRESHOLDS = {"cosine": 0.25, "sigmoid": 0.5}


class Encoder(Protocol):
    """A model with an image and a text tower."""

    name: str
    logit_scale: float  # of the sigmoid, already exponentiated
    logit_bias: float | None  # None: the model was not trained with a sigmoid

    def fits(self, text: str) -> bool:
        """Whether the model reads the text whole."""

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(n, D) features of texts that fit, n at least 1, of any length."""

    def image(self, image: np.ndarray) -> torch.Tensor:
        """(D,) features of an (H, W, 3) uint8 RGB image, which the model preprocesses as it was trained."""


class ContrastiveScorer:
    """Compares the frame with the expected effect of the substep.

    Args:
        settings: the measure ("cosine", or "sigmoid": the model's own probability that text and image belong
            together), the camera, and the threshold where one was chosen.

    Raises:
        ValueError: the measure is unknown, or the model has no sigmoid.
    """

    def __init__(self, encoder: Encoder, settings: CompletionSettings) -> None:
        measure = settings.measure
        if measure not in THRESHOLDS:
            raise ValueError(f"measure is {measure!r}, expected one of {', '.join(THRESHOLDS)}")
        if measure == "sigmoid" and encoder.logit_bias is None:
            raise ValueError(f"{encoder.name} was not trained with a sigmoid: use measure 'cosine'")
        self.name = encoder.name
        self.cameras = (settings.camera,)
        self.threshold = THRESHOLDS[measure]
        if settings.threshold is None:
            warn_of_default(self.name, self.threshold)
        self._encoder = encoder
        self._measure = measure
        self._effects: dict[int, torch.Tensor] = {}

    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """See ``CompletionScorer``."""
        effects = [substep.expected_effect for substep in substeps]
        numbers = whole_texts(effects, self._encoder.fits, self.name)
        features = self._encoder.texts([effects[number] for number in numbers]) if numbers else []
        self._effects = {
            number: torch.nn.functional.normalize(feature, dim=-1)
            for number, feature in zip(numbers, features, strict=True)
        }

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        """See ``CompletionScorer``."""
        if index not in self._effects:
            return NOT_DONE
        features = torch.nn.functional.normalize(self._encoder.image(images[self.cameras[0]]), dim=-1)
        cosine = torch.dot(features, self._effects[index])
        if self._measure == "cosine":
            return cosine.item()
        return torch.sigmoid(cosine * self._encoder.logit_scale + self._encoder.logit_bias).item()
