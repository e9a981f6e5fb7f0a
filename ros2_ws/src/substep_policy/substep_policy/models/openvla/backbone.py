"""Images, prompt and proprioception token to ``actions_hidden_states`` (B, C·A, D)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from substep_policy.heads.decoder import SlotContent
from substep_policy.models.openvla.config import OpenVLAConfig
from substep_policy.models.openvla.language import build_language_model, contextualise
from substep_policy.models.openvla.vision import FusedVision, VisionProjector


@dataclass(frozen=True)
class OpenVLAPrefix:
    """What the language model reads, up to what stands in the action slots.

    Attributes:
        text: (B, L, D) embeddings of the prompt, zero in the slots.
        patches: (B, P, D) image patches and proprioception, which come after BOS.
        present: (B, L) bool, False where a prompt is padded.
        slots: (B, C·A) positions of the slots among the text tokens.
    """

    text: Tensor
    patches: Tensor
    present: Tensor
    slots: Tensor

    @property
    def size(self) -> int:
        return len(self.text)

    @property
    def dtype(self) -> torch.dtype:
        return self.text.dtype

    @property
    def device(self) -> torch.device:
        return self.text.device


class OpenVLABackbone(nn.Module):
    """OpenVLA-OFT without its heads. Modules are named as in the published checkpoints.

    The sequence: BOS, patches of each image, proprioception, [denoising step], prompt, action slots, ``</s>``, padding.
    """

    def __init__(self, config: OpenVLAConfig, action_slots: int) -> None:
        super().__init__()
        self.config, self.action_slots = config, action_slots
        self.hidden_dim = self.proprio_token_dim = config.language_model.width
        self.vision_backbone = FusedVision(config)
        self.projector = VisionProjector(self.vision_backbone.width, self.hidden_dim)
        self.language_model = build_language_model(config.language_model, config.tokens)

    def encode(self, batch: Mapping[str, Tensor], proprio_token: Tensor) -> OpenVLAPrefix:
        """What does not change between passes: vision and the embeddings of text.

        Args:
            batch: ``pixel_values`` (B, cameras, 6, S, S) as from ``images.ImagePipeline``, and ``input_ids`` (B, L),
                ``attention_mask`` (B, L) bool, ``slot_start`` (B,) as from ``prompt.OpenVLAPromptBuilder``.
            proprio_token: (B, D).
        """
        slots, present = self._slots(batch["slot_start"]), batch["attention_mask"]
        is_slot = torch.zeros_like(present).scatter(1, slots, True)
        text = self.language_model.get_input_embeddings()(batch["input_ids"]).masked_fill(is_slot.unsqueeze(-1), 0.0)
        features = self.vision_backbone(batch["pixel_values"], _mean(text, present & ~is_slot))
        patches = torch.cat([self.projector(features), proprio_token.unsqueeze(1)], dim=1)
        return OpenVLAPrefix(text, patches, present, slots)

    def attend(self, prefix: OpenVLAPrefix, content: SlotContent | None = None) -> Tensor:
        """``actions_hidden_states`` (B, C·A, D) of a prefix with this content in its slots; None leaves them empty."""
        text, patches = prefix.text, prefix.patches
        if content is not None:
            where = prefix.slots.unsqueeze(-1).expand(-1, -1, text.shape[-1])
            text = text.scatter(1, where, content.actions)
            patches = torch.cat([patches, content.time.unsqueeze(1)], dim=1)
        embeddings = torch.cat([text[:, :1], patches, text[:, 1:]], dim=1)
        there = prefix.present
        present = torch.cat([there[:, :1], there.new_ones(patches.shape[:2]), there[:, 1:]], dim=1)
        hidden = contextualise(self.language_model, embeddings, present)
        # As in next-token prediction, what a slot stands for is read from the position before it.
        read = prefix.slots + patches.shape[1] - 1
        return hidden.gather(1, read.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))

    def token_logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, D) -> logits over the vocabulary (…, V)."""
        output = self.language_model.get_output_embeddings()
        return output(hidden.to(output.weight.dtype))

    def enable_gradient_checkpointing(self) -> None:
        """Activations are computed again in the backward pass instead of being kept: less memory, a third more time."""
        for transformer in (self.vision_backbone.featurizer, self.vision_backbone.fused_featurizer):
            transformer.set_grad_checkpointing()
        self.language_model.activation_checkpointing_enable({"use_reentrant": False})

    def restore_buffers(self, device: torch.device) -> None:
        """Of a backbone that was made on the meta device: the one part that is computed and not stored."""
        llama = self.language_model
        llama.model.rotary_emb = LlamaRotaryEmbedding(llama.config).to(device)

    def _slots(self, start: Tensor) -> Tensor:
        """First slot of each sample (B,) -> positions of all of them among the text tokens (B, C·A)."""
        return start.unsqueeze(1) + torch.arange(self.action_slots, device=start.device)


def _mean(text: Tensor, counts: Tensor) -> Tensor:
    """Embeddings (B, L, D) -> (B, D), the mean of those that count (B, L) bool."""
    weight = counts.unsqueeze(-1).to(text.dtype)
    return (text * weight).sum(dim=1) / weight.sum(dim=1)
