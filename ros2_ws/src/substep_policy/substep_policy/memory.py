"""Memory that this process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch
    from torch import nn


def memory_in_use(device: str) -> int:
    """Bytes: on a GPU what PyTorch holds of the GPU's memory, elsewhere the process's resident memory."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss


def check_fits(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """A GPU says itself when it is full; on a processor the system would end the process without a word.

    Args:
        model: may be on the meta device.

    Raises:
        MemoryError: the weights alone are more than the memory that is free.
    """
    needed = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize
    free = psutil.virtual_memory().available
    if device.type == "cpu" and needed > free:
        raise MemoryError(
            f"the weights take {needed / 1e9:.1f} GB in {dtype}, and {free / 1e9:.1f} GB of memory are free"
        )
