"""From action hidden states to a chunk: heads, un-normalisation, EOS, cut (S10). Independent of the backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from substep_policy.chunk import NO_EOS, Chunk
from substep_policy.eos import (
    EosRule,
    EosSource,
    TokenEosRule,
    action_eos_probabilities,
    cut_chunk,
    find_eos,
    find_token_eos,
    token_eos_probabilities,
)
from substep_policy.model import EosDetection, ModelConfig, SubstepModel
from substep_policy.normalization import GripperConvention, Statistics, decode_actions

if TYPE_CHECKING:
    from substep_policy.openvla_model import OpenVLAModelConfig


@dataclass(frozen=True)
class ChunkDecoder:
    """The reading half of a policy."""

    action_head: nn.Module
    eos_head: nn.Module | None
    eos: EosDetection
    statistics: Statistics
    gripper: GripperConvention

    @classmethod
    def build(
        cls, model: SubstepModel, config: ModelConfig | OpenVLAModelConfig, statistics: Statistics
    ) -> ChunkDecoder:
        """The heads of a model, read as its configuration says."""
        return cls(model.action_head, model.eos_head, config.eos, statistics, config.gripper)

    def decode(self, hidden: Tensor) -> Chunk:
        """(1, C·A, D) -> the chunk, cut after the action that ends the substep.

        Raises:
            ValueError: the model's output is not finite.
        """
        return self.chunk(self.action_head.predict(hidden), hidden)

    def chunk(self, normalized: Tensor, hidden: Tensor) -> Chunk:
        """As ``decode``, for normalised actions (1, C, A) that are known already, as from ``SubstepModel.act``."""
        actions = normalized[0].float().cpu().numpy()
        if not np.isfinite(actions).all():
            raise ValueError("the model's actions are not finite")
        actions = decode_actions(actions, self.statistics, self.gripper)
        return cut_chunk(actions, *self._eos(hidden))

    def _eos(self, hidden: Tensor) -> tuple[np.ndarray, int]:
        """(1, C·A, D) -> EOS probability of every action (C,), and which one ends the substep."""
        if self.eos.source is EosSource.NONE:
            return np.zeros(0, np.float32), NO_EOS
        if self.eos.source is EosSource.TOKEN:
            rule = TokenEosRule(self.action_head.tokenizer.eos_token_id, self.eos.threshold, self.eos.choice)
            eos_index = int(find_token_eos(self.action_head.logits(hidden), rule)[0])
            return self.eos_probabilities(hidden)[0].cpu().numpy(), eos_index
        probabilities = self.eos_probabilities(hidden)[0].cpu().numpy()
        return probabilities, int(find_eos(probabilities, EosRule(self.eos.threshold, self.eos.choice)))

    def eos_probabilities(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C) probability that each action is the last of its substep; EOS source not ``none``."""
        if self.eos.source is EosSource.TOKEN:
            rule = TokenEosRule(self.action_head.tokenizer.eos_token_id)
            return action_eos_probabilities(token_eos_probabilities(self.action_head.logits(hidden), rule))
        return torch.sigmoid(self.eos_head(hidden).float())[..., 0]
