"""Memory in use by this process, and memory that is still free for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch
    from torch import nn


class TooLargeError(ValueError, MemoryError):
    """Weights that do not fit into the memory they are meant for; the message says whose, and what would help."""


@dataclass(frozen=True)
class Cgroup:
    """Where Linux says what a container may take of memory, and what it takes.

    Attributes:
        files: entries of ``memory.stat``: files that were read, such as a checkpoint's. They count as taken until
            somebody needs the room.
    """

    folder: Path
    limit: str
    taken: str
    files: tuple[str, str]


CGROUPS = (
    Cgroup(Path("/sys/fs/cgroup"), "memory.max", "memory.current", ("inactive_file", "active_file")),
    Cgroup(
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


def memory_in_use(device: str) -> int:
    """Bytes: on a GPU what PyTorch holds of the GPU's memory, elsewhere the process's resident memory."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss


def check_fits(model: nn.Module, device: torch.device, dtype: torch.dtype, owner: str) -> None:
    """A GPU says itself when it is full; on a processor the system would end the process without a word.

    Args:
        model: may be on the meta device.
        owner: whose weights they are.

    Raises:
        TooLargeError: the weights alone are more than the memory that is free.
    """
    needed = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize
    free = free_memory()
    if device.type == "cpu" and needed > free:
        raise TooLargeError(
            f"{owner}: the weights take {needed / 1e9:.1f} GB in {dtype}, and {free / 1e9:.1f} GB of the computer's "
            "memory are free: take a smaller number type (bfloat16 has 2 bytes), a GPU without quantization, which "
            "takes them file by file, or a computer with more memory"
        )


def free_memory() -> float:
    """Bytes that this process may still take: of the computer, and of the container that it may be in."""
    return min(psutil.virtual_memory().available, *map(room, CGROUPS))


def room(cgroup: Cgroup) -> float:
    """Bytes that a container's limit leaves; infinity where there is none."""
    limit = cgroup.folder / cgroup.limit
    if not limit.exists() or limit.read_text().strip() == "max":
        return math.inf
    statistics = dict(line.split() for line in (cgroup.folder / "memory.stat").read_text().splitlines())
    files = sum(int(statistics[name]) for name in cgroup.files)
    return int(limit.read_text()) - int((cgroup.folder / cgroup.taken).read_text()) + files
