"""The action decoder of residual codes: predicts them, and lets the tokenizer make actions of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from substep_policy.action_tokenizers.rfsq import RfsqTokenizer
from substep_policy.heads.decoder import ActionDecoder, Backbone, Prefix
from substep_policy.heads.residual_tokens.config import CodeTokens
from substep_policy.heads.residual_tokens.draft import DraftHead
from substep_policy.heads.residual_tokens.head import CodeHead
from substep_policy.heads.targets import ActionTargets, masked_mean
from substep_policy.models.normalization import ActionNormalizer

TOKEN_HEAD, ACTION_TOKENIZER, DRAFT_HEAD = "token_head", "action_tokenizer", "draft_head"  # file names of the parts

ChooseCodes = Callable[[Tensor], Tensor]  # features (N, F) of chains -> codes (N, K)


class ResidualTokenDecoder(ActionDecoder):
    """Args: choose: how codes are chosen; draft: trained beside the head, where ``choose`` uses it; draws: ``choose``
    draws at random.
    """

    def __init__(
        self,
        head: CodeHead,
        choose: ChooseCodes | None = None,
        draft: DraftHead | None = None,
        draws: bool = False,
    ) -> None:
        self.head, self.draft, self._draws = head, draft, draws
        self.choose = head.greedy if choose is None else choose
        self.action_tokenizer = RfsqTokenizer(head.config.action_tokenizer)
        self.action_tokenizer.fix()

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        parts = {TOKEN_HEAD: self.head, ACTION_TOKENIZER: self.action_tokenizer}
        return parts if self.draft is None else {**parts, DRAFT_HEAD: self.draft}

    @property
    def draws(self) -> bool:
        return self._draws

    def begin(self) -> None:
        """Raises: CheckpointError: the folder has no action tokenizer, or one that does not fit."""
        self.action_tokenizer.fill()

    def check_actions(self, normalizer: ActionNormalizer) -> None:
        config = self.head.config.action_tokenizer
        config.space.check(normalizer, f"the action tokenizer {config.folder or ''}".strip())

    @property
    def tokenizer(self) -> CodeTokens:
        return self.head.tokens

    @property
    def tokens_per_action(self) -> int:
        return self.head.latents

    def token_logits(self, hidden: Tensor) -> Tensor:
        return self.head.token_logits(hidden)

    def decode(self, backbone: Backbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        hidden = backbone.attend(prefix)
        return self.predict(hidden), hidden

    def codes(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> int64 codes (B, C, H, K)."""
        return self._codes(self.head.chain_features(hidden))

    def predict(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> normalised actions (B, C, A) float32; NaN where features are not finite."""
        with torch.autocast(hidden.device.type, enabled=False):
            features = self.head.chain_features(hidden)
            actions = self.action_tokenizer.decode(self._codes(features))
        # The likeliest of codes without a likelihood would be a motion like any other.
        return actions.masked_fill(~features.isfinite().all(), torch.nan)

    def loss(self, backbone: Backbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        hidden = backbone.attend(prefix)
        with torch.autocast(hidden.device.type, enabled=False):
            loss = self.head.loss(hidden.float(), self._true_codes(targets), targets)
            if self.draft is not None:
                loss = loss + self.draft.loss(self.head, hidden.float())
        return loss, hidden

    def scores(self, hidden: Tensor, targets: ActionTargets) -> dict[str, Tensor]:
        """Share of codes that greedy decoding gets right, layer by layer; error of the normalised actions, as they are
        chosen where nothing is drawn, else of the greedy ones.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            features = self.head.chain_features(hidden.float())
            greedy = self.head.greedy(features.flatten(0, 2)).unflatten(0, features.shape[:3])
            right = (greedy == self._true_codes(targets)).float()
            codes = greedy if self.draws else self._codes(features)
            error = (self.action_tokenizer.decode(codes) - targets.actions).abs()
        scores = {
            f"accuracy_layer_{layer + 1}": masked_mean(right[..., layer], targets.mask)
            for layer in range(self.head.layers)
        }
        return {**scores, "l1": masked_mean(error, targets.mask)}

    def _codes(self, features: Tensor) -> Tensor:
        """(B, C, H, F) -> (B, C, H, K)."""
        return self.choose(features.flatten(0, 2)).unflatten(0, features.shape[:3])

    def _true_codes(self, targets: ActionTargets) -> Tensor:
        with torch.no_grad():
            return self.action_tokenizer.encode(targets.actions)[..., : self.head.layers]
