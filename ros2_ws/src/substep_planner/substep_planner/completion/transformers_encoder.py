"""SigLIP (or CLIP) through transformers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModel, AutoProcessor

from substep_core.hub import check_name
from substep_planner.completion.contrastive import ContrastiveScorer
from substep_planner.completion.registry import CompletionSettings
from substep_policy.device import choose_device

DEFAULT_MODEL = "google/siglip-base-patch16-224"
PADDING_IS_READ = ("siglip", "siglip2")  # trained without a mask (Zhai et al. 2023), whatever the tokenizer hands out


class TransformersEncoder:
    """A model with image and text features, by hub id or folder.

    Raises:
        OSError, ValueError: it cannot be loaded, or has no such features.
    """

    def __init__(self, model: str, device: str) -> None:
        self.name = f"transformers:{model}"
        check_name(model)
        self._network = AutoModel.from_pretrained(model).to(choose_device(device)).eval()
        if not hasattr(self._network, "get_image_features"):
            raise ValueError(f"{model} is a {type(self._network).__name__}, which does not compare images and texts")
        self._processor = AutoProcessor.from_pretrained(model)
        self._length = self._network.config.text_config.max_position_embeddings
        bias = getattr(self._network, "logit_bias", None)
        self.logit_bias = None if bias is None else bias.item()
        self.logit_scale = self._network.logit_scale.exp().item()

    def fits(self, text: str) -> bool:
        """See ``Encoder``."""
        return len(self._processor.tokenizer(text, truncation=False, verbose=False)["input_ids"]) <= self._length

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """See ``Encoder``. Padded to the model's full length, as SigLIP was trained, whatever the tokenizer says."""
        inputs = self._processor(
            text=list(texts), padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
        )
        if self._network.config.model_type in PADDING_IS_READ:
            inputs.pop("attention_mask", None)
        return self._network.get_text_features(**inputs.to(self._network.device)).pooler_output.cpu()

    @torch.inference_mode()
    def image(self, image: np.ndarray) -> torch.Tensor:
        """See ``Encoder``."""
        inputs = self._processor(images=image, return_tensors="pt")
        return self._network.get_image_features(**inputs.to(self._network.device)).pooler_output[0].cpu()


def create(settings: CompletionSettings) -> ContrastiveScorer:
    encoder = TransformersEncoder(settings.model or DEFAULT_MODEL, settings.device)
    return ContrastiveScorer(encoder, settings)
