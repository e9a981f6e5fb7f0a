"""Images, prompt and proprioception token to ``actions_hidden_states`` (B, C·A, D)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from substep_policy.backbones.openvla.config import OpenVLAConfig
from substep_policy.backbones.openvla.language import build_language_model, contextualise
from substep_policy.backbones.openvla.vision import FusedVision, VisionProjector


class OpenVLABackbone(nn.Module):
    """OpenVLA-OFT without its heads. Modules are named as in the published checkpoints.

    The sequence: BOS, patches of each image, proprioception, prompt, action slots, ``</s>``, padding.
    """

    def __init__(self, config: OpenVLAConfig) -> None:
        super().__init__()
        self.config = config
        self.hidden_dim = self.proprio_token_dim = config.language_model.width
        self.vision_backbone = FusedVision(config)
        self.projector = VisionProjector(self.vision_backbone.width, self.hidden_dim)
        self.language_model = build_language_model(config.language_model, config.tokens)

    def forward(self, batch: Mapping[str, Tensor], proprio_token: Tensor) -> Tensor:
        """Model inputs and proprio_token (B, D) -> (B, C·A, D).

        Args:
            batch: ``pixel_values`` (B, cameras, 6, S, S) as from ``images.ImagePipeline``, and ``input_ids`` (B, L),
                ``attention_mask`` (B, L) bool, ``slot_start`` (B,) as from ``prompt.PromptBuilder``.
        """
        slots = self._slots(batch["slot_start"])
        text = self._embed_text(batch["input_ids"], slots)
        patches = self.projector(self.vision_backbone(batch["pixel_values"]))
        prefix = torch.cat([patches, proprio_token.unsqueeze(1)], dim=1)
        embeddings = torch.cat([text[:, :1], prefix, text[:, 1:]], dim=1)

        there = batch["attention_mask"]
        present = torch.cat([there[:, :1], there.new_ones(prefix.shape[:2]), there[:, 1:]], dim=1)
        hidden = contextualise(self.language_model, embeddings, present)
        # As in next-token prediction, what a slot stands for is read from the position before it.
        read = slots + prefix.shape[1] - 1
        return hidden.gather(1, read.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))

    def _slots(self, start: Tensor) -> Tensor:
        """First slot of each sample (B,) -> positions of all of them among the text tokens (B, C·A)."""
        return start.unsqueeze(1) + torch.arange(self.config.action_slots, device=start.device)

    def _embed_text(self, ids: Tensor, slots: Tensor) -> Tensor:
        """Ids (B, L), positions of the slots (B, C·A) -> embeddings (B, L, D), zero in the slots."""
        is_slot = torch.zeros_like(ids, dtype=torch.bool).scatter(1, slots, True)
        embeddings = self.language_model.get_input_embeddings()(ids)
        return embeddings.masked_fill(is_slot.unsqueeze(-1), 0.0)
