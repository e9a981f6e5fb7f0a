"""Actions as FAST tokens that the language model itself says, one after the other (π0-FAST, Pertsch et al. 2025).

The tokens are ids of the language model's own vocabulary. What may follow is held to sequences that are a chunk, so
every answer decodes; one that does not is an error and no motion. No token belongs to one action alone, so the end of a
substep is read where the chunk has been said: from the hidden state of its last token, once at each action's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.action_tokenizers.named_fast import NamedFast
from substep_policy.action_tokenizers.vocabulary_place import VocabularyPlace
from substep_policy.eos import EosSource
from substep_policy.heads.answer_loss import answer_loss
from substep_policy.heads.decoder import CONTINUOUS, ActionDecoder, DecoderShape, Prefix, Vocabulary
from substep_policy.heads.targets import ActionTargets
from substep_policy.models.normalization import ActionNormalizer


class SpeakingBackbone(Protocol):
    """What these tokens need of a backbone."""

    def last_hidden(self, prefix: Prefix) -> Tensor:
        """(B, D) of the last token of each sample, from which the next is read."""

    def read_on(self, prefix: Prefix, ids: Tensor, present: Tensor) -> Prefix:
        """Tokens (B, S) after a prefix, padded on the right; its ``hidden`` (B, …, D) ends with theirs."""


@configuration
class FastTokensConfig:
    """FAST tokens said by the language model. An EOS head may read the end of a substep from what follows them.

    Attributes:
        action_tokenizer: the folder of a fitted FAST tokenizer; in a checkpoint, the tokenizer itself.
        skipped: ids at the end of the vocabulary that are left alone, as PaliGemma's 128 of segmentation.
    """

    type: Literal["fast"] = "fast"
    action_tokenizer: NamedFast = Field(kw_only=True)
    skipped: int = Field(default=128, ge=0)

    fills_slots: ClassVar[bool] = False
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def tokenizer(self, vocabulary: Vocabulary | None) -> None:
        raise TypeError("no FAST token stands for the end of a substep: it takes an EOS head")

    @property
    def reserved(self) -> int:
        """Ids at the end of the vocabulary that words must leave free."""
        return self.skipped + self.action_tokenizer.load().vocabulary_size

    def build(self, shape: DecoderShape) -> FastTokensDecoder:
        """Raises: ValueError: the backbone says no tokens, or the tokenizer does not fit."""
        return FastTokensDecoder(self, shape)


class FastTokensDecoder(ActionDecoder):
    """Has no weights of its own."""

    def __init__(self, config: FastTokensConfig, shape: DecoderShape) -> None:
        if not shape.says_tokens:
            raise ValueError("action head 'fast' says one token after the other, which only a π0.5's backbone does")
        self._tokenizer, self._logits = config.action_tokenizer.load(), shape.token_logits
        space = self._tokenizer.space
        if (space.chunk_length, space.width) != (shape.chunk_length, shape.action_dim):
            raise ValueError(
                f"the action tokenizer is for chunks ({space.chunk_length}, {space.width}), the model's are "
                f"({shape.chunk_length}, {shape.action_dim})"
            )
        if config.reserved > shape.vocabulary.size:
            raise ValueError(f"{config.reserved} ids of actions do not fit into {shape.vocabulary.size} of the model")
        self._chunk_length = shape.chunk_length
        place = VocabularyPlace(shape.vocabulary.size, config.skipped)
        self._ids = np.array(place.to_language_model(range(self._tokenizer.vocabulary_size)))

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {}

    @property
    def draws(self) -> bool:
        return False

    def check_actions(self, normalizer: ActionNormalizer) -> None:
        self._tokenizer.space.check(normalizer, "the action tokenizer")

    def decode(self, backbone: SpeakingBackbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """The likeliest tokens of those that may follow; hidden states (B, C, D): the last one's at each place."""
        said: list[list[int]] = [[] for _ in range(prefix.size)]
        allowed = self._allowed(said)
        while (goes_on := allowed.any(axis=1)).any():
            logits = self._logits(backbone.last_hidden(prefix))[:, self._ids].float()
            closed = torch.from_numpy(~allowed).to(logits.device)
            best = logits.masked_fill(closed, -torch.inf).argmax(dim=-1).tolist()
            for row in np.flatnonzero(goes_on):
                said[row].append(best[row])
            spoken = torch.from_numpy(self._ids[best]).unsqueeze(1).to(logits.device)
            prefix = backbone.read_on(prefix, spoken, torch.from_numpy(goes_on).unsqueeze(1).to(logits.device))
            allowed = self._allowed(said)
        actions = torch.from_numpy(np.stack([self._tokenizer.decode(ids) for ids in said])).to(prefix.device)
        return actions, self._at_places(backbone.last_hidden(prefix))

    def loss(self, backbone: SpeakingBackbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the tokens of each chunk; of one whose substep has ended before, of none.

        A chunk's actions after the end of its substep, which do not count, are the last one that does.
        """
        rows = [self._ids[ids] for ids in self._tokenizer.encode(_held(targets))]
        length = max(map(len, rows))
        padded = np.stack([np.pad(row, (0, length - len(row))) for row in rows])
        there = np.arange(length) < np.array([len(row) for row in rows])[:, None]
        ids, present = (torch.from_numpy(array).to(prefix.device) for array in (padded, there))
        before, said = backbone.last_hidden(prefix).unsqueeze(1), backbone.read_on(prefix, ids, present)
        logits = self._logits(torch.cat([before, said.hidden[:, -length:-1]], dim=1))
        with torch.autocast(logits.device.type, enabled=False):
            loss = answer_loss(logits.float(), ids, present & targets.mask[:, :1])
        return loss, self._at_places(backbone.last_hidden(said))

    def _at_places(self, end: Tensor) -> Tensor:
        """Hidden states (B, D) of the chunks' last tokens -> (B, C, D), told which action is meant."""
        return end.unsqueeze(1) + places(self._chunk_length, end.shape[-1], end.device).to(end)

    def _allowed(self, said: list[list[int]]) -> np.ndarray:
        """(B, V) bool: which tokens may follow; none where the chunk is complete."""
        return np.stack([self._tokenizer.allowed(ids) for ids in said])


def places(count: int, width: int, device: torch.device) -> Tensor:
    """(C, D): sines and cosines of each place in a chunk, periods from 2 to 4·C actions in equal ratios."""
    sines = (width + 1) // 2
    periods = 2 * (2 * count) ** torch.linspace(0, 1, sines, device=device)
    angles = 2 * torch.pi * torch.arange(count, device=device).unsqueeze(1) / periods
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


def _held(targets: ActionTargets) -> np.ndarray:
    """(B, C, A) float32."""
    places = torch.arange(targets.mask.shape[1], device=targets.mask.device)
    last = torch.where(targets.mask, places, -1).cummax(dim=1).values.clamp(min=0)
    return targets.actions.gather(1, last.unsqueeze(-1).expand_as(targets.actions)).float().cpu().numpy()
