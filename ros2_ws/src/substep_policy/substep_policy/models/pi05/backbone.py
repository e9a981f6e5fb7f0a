"""Images and words to keys and values that the action expert attends to, and to words for the next substep.

The sequence: patches of every image, prompt, [answer]. Images and prompt see all of each other and nothing of the
answer; a token of the answer sees what is before it. Padding, on the right, is seen by nobody and takes no position, so
leaving it out changes nothing. The expert's tokens see all of the sequence and each other, and are seen by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax

from substep_policy.heads.decoder import SlotContent
from substep_policy.models.pi05.config import Pi05Config
from substep_policy.models.pi05.gemma import Attended, GemmaStack, KeysValues
from substep_policy.models.pi05.vision import ToldTokens, build_vision


@dataclass(frozen=True)
class PromptTokens:
    """Token ids of a batch of prompts, with answers or without.

    Attributes:
        ids: (B, L) int64, padded on the right.
        present: (B, L) bool, False where a prompt is padded.
        answer_start: (B,) int64, how many tokens the prompt has before its answer.
    """

    ids: Tensor
    present: Tensor
    answer_start: Tensor

    @classmethod
    def of(cls, batch: Mapping[str, Tensor], level: str = "") -> PromptTokens:
        """``input_ids``, ``attention_mask`` and ``answer_start`` of a batch, with ``level`` before their names."""
        return cls(*(batch[level + name] for name in ("input_ids", "attention_mask", "answer_start")))

    def among(self, chosen: Tensor) -> PromptTokens:
        """Those of samples ``chosen`` (B,) bool, without padding that none of them needs."""
        width = int(self.present[chosen].sum(dim=1).max())
        return PromptTokens(self.ids[chosen, :width], self.present[chosen, :width], self.answer_start[chosen])

    @property
    def in_answer(self) -> Tensor:
        """(B, L) bool."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return self.present & (places >= self.answer_start.unsqueeze(1))


@dataclass(frozen=True)
class Pi05Prefix:
    """What the language model has read.

    Attributes:
        keys_values: of every layer.
        hidden: (B, P, D) after the last norm.
        present: (B, P) bool, False where padded.
    """

    keys_values: tuple[KeysValues, ...]
    hidden: Tensor
    present: Tensor

    @property
    def size(self) -> int:
        return len(self.hidden)

    @property
    def dtype(self) -> torch.dtype:
        return self.hidden.dtype

    @property
    def device(self) -> torch.device:
        return self.hidden.device

    @property
    def next_position(self) -> Tensor:
        """(B, 1) of the token after it."""
        return self.present.sum(dim=1, keepdim=True)

    def repeated(self, times: int) -> Pi05Prefix:
        """Every sample ``times`` times, one after another."""
        keys_values = tuple(
            (keys.repeat_interleave(times, dim=0), values.repeat_interleave(times, dim=0))
            for keys, values in self.keys_values
        )
        hidden, present = (part.repeat_interleave(times, dim=0) for part in (self.hidden, self.present))
        return Pi05Prefix(keys_values, hidden, present)

    def detached(self) -> Pi05Prefix:
        """The same without a gradient. Detached embeddings would not do: keys and values have one of every layer."""
        keys_values = tuple((keys.detach(), values.detach()) for keys, values in self.keys_values)
        return replace(self, keys_values=keys_values, hidden=self.hidden.detach())


@dataclass(frozen=True)
class SaidTokens:
    """Tokens that were said to one prompt, the end of text left out, and the mean of their log-probabilities.

    ``is_complete``: it ended by itself.
    """

    ids: tuple[int, ...]
    log_probability: float
    is_complete: bool


class LanguageModel(GemmaStack):
    """A Gemma with its embedding, which is the output layer too."""

    def __init__(self, config: Pi05Config) -> None:
        super().__init__(config.language_model, is_adaptive=False)
        self.embed_tokens = nn.Embedding(config.vocabulary_size, config.language_model.width)
        # The factor of ``embed`` makes them of unit size then, and so are new logits.
        nn.init.normal_(self.embed_tokens.weight, std=config.language_model.width**-0.5)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, D), multiplied by √D as Gemma does."""
        scale = torch.tensor(self.size.width**0.5).to(self.embed_tokens.weight.dtype)
        return self.embed_tokens(ids) * scale

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, D) -> (…, V)."""
        return linear(hidden, self.embed_tokens.weight)


