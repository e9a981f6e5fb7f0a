"""What is minimised: ``total = action_loss + lambda_eos · eos_loss``, EOS directly or through the buffer, and
where it is wanted ``keyframe_weight · keyframe_loss`` (``training.data.keyframes``). Of a model that names substeps,
``text_loss + alpha · action_loss`` in place of the actions' (``training.train.modes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.model import SubstepModel
from training.data.transform import action_targets
from training.train.config import BufferEos, EosTraining
from training.train.eos_buffer import EOSBuffer
from training.train.keyframe_head import KeyframeHead
from training.train.losses import eos_loss
from training.train.modes import ActionsOnly, Hierarchical, Mode, WordsAndActionTokens, WordsOnly


@dataclass(frozen=True)
class Losses:
    """Losses of a batch; those but ``total`` are None where there was none to take.

    Counts are of what the EOS loss saw. ``scores``: the decoder's (``ActionDecoder.scores``), outside training alone.
    """

    total: Tensor
    action: Tensor | None
    eos: Tensor | None
    positives: int
    negatives: int
    keyframe: Tensor | None = None
    text: Tensor | None = None
    scores: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, float]:
        """The losses that there are, by name, without the total."""
        found = {name: getattr(self, name) for name in PARTS}
        return {name: value.item() for name, value in found.items() if value is not None}


PARTS = ("text", "action", "eos", "keyframe")


def mean_losses(batches: Sequence[Losses]) -> Losses:
    """Losses of the batches that make one update, cut off from the graph: means, and counts of all of them.

    A loss that only some of the batches had, such as EOS while the buffer fills, is the mean of those.
    """

    def mean(name: str) -> Tensor | None:
        found = [value.detach() for losses in batches if (value := getattr(losses, name)) is not None]
        return torch.stack(found).mean() if found else None

    positives, negatives = (sum(getattr(losses, name) for losses in batches) for name in ("positives", "negatives"))
    means = {name: mean(name) for name in PARTS}
    return Losses(mean("total"), positives=positives, negatives=negatives, **means)


ACTIONS_ONLY = ActionsOnly()


class Objective(nn.Module):
    """A model with its losses, as one module so that data-parallel wrappers see one forward pass."""

    def __init__(
        self,
        model: SubstepModel,
        eos: EosTraining,
        keyframe_weight: float = 0.0,
        seed: int = 0,
        mode: Mode = ACTIONS_ONLY,
    ) -> None:
        super().__init__()
        self.model, self.eos, self.mode = model, eos, mode
        self.buffer = EOSBuffer(eos.buffer, seed) if isinstance(eos, BufferEos) else None
        self.tokens = model.token_decoder(mode.tokens) if isinstance(mode, WordsAndActionTokens) else None
        self.keyframe_weight = keyframe_weight
        self.keyframe_head = KeyframeHead(model.backbone.hidden_dim) if keyframe_weight else None

    def forward(self, batch: Mapping[str, Tensor]) -> Losses:
        """A batch of ``SubstepTransform`` -> losses. The heads run in float32 whatever the backbone runs in."""
        if isinstance(self.mode, WordsOnly):
            text = self.model.text_loss(batch, self.mode.over_padding)
            return Losses(text, None, None, 0, 0, text=text, scores=self._word_scores(batch))
        if isinstance(self.mode, WordsAndActionTokens):
            text, tokens = self.model.token_losses(batch, action_targets(batch), self.tokens, self.mode.over_padding)
            return Losses(text + tokens, tokens, None, 0, 0, text=text, scores=self._word_scores(batch))
        text, action, hidden = self._text_and_actions(batch)
        scores = {} if self.training else dict(self.model.decoder.scores(hidden, action_targets(batch)))
        if text is not None:
            scores |= self._word_scores(batch)
        with torch.autocast(hidden.device.type, enabled=False):
            keyframe, total = None, action if text is None else text + self.mode.alpha * action
            if self.keyframe_head is not None:
                keyframe = self.keyframe_head.loss(hidden.float(), batch["way"], batch["has_way"])
                total = total + self.keyframe_weight * keyframe
            logits, labels = self._eos(hidden.float(), batch["eos_labels"])
            if logits is None:
                return Losses(total, action, None, 0, 0, keyframe, text, scores)
            eos = eos_loss(self.eos.loss, logits, labels)
        positives = int((labels > 0.5).sum())
        total = total + self.eos.lambda_eos * eos
        return Losses(total, action, eos, positives, labels.numel() - positives, keyframe, text, scores)

    def eos_probabilities(self, batch: Mapping[str, Tensor], chunks: ChunkBuilder) -> Tensor:
        """A batch of model inputs -> (B, C), as ``eos_probabilities``; of a sharded model every process takes part."""
        return eos_probabilities(self.model, batch, chunks)

    def _word_scores(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Share of the answers that are right, and of those right after a substep's end; outside training."""
        if self.training:
            return {}
        right, is_taught = self.model.words_right(batch), batch["answer_counts"]
        has_ended = is_taught & ~batch["action_mask"].any(dim=1)  # no action is right under what has ended
        shares = {"words_right": is_taught, "words_right_after_end": has_ended}
        return {name: _share(right, among) for name, among in shares.items() if among.any()}

    def _text_and_actions(self, batch: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor, Tensor]:
        """Loss of the words where they are taught, loss of the actions, hidden states."""
        targets = action_targets(batch)
        if isinstance(self.mode, Hierarchical):
            return self.model.losses(batch, targets, self.mode.over_padding)
        return None, *self.model.action_loss(batch, targets)

    def _eos(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor | None, Tensor]:
        """Logits and labels for the EOS loss.

        Directly, and always outside training: of this batch, with a gradient to the backbone. Through the buffer:
        of what is drawn from it, as soon as it holds enough.
        """
        if self.model.eos_head is None:
            return None, labels
        if self.buffer is None or not self.training:
            return self.model.eos_head(hidden), labels
        self.buffer.add(hidden, labels)
        if not self.buffer.is_ready:
            return None, labels
        entries, drawn_labels = self.buffer.draw()
        return self.model.eos_head(entries), drawn_labels


