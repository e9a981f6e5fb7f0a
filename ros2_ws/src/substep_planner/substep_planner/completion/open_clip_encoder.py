"""SigLIP (or CLIP) through open_clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import open_clip
import torch
from PIL import Image

from substep_planner.completion.contrastive import ContrastiveScorer
from substep_planner.completion.registry import CompletionSettings
from substep_policy.device import choose_device

DEFAULT_MODEL = "hf-hub:timm/ViT-B-16-SigLIP"


class OpenClipEncoder:
    """A model by open_clip's own names: "hf-hub:organisation/model", "local-dir:folder", or "name/pretrained tag".

    Raises:
        Exception: whatever open_clip raises for a model that cannot be loaded.
    """

    def __init__(self, model: str, device: str) -> None:
        self.name = f"open_clip:{model}"
        self._device = choose_device(device)
        name, _, tag = (model, "", "") if ":" in model else model.partition("/")
        network, self._preprocess = open_clip.create_model_from_pretrained(name, tag or None, device=self._device)
        self._network = network.eval()
        self._tokenizer = open_clip.get_tokenizer(name)
        bias = getattr(network, "logit_bias", None)
        self.logit_bias = None if bias is None else bias.item()
        self.logit_scale = network.logit_scale.exp().item()

    def fits(self, text: str) -> bool:
        """See ``Encoder``. With room for twice as much, a text that fits gains padding and nothing else."""
        length = self._tokenizer.context_length
        narrow, wide = (
            Counter(self._tokenizer([text], context_length=room)[0].tolist()) for room in (length, 2 * length)
        )
        return narrow <= wide and len(wide - narrow) == 1

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """See ``Encoder``."""
        return self._network.encode_text(self._tokenizer(list(texts)).to(self._device)).cpu()

    @torch.inference_mode()
    def image(self, image: np.ndarray) -> torch.Tensor:
        """See ``Encoder``."""
        pixels = self._preprocess(Image.fromarray(image)).unsqueeze(0)
        return self._network.encode_image(pixels.to(self._device))[0].cpu()


def create(settings: CompletionSettings) -> ContrastiveScorer:
    encoder = OpenClipEncoder(settings.model or DEFAULT_MODEL, settings.device)
    return ContrastiveScorer(encoder, settings)
