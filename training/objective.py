"""What is minimised: ``total = action_loss + lambda_eos · eos_loss`` (S7), EOS directly or through the buffer, and
where it is wanted ``keyframe_weight · keyframe_loss`` (``training.keyframes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from substep_policy.chunk_decoder import ChunkDecoder
from substep_policy.model import SubstepModel
from training.config import BufferEos, EosTraining
from training.eos_buffer import EOSBuffer
from training.keyframes import KeyframeHead
from training.losses import eos_loss
from training.transform import action_targets


@dataclass(frozen=True)
class Losses:
    """Losses of a batch; ``eos`` and ``keyframe`` are None where there was none to take.

    Counts are of what the EOS loss saw.
    """

    total: Tensor
    action: Tensor
    eos: Tensor | None
    positives: int
    negatives: int
    keyframe: Tensor | None = None


def mean_losses(batches: Sequence[Losses]) -> Losses:
    """Losses of the batches that make one update, cut off from the graph: means, and counts of all of them.

    A loss that only some of the batches had, such as EOS while the buffer fills, is the mean of those.
    """

    def mean(name: str) -> Tensor | None:
        found = [value.detach() for losses in batches if (value := getattr(losses, name)) is not None]
        return torch.stack(found).mean() if found else None

    positives, negatives = (sum(getattr(losses, name) for losses in batches) for name in ("positives", "negatives"))
    return Losses(mean("total"), mean("action"), mean("eos"), positives, negatives, mean("keyframe"))


class Objective(nn.Module):
    """A model with its losses, as one module so that data-parallel wrappers see one forward pass."""

    def __init__(self, model: SubstepModel, eos: EosTraining, keyframe_weight: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.model, self.eos = model, eos
        self.buffer = EOSBuffer(eos.buffer, seed) if isinstance(eos, BufferEos) else None
        self.keyframe_weight = keyframe_weight
        self.keyframe_head = KeyframeHead(model.backbone.hidden_dim) if keyframe_weight else None

    def forward(self, batch: Mapping[str, Tensor]) -> Losses:
        """A batch of ``SubstepTransform`` -> losses. The heads run in float32 whatever the backbone runs in."""
        action, hidden = self.model.action_loss(batch, action_targets(batch))
        with torch.autocast(hidden.device.type, enabled=False):
            keyframe, total = None, action
            if self.keyframe_head is not None:
                keyframe = self.keyframe_head.loss(hidden.float(), batch["way"], batch["has_way"])
                total = total + self.keyframe_weight * keyframe
            logits, labels = self._eos(hidden.float(), batch["eos_labels"])
            if logits is None:
                return Losses(total, action, None, 0, 0, keyframe)
            eos = eos_loss(self.eos.loss, logits, labels)
        positives = int((labels > 0.5).sum())
        total = total + self.eos.lambda_eos * eos
        return Losses(total, action, eos, positives, labels.numel() - positives, keyframe)

    def eos_probabilities(self, batch: Mapping[str, Tensor], decoder: ChunkDecoder) -> Tensor:
        """A batch of model inputs -> (B, C), as ``eos_probabilities``; of a sharded model every process takes part."""
        return eos_probabilities(self.model, batch, decoder)

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


def eos_probabilities(model: SubstepModel, batch: Mapping[str, Tensor], decoder: ChunkDecoder) -> Tensor:
    """A batch of model inputs -> (B, C) probability that each action is the last of its substep, as a policy asks.

    The head runs in float32 as in training, whatever the backbone runs in.
    """
    _, hidden = model.act(batch)
    with torch.autocast(hidden.device.type, enabled=False):
        return decoder.eos_probabilities(hidden.float())


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """L2 norm of the gradients that are there; of shards, every process takes part."""
    norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


@dataclass(frozen=True)
class EosDistribution:
    """How rare EOS is in sampled batches (S8)."""

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
