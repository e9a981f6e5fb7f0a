"""Times a chunk of a network with random weights: ``./substep bench policy``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from substep_core.contract import RobotContract
from substep_policy.benchmarks.openvla_variants import benchmark_openvla, choose_variants
from substep_policy.benchmarks.policy_latency import LatencyReport, benchmark_policy
from substep_policy.benchmarks.random_models import published_model, toy_model, write_random_compact
from substep_policy.device import choose_device
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.registry import PolicySettings

RANDOM_OPENVLA, RANDOM_TOY = "random-openvla", "random-toy"
RANDOM_OPENVLAS = {RANDOM_OPENVLA: published_model, RANDOM_TOY: toy_model}


def benchmark_random(
    name: str | None, robot: RobotContract, variants: Sequence[str], device_name: str, repeats: int
) -> LatencyReport:
    """A network with random weights.

    Args:
        name: "random-openvla", "random-toy" or "random-compact"; None: the first where there is a GPU, else the second.
        robot: whose observations and actions they are.
        variants: ways to run an OpenVLA; none: all that the device can do.
        device_name: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: no such variant or device, or too little memory.
    """
    device = choose_device(device_name)
    chosen = name or (RANDOM_OPENVLA if device.type == "cuda" else RANDOM_TOY)
    if name is None and chosen == RANDOM_TOY:
        print("no GPU here: timing the toy size, which says nothing about the real one", file=sys.stderr)
    if chosen in RANDOM_OPENVLAS:
        config = RANDOM_OPENVLAS[chosen](robot)
        return benchmark_openvla(chosen, config, choose_variants(variants, device), repeats, device)
    with tempfile.TemporaryDirectory() as folder:
        write_random_compact(Path(folder), CompactModelConfig(robot=robot))
        return benchmark_policy(chosen, folder, PolicySettings(device=device_name), repeats)
