"""Memory that this process holds."""

from __future__ import annotations

import psutil


def memory_in_use(device: str) -> int:
    """Bytes: on a GPU what PyTorch holds of the GPU's memory, elsewhere the process's resident memory."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss
