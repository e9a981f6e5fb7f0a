"""The trained completion model as a scorer: the one that ships with the project, or one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from substep_core.plan import Substep
from substep_planner.completion.compact_model import load_completion_model, substep_text
from substep_planner.completion.registry import CompletionSettings
from substep_planner.completion.scorer import warn_of_default
from substep_planner.completion.unread import NOT_DONE, whole_texts
from substep_policy.device import choose_device
from substep_policy.models.compact.backbone import TextFeatures


class CompactScorer:
    """The model's probability that the substep is done. Words are encoded once a plan.

    Args:
        threshold: that was chosen in place of the model's own.

    Raises:
        CheckpointError: the folder holds no whole model.
    """

    def __init__(self, folder: Path, device: str, threshold: float | None = None) -> None:
        self._device = choose_device(device)
        config, model, self._inputs = load_completion_model(folder)
        self._model = model.to(self._device)
        self.name = f"compact:{folder.name}"
        self.cameras, self.threshold = config.cameras, config.threshold
        if threshold is None and not config.calibrated:
            warn_of_default(self.name, self.threshold)
        self._texts: dict[int, TextFeatures] = {}

    @torch.inference_mode()
    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """See ``CompletionScorer``."""
        texts = [substep_text(substep) for substep in substeps]
        numbers = whole_texts(texts, self._inputs.tokenizer.fits, self.name)
        self._texts = {number: self._encode(texts[number]) for number in numbers}

    @torch.inference_mode()
    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        """See ``CompletionScorer``. Raises: ValueError: a camera is missing."""
        if index not in self._texts:
            return NOT_DONE
        frames = torch.from_numpy(self._inputs.images(images)[None]).to(self._device)
        return torch.sigmoid(self._model(frames, self._texts[index])).item()

    def _encode(self, text: str) -> TextFeatures:
        return self._model.encode_text(*(tensor.to(self._device) for tensor in self._inputs.texts([text])))


def shipped_model() -> Path:
    """The folder of the model that ships with the project."""
    return Path(str(files("substep_planner") / "data" / "completion"))


def create(settings: CompletionSettings) -> CompactScorer:
    folder = Path(settings.model).expanduser() if settings.model else shipped_model()
    return CompactScorer(folder, settings.device, settings.threshold)
