"""From normalised actions and hidden states to a chunk: the robot's units, EOS, cut. Independent of the backbone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from substep_core.chunk import NO_EOS, Chunk
from substep_core.protocol import ChunkRefused, RefusalKind
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
from substep_policy.heads import ActionDecoder
from substep_policy.heads.guidance import TARGET, WEIGHTS, Guidance, soft_mask
from substep_policy.models.model import EosDetection, SubstepModel
from substep_policy.models.normalization import ActionNormalizer, Statistics
from substep_policy.policy import LeftOver
from substep_policy.run_modes import Execution

if TYPE_CHECKING:
    from substep_policy.models.kind import ModelConfiguration


@dataclass(frozen=True)
class ChunkBuilder:
    """Makes chunks of what an action decoder predicts."""

    decoder: ActionDecoder
    eos_head: nn.Module | None
    eos: EosDetection
    normalizer: ActionNormalizer

    @classmethod
    def build(cls, model: SubstepModel, config: ModelConfiguration, statistics: Statistics) -> ChunkBuilder:
        """The heads of a model, read as its configuration says.

        Raises:
            ValueError: the decoder was made for other actions than these statistics normalise.
        """
        normalizer = ActionNormalizer(config.robot, config.gripper, statistics)
        model.decoder.check_actions(normalizer)
        return cls(model.decoder, model.eos_head, config.eos, normalizer)

    @property
    def eos_threshold(self) -> float | None:
        """Probability that ends a substep; None: no probability does."""
        return None if self.eos.source is EosSource.NONE else self.eos.threshold

    def with_statistics(self, statistics: Statistics) -> ChunkBuilder:
        """The same for actions of another data set. Raises: ValueError: as ``build``."""
        normalizer = replace(self.normalizer, statistics=statistics)
        self.decoder.check_actions(normalizer)
        return replace(self, normalizer=normalizer)

    def why_not_guided(self, guidance: Guidance, execution: Execution) -> str:
        """Why chunks cannot go on from what is left of the last one; empty: they can."""
        if not self.decoder.can_be_guided:
            return f"its actions come of a {type(self.decoder).__name__}, which does not walk from noise to actions"
        if guidance.traces_gradient and execution is not Execution.EAGER:
            return f"execution is {execution.value!r}, and this guidance needs a gradient: expected guidance 'identity'"
        return ""

    def guide_inputs(self, left_over: LeftOver, guidance: Guidance, chunk_length: int) -> dict[str, np.ndarray]:
        """Model inputs: the left-over actions, normalised, and how much each counts."""
        left = left_over.actions[:chunk_length]
        target = np.zeros((1, chunk_length, left.shape[1]), np.float32)
        target[0, : len(left)] = self.normalizer.encode(left)
        weights = soft_mask(guidance.schedule, chunk_length, left_over.delay, len(left))
        return {TARGET: target, WEIGHTS: weights[None]}

    def chunk(self, normalized: Tensor, hidden: Tensor) -> Chunk:
        """The chunk, cut after the action that ends the substep.

        Args:
            normalized: (1, C, A) actions, and hidden: (1, C·A, D) states, as from ``SubstepModel.act``.

        Raises:
            ChunkRefused: the model's output is not finite.
        """
        actions = normalized[0].float().cpu().numpy()
        # Actions of tokens are finite, whatever the tokens are read from.
        if not (np.isfinite(actions).all() and hidden.isfinite().all()):
            raise ChunkRefused(RefusalKind.NOT_FINITE, "the model's actions or hidden states are not finite")
        return cut_chunk(self.normalizer.decode(actions), *self._eos(hidden))

    def chunks(self, normalized: Tensor, hidden: Tensor) -> list[Chunk | ChunkRefused]:
        """As ``chunk``, of B of them: (B, C, A) and (B, C·A, D). Each is read by itself, as if it had come alone."""
        chunks: list[Chunk | ChunkRefused] = []
        for row in range(len(normalized)):
            try:
                chunks.append(self.chunk(normalized[row : row + 1], hidden[row : row + 1]))
            except ChunkRefused as refused:
                chunks.append(refused)
        return chunks

    def _eos(self, hidden: Tensor) -> tuple[np.ndarray, int]:
        """(1, C·A, D) -> EOS probability of every action (C,), and which one ends the substep."""
        if self.eos.source is EosSource.NONE:
            return np.zeros(0, np.float32), NO_EOS
        if self.eos.source is EosSource.TOKEN:
            rule = self._token_rule(self.eos.threshold)
            eos_index = int(find_token_eos(self.decoder.token_logits(hidden), rule)[0])
            return self.eos_probabilities(hidden)[0].cpu().numpy(), eos_index
        log_odds = self.eos_head(hidden).float()[0, :, 0]
        probabilities = torch.sigmoid(log_odds).cpu().numpy()
        rule = EosRule(self.eos.threshold, self.eos.choice)
        return probabilities, int(find_eos(probabilities, rule, log_odds.cpu().numpy()))

    def eos_probabilities(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C) probability that each action is the last of its substep; EOS source not ``none``."""
        if self.eos.source is EosSource.TOKEN:
            rule = self._token_rule()
            tokens = token_eos_probabilities(self.decoder.token_logits(hidden), rule)
            return action_eos_probabilities(tokens, rule.action_dim)
        return torch.sigmoid(self.eos_head(hidden).float())[..., 0]

    def _token_rule(self, threshold: float | None = None) -> TokenEosRule:
        tokens = self.decoder.tokens_per_action
        return TokenEosRule(self.decoder.tokenizer.eos_token_id, tokens, threshold, self.eos.choice)
