"""What moves the weights: AdamW, and where it is asked for Muon for the matrices between hidden states."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from training.train.config import MatrixRule, OptimizerConfig

BETAS = 0.9, 0.95
NARROWEST = 16  # values of a hidden state; what has fewer on one side reads data or writes a head's answer


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for some matrices, AdamW for all other weights; one list of groups, Muon's first.

    Muon makes the momentum of a matrix orthogonal, so that directions that few samples speak of are learned as fast as
    the others. Its steps are scaled to the size of AdamW's, so one learning rate serves both.
    """

    def __init__(
        self, matrices: list[nn.Parameter], others: list[dict], learning_rate: float, weight_decay: float, fused: bool
    ) -> None:
        self._muon = torch.optim.Muon(
            matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self._adamw = torch.optim.AdamW(others, lr=learning_rate, betas=BETAS, fused=fused)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})
        self._share()

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "_muon" in self.__dict__:
            self._share()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        self._muon.step()
        self._adamw.step()

    def _share(self) -> None:
        """Both work on the groups and the state that are seen, saved and restored."""
        count = len(self._muon.param_groups)
        self._muon.param_groups, self._adamw.param_groups = self.param_groups[:count], self.param_groups[count:]
        self._muon.state = self._adamw.state = self.state


def make_optimizer(model: nn.Module, config: OptimizerConfig, mixed_precision: str) -> torch.optim.Optimizer:
    """Of all weights that learn; biases, norms and embeddings of one dimension are not decayed.

    Args:
        mixed_precision: as ``FinetuneConfig.mixed_precision``.

    Raises:
        ValueError: Muon is asked for and has nothing to move.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    uses_muon = config.matrices is MatrixRule.MUON
    matrices = list(hidden_matrices(model)) if uses_muon else []
    if uses_muon and not matrices:
        raise ValueError(
            f"optimizer.matrices is muon, and no linear layer that learns is {NARROWEST} wide on both sides"
        )
    theirs = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in learning if id(parameter) not in theirs]
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # A fused optimizer leaves out overflowed steps by itself, and accelerate, which looks whether step() was called,
    # would count them as done; fp16 is the one precision that has them.
    is_fused = mixed_precision != "fp16"
    if uses_muon:
        return MuonWithAdamW(matrices, groups, config.learning_rate, config.weight_decay, is_fused)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=is_fused)


def hidden_matrices(model: nn.Module) -> Iterable[nn.Parameter]:
    """Weights that learn of linear layers between hidden states."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer.weight.requires_grad and min(layer.weight.shape) >= NARROWEST:
            yield layer.weight
