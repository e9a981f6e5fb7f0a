"""Which device a model runs on."""

from __future__ import annotations

import torch


def choose_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one. Raises: ValueError: a GPU was asked for that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but PyTorch finds no CUDA device: use 'cpu' or 'auto'")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {device!r}, but there are {torch.cuda.device_count()} CUDA devices")
    return chosen
