"""Compares the weights of two checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor that a checkpoint keeps of the model, by part, whatever its step."""
    state = {}
    for path in [*folder.rglob("*.safetensors"), *folder.glob("*_checkpoint.pt")]:
        part = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        state |= {f"{path.name.partition('--')[0]}:{key}": value for key, value in part.items()}
    return state


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