def _share(holds: Tensor, among: Tensor) -> Tensor:
    return (holds & among).sum() / among.sum()


def eos_probabilities(model: SubstepModel, batch: Mapping[str, Tensor], chunks: ChunkBuilder) -> Tensor:
    """A batch of model inputs -> (B, C) probability that each action is the last of its substep, as a policy asks.

    The head runs in float32 as in training, whatever the backbone runs in.
    """
    _, hidden = model.act(batch)
    with torch.autocast(hidden.device.type, enabled=False):
        return chunks.eos_probabilities(hidden.float())


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """L2 norm of the gradients that are there; of shards, every process takes part."""
    norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


@dataclass(frozen=True)
class EosDistribution:
    """How rare EOS is in sampled batches."""

    positives: int
    total: int

    @property
    def ratio(self) -> float:
        return self.positives / max(self.total, 1)

    @property
    def recommended_weight(self) -> float:
        """Negatives per positive: the positive weight that balances BCE."""
        return (self.total - self.positives) / max(self.positives, 1)

    def __str__(self) -> str:
        if self.positives == 0:
            return f"EOS=1 in none of {self.total} sampled actions: are the substep labels those of this data?"
        return (
            f"EOS=1 in {self.positives} of {self.total} sampled actions ({self.ratio:.2%}); "
            f"recommended positive weight {self.recommended_weight:.1f}"
        )


def eos_distribution(batches: Iterable[Mapping[str, Tensor]]) -> EosDistribution:
    """Counts over batches."""
    labels = [batch["eos_labels"] for batch in batches]
    return EosDistribution(int(sum(part.sum() for part in labels)), sum(part.numel() for part in labels))