class Pi05Backbone(nn.Module):
    """π0.5 but for what makes actions of the expert's states. ``cameras``: how many images it looks at."""

    def __init__(self, config: Pi05Config, cameras: int) -> None:
        super().__init__()
        self.config, self.hidden_dim = config, config.expert.width
        self.vision_tower = build_vision(config, cameras)
        self.projector = nn.Linear(config.vision.width, config.language_model.width)
        self.language_model = LanguageModel(config)
        self.expert = GemmaStack(config.expert, is_adaptive=True)

    def encode(self, batch: Mapping[str, Tensor]) -> Pi05Prefix:
        """What the expert attends to.

        Args:
            batch: as ``look`` and ``PromptTokens.of``.
        """
        return self.read(self.look(batch), PromptTokens.of(batch))

    def look(self, batch: Mapping[str, Tensor], level: str = "") -> Tensor:
        """Tokens of all images (B, N, D).

        Args:
            batch: ``pixel_values`` (B, cameras, 3, S, S) in [−1, 1]; to an image network that is told words also
                ``told_ids`` and ``told_mask``, as ``ToldTokens``. Or, in place of all, ``image_features``
                (B, cameras, F), what a convolution saw before.
            level: before the names of what is told and was seen.
        """
        tower, dtype = self.vision_tower, self.projector.weight.dtype
        if (seen := batch.get(f"{level}image_features")) is not None:
            return self.projector(tower.tokens_of(seen.to(dtype)))
        told = ToldTokens(batch[f"{level}told_ids"], batch[f"{level}told_mask"]) if tower.is_told_words else None
        return self.projector(tower.tokens(batch["pixel_values"].to(dtype), told))

    def read(self, patches: Tensor, words: PromptTokens) -> Pi05Prefix:
        """Patches (B, N, D) and words -> prefix."""
        text = self.language_model.embed(words.ids)
        seen = patches.new_ones(patches.shape[:2], dtype=torch.bool)
        present = torch.cat([seen, words.present], dim=1)
        order = torch.cat([torch.zeros_like(seen), words.in_answer], dim=1).long().cumsum(dim=1)
        mask = present.unsqueeze(1) & (order.unsqueeze(1) <= order.unsqueeze(2))
        attended = Attended(mask.unsqueeze(1), present.long().cumsum(dim=1) - 1)
        hidden, keys_values = self.language_model(torch.cat([patches.to(text), text], dim=1), attended)
        return Pi05Prefix(keys_values, hidden, present)

    def attend(self, prefix: Pi05Prefix, content: SlotContent) -> Tensor:
        """Content of C action slots (B, C, W) and denoising time (B, W) -> hidden states of the expert (B, C, W)."""
        slots = content.actions.to(prefix.dtype)
        own = torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device)
        mask = torch.cat([prefix.present, own], dim=1)[:, None, None, :]
        positions = prefix.next_position + torch.arange(slots.shape[1], device=slots.device)
        return self.expert(slots, Attended(mask, positions, prefix.keys_values), content.time)[0]

    def answer_logits(self, prefix: Pi05Prefix, words: PromptTokens) -> tuple[Tensor, Tensor, Tensor]:
        """For the answers in a prefix -> logits (B, S, V), ids (B, S) to be said there, and which count (B, S) bool.

        S is the longest answer's length; what is said at a place is read from the token before it.
        """
        in_answer = words.in_answer
        length = int(in_answer.sum(dim=1).max())
        places = words.answer_start.unsqueeze(1) + torch.arange(length, device=words.ids.device)
        counts = places < words.present.sum(dim=1, keepdim=True)
        places = places.clamp(max=words.ids.shape[1] - 1)
        read = places + prefix.hidden.shape[1] - words.ids.shape[1] - 1
        hidden = prefix.hidden.gather(1, read.unsqueeze(-1).expand(-1, -1, prefix.hidden.shape[-1]))
        return self.language_model.logits(hidden), words.ids.gather(1, places), counts

    def last_hidden(self, prefix: Pi05Prefix) -> Tensor:
        """(B, D) of the last token of each sample, from which the next is read."""
        last = prefix.present.long().cumsum(dim=1).argmax(dim=1)
        return prefix.hidden[torch.arange(prefix.size, device=prefix.device), last]

    def read_on(self, prefix: Pi05Prefix, ids: Tensor, present: Tensor) -> Pi05Prefix:
        """Tokens (B, S) after a prefix, each seen by itself and what follows; ``present`` (B, S) bool: no padding."""
        count = ids.shape[1]
        earlier = torch.ones(count, count, dtype=torch.bool, device=ids.device).tril()
        past = prefix.present.unsqueeze(1).expand(-1, count, -1)
        mask = torch.cat([past, present.unsqueeze(1) & earlier], dim=2)
        positions = prefix.next_position + (present.long().cumsum(dim=1) - 1).clamp(min=0)
        attended = Attended(mask.unsqueeze(1), positions, prefix.keys_values)
        hidden, own = self.language_model(self.language_model.embed(ids), attended)
        whole = torch.cat([prefix.hidden, hidden.to(prefix.hidden)], dim=1)
        return Pi05Prefix(_appended(prefix.keys_values, own), whole, torch.cat([prefix.present, present], dim=1))

    @torch.no_grad()
    def say(self, prefix: Pi05Prefix, max_tokens: int) -> SaidTokens:
        """The likeliest words after a prefix of one sample that has no answer in it, token by token."""
        said: list[int] = []
        total = 0.0
        for _ in range(max_tokens):
            scores = log_softmax(self.language_model.logits(self.last_hidden(prefix)).float(), dim=-1)
            best = scores.argmax(dim=-1)
            total += float(scores[0, best[0]])
            if int(best[0]) == self.config.tokens.eos:
                return SaidTokens(tuple(said), total / (len(said) + 1), is_complete=True)
            said.append(int(best[0]))
            prefix = self.read_on(prefix, best.unsqueeze(1), prefix.present.new_ones(1, 1))
        return SaidTokens(tuple(said), total / max(len(said), 1), is_complete=False)

    def token_logits(self, hidden: Tensor) -> Tensor:
        """(…, D) of the language model -> (…, V)."""
        return self.language_model.logits(hidden)

    def enable_gradient_checkpointing(self) -> None:
        """Activations are computed again in the backward pass instead of being kept: less memory, a third more time."""
        self.vision_tower.checkpoint_gradients()
        self.language_model.checkpoints_gradients = self.expert.checkpoints_gradients = True

    def restore_buffers(self, device: torch.device) -> None:
        """Of a backbone that was made on the meta device: what is computed and not stored."""
        self.vision_tower.restore_buffers(device)


def _appended(keys_values: tuple[KeysValues, ...], own: tuple[KeysValues, ...]) -> tuple[KeysValues, ...]:
    return tuple(
        (torch.cat([keys, new_keys], dim=2), torch.cat([values, new_values], dim=2))
        for (keys, values), (new_keys, new_values) in zip(keys_values, own, strict=True)
    )
