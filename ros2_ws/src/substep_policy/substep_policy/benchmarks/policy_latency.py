"""Times a policy's chunk: ``./substep checkpoint latency``.

One chunk is what the policy node does for a request, batch 1: from images and proprioception to un-normalised actions
with EOS. The instruction is prepared once a substep and timed apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import torch

from substep_policy.benchmarks.random_models import INSTRUCTION, random_observation
from substep_policy.benchmarks.timing import (
    Latency,
    device_name,
    matmul_rate,
    measure,
    peak_memory,
    reset_peak_memory,
)
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings

CAMERA_SIZE = 256  # pixels a side, as cameras give images and before the policy resizes them
MATMUL_SIZES = {"cuda": 8192, "cpu": 1024}


@dataclass(frozen=True)
class LatencyRow:
    """One way's figures; memory in GB at its peak."""

    name: str
    chunk: Latency
    substep: Latency
    memory: float

    def __str__(self) -> str:
        chunk = f"{self.chunk.median:9.1f} {self.chunk.p99:9.1f}"
        return f"{self.name:24}{chunk} {self.substep.median:12.2f} {self.memory:10.2f}"


@dataclass(frozen=True)
class Failure:
    """A way that could not be timed, and why."""

    name: str
    error: str

    def __str__(self) -> str:
        return f"{self.name:24}failed: {self.error}"


@dataclass(frozen=True)
class LatencyReport:
    """Everything measured in one run.

    Attributes:
        rate: operations a second of a large matrix product on this device, in the policy's number type.
        parameters, operations: of the network, and of the arithmetic of one chunk; counted for random weights alone.
    """

    model: str
    device: str
    date: str
    dtype: str
    rate: float
    rows: tuple[LatencyRow | Failure, ...]
    parameters: int | None = None
    operations: int | None = None

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(row for row in self.rows if isinstance(row, Failure))

    @property
    def floor(self) -> float | None:
        """ms that the arithmetic alone takes at that rate."""
        return None if self.operations is None else 1e3 * self.operations / self.rate

    def __str__(self) -> str:
        lines = [
            f"{self.model} in {self.dtype}, on {self.device}, {self.date}",
            f"{'':24}{'chunk ms':>9} {'p99':>9} {'substep ms':>12} {'memory GB':>10}",
            *map(str, self.rows),
        ]
        if self.operations is not None:
            lines.append(
                f"{self.parameters / 1e6:.2f} M parameters; {self.operations / 1e12:.3g} TFLOP a chunk take, at the "
                f"{self.rate / 1e12:.1f} TFLOP/s of a large product in {self.dtype}, {self.floor:.2f} ms at least"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "floor_ms": self.floor}, indent=1)


def measure_policy(name: str, load: Callable[[], Policy], repeats: int, device: str) -> LatencyRow:
    """Load a policy and time it."""
    reset_peak_memory(device)
    policy = load()
    observation = random_observation(policy.robot, policy.cameras, CAMERA_SIZE)
    substep = measure(lambda: policy.start_substep(INSTRUCTION, INSTRUCTION), repeats, device=device)
    chunk = measure(lambda: policy.predict(observation), repeats, device=device)
    return LatencyRow(name, chunk, substep, peak_memory(device))


def benchmark_policy(name: str, policy_name: str, settings: PolicySettings, repeats: int) -> LatencyReport:
    """One policy, as the policy node would run it.

    Args:
        name: what the report calls it.
        policy_name: as ``PolicyRegistry.load`` takes it.

    Raises:
        ValueError: there is no such policy, or it looks at more than random images can show.
    """
    policy = POLICIES.load(policy_name, settings)
    if policy.requires_scene:
        raise ValueError(f"policy {policy_name!r} needs a simulated world to look at, and here are random images only")
    row = measure_policy("as loaded", lambda: policy, repeats, policy.device)
    dtype = getattr(torch, policy.dtype)
    rate = matmul_rate(policy.device, dtype, MATMUL_SIZES[torch.device(policy.device).type])
    date = datetime.now(UTC).date().isoformat()
    return LatencyReport(name, device_name(policy.device), date, policy.dtype, rate, (row,))
