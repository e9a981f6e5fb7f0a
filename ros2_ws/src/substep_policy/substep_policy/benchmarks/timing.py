"""Time and memory of repeated calls."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Latency:
    """Wall-clock time of repeated calls, in milliseconds."""

    median: float
    p99: float

    def __str__(self) -> str:
        return f"median {self.median:.1f} ms, p99 {self.p99:.1f} ms"


def measure(function: Callable[[], object], repeats: int, warm_up: int = 10, device: str = "cpu") -> Latency:
    """Times ``function`` after a warm-up, until the device has done what it was asked."""
    times = []
    for number in range(warm_up + repeats):
        before = time.perf_counter()
        function()
        synchronize(device)
        if number >= warm_up:
            times.append((time.perf_counter() - before) * 1e3)
    return Latency(float(np.median(times)), float(np.quantile(times, 0.99)))


def measure_by_turns(
    functions: Sequence[Callable[[int], object]], turns: int, warm_up: int = 10, device: str = "cpu"
) -> np.ndarray:
    """Times functions one after the other in every turn, so that what else the machine does falls on all of them.

    Args:
        functions: each is given the number of the turn, which begins at 0 again after the warm-up.

    Returns:
        (functions, turns) float64, milliseconds.
    """
    times = np.zeros((len(functions), turns))
    for turn in range(-warm_up, turns):
        number = turn if turn >= 0 else turn + warm_up
        for row, function in enumerate(functions):
            before = time.perf_counter()
            function(number)
            synchronize(device)
            if turn >= 0:
                times[row, turn] = (time.perf_counter() - before) * 1e3
    return times


def synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> float:
    """GB: of a GPU since the last reset, of a processor the most that this process ever held."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def device_name(device: str) -> str:
    """What it calls itself, and the versions that matter."""
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"processor, {torch.get_num_threads()} threads, torch {torch.__version__}"


def matmul_rate(device: str, dtype: torch.dtype, size: int, repeats: int = 20) -> float:
    """Operations a second of one large matrix product: what the device can do where nothing holds it up."""
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / (measure(lambda: one @ other, repeats, 3, device).median / 1e3)
