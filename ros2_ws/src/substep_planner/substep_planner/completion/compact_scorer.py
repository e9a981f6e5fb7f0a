"""The trained completion model as a scorer: the one that ships with the project, or one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from substep_planner.completion.compact_model import load_completion_model, substep_text
from substep_planner.completion.registry import CompletionSettings
from substep_planner.plan import Substep
from substep_policy.backbones.compact import TextFeatures
from substep_policy.compact_policy import choose_device


class CompactScorer:
    """The model's probability that the substep is done. Words are encoded once a plan.

    Raises:
        CheckpointError: the folder holds no whole model.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._device = choose_device(device)
        config, model, self._inputs = load_completion_model(folder)
        self._model = model.to(self._device)
        self.name = f"compact:{folder.name}"
        self.cameras, self.threshold = config.cameras, config.threshold
        self._texts: list[TextFeatures] = []

    @torch.inference_mode()
    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """See ``CompletionScorer``."""
        ids, mask = (
            tensor.to(self._device) for tensor in self._inputs.texts([substep_text(substep) for substep in substeps])
        )
        self._texts = [self._model.encode_text(ids[n : n + 1], mask[n : n + 1]) for n in range(len(substeps))]

    @torch.inference_mode()
    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        """See ``CompletionScorer``. Raises: ValueError: a camera is missing."""
        frames = torch.from_numpy(self._inputs.images(images)[None]).to(self._device)
        return torch.sigmoid(self._model(frames, self._texts[index])).item()


def shipped_model() -> Path:
    """The folder of the model that ships with the project."""
    return Path(str(files("substep_planner") / "data" / "completion"))


def create(settings: CompletionSettings) -> CompactScorer:
    return CompactScorer(Path(settings.model).expanduser() if settings.model else shipped_model(), settings.device)
