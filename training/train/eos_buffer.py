"""A class-balanced buffer of hidden states for training the EOS head.

What is stored is cut off from the graph; what is drawn goes through the head again, so that the loss has a gradient.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import torch
from torch import Tensor

from substep_core.configuration import configuration


@configuration
class EOSBufferConfig:
    """Attributes:

    capacity: entries kept of each class; the oldest go first.
    sample_negative, sample_positive: entries drawn for an update, without being removed.
    min_negative, min_positive: entries that must be held before there is an update.
    """

    capacity: int = 50
    sample_negative: int = 20
    sample_positive: int = 15
    min_negative: int = 20
    min_positive: int = 15

    def __post_init__(self) -> None:
        for name in ("negative", "positive"):
            sample, minimum = getattr(self, f"sample_{name}"), getattr(self, f"min_{name}")
            if not 1 <= sample <= minimum <= self.capacity:
                raise ValueError(
                    f"sample_{name} {sample}, min_{name} {minimum} and capacity {self.capacity} must rise: as many as "
                    "are drawn must be held, and no more are held than fit"
                )


class EOSBuffer:
    """Two FIFO queues of entries (A, D): actions that end a substep, and actions that do not."""

    def __init__(self, config: EOSBufferConfig, seed: int = 0) -> None:
        self.config = config
        self._positive: deque[Tensor] = deque(maxlen=config.capacity)
        self._negative: deque[Tensor] = deque(maxlen=config.capacity)
        self._random = random.Random(seed)

    def __len__(self) -> int:
        return len(self._positive) + len(self._negative)

    @property
    def counts(self) -> tuple[int, int]:
        """Negatives and positives held."""
        return len(self._negative), len(self._positive)

    def add(self, hidden: Tensor, labels: Tensor) -> None:
        """Store entries; those that are not finite are left out.

        Args:
            hidden: (B, C·A, D), detached here.
            labels: (B, C, 1), 1 where the action ends its substep.
        """
        batch, length = labels.shape[:2]
        entries = hidden.detach().reshape(batch * length, -1, hidden.shape[-1])
        finite = entries.isfinite().flatten(1).all(dim=1)
        entries, is_positive = entries[finite], labels.reshape(-1)[finite] > 0.5
        self._positive.extend(entries[is_positive].clone())
        # More than fit would push each other out: only the newest are kept.
        self._negative.extend(entries[~is_positive][-self.config.capacity :].clone())

    @property
    def is_ready(self) -> bool:
        """Enough of both classes for an update."""
        return len(self._positive) >= self.config.min_positive and len(self._negative) >= self.config.min_negative

    def draw(self) -> tuple[Tensor, Tensor]:
        """Balanced entries (N, A, D) in random order and their labels (N, 1, 1); the buffer keeps them.

        Raises:
            RuntimeError: there are too few.
        """
        if not self.is_ready:
            raise RuntimeError(f"the EOS buffer holds (negatives, positives) {self.counts}, too few for {self.config}")
        drawn = [(entry, 1.0) for entry in self._random.sample(list(self._positive), self.config.sample_positive)]
        drawn += [(entry, 0.0) for entry in self._random.sample(list(self._negative), self.config.sample_negative)]
        self._random.shuffle(drawn)
        entries = torch.stack([entry for entry, _ in drawn])
        return entries, torch.tensor([label for _, label in drawn], device=entries.device).reshape(-1, 1, 1)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on exactly."""
        return {
            "positive": [entry.cpu() for entry in self._positive],
            "negative": [entry.cpu() for entry in self._negative],
            "random": self._random.getstate(),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device | str = "cpu") -> None:
        self._positive = deque((entry.to(device) for entry in state["positive"]), maxlen=self.config.capacity)
        self._negative = deque((entry.to(device) for entry in state["negative"]), maxlen=self.config.capacity)
        version, internal, gauss = state["random"]
        self._random.setstate((version, tuple(internal), gauss))
