"""Times a compact policy's chunk: ``python -m substep_policy.latency [CHECKPOINT]``; random weights without one.

One chunk is what the policy node does for a request, from images to un-normalised actions with EOS. The instruction is
encoded once a substep and timed apart.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from substep_policy.checkpoint import load_model, save_model
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer, train_tokenizer
from substep_policy.model import ModelConfig, build_model
from substep_policy.normalization import DatasetStatistics, Statistics, action_statistics, save_statistics
from substep_policy.observation import ACTION_DIM, PROPRIO_DIM, Observation
from substep_policy.registry import POLICIES, PolicySettings

INSTRUCTION = "place the yellow and white mug on the right plate"


@dataclass(frozen=True)
class Latency:
    """Wall-clock time of repeated calls, in milliseconds."""

    median: float
    p99: float

    def __str__(self) -> str:
        return f"median {self.median:.1f} ms, p99 {self.p99:.1f} ms"


def measure(function: Callable[[], object], repeats: int, warm_up: int = 10) -> Latency:
    """Times ``function`` after a warm-up."""
    times = []
    for number in range(warm_up + repeats):
        before = time.perf_counter()
        function()
        if number >= warm_up:
            times.append((time.perf_counter() - before) * 1e3)
    return Latency(float(np.median(times)), float(np.quantile(times, 0.99)))


def write_random_checkpoint(folder: Path, config: ModelConfig) -> None:
    """A complete checkpoint that nobody trained."""
    random = np.random.default_rng(0)
    save_model(folder, config, build_model(config), step=0)
    tokenizer = train_tokenizer([INSTRUCTION], config.backbone.vocabulary_size)
    InstructionTokenizer(tokenizer, config.preprocessing.max_instruction_tokens).save(folder / TOKENIZER_FILE)
    action = action_statistics(random.uniform(-1, 1, (100, ACTION_DIM)), config.gripper)
    proprio = Statistics.of(random.normal(size=(100, config.preprocessing.proprio_encoding.width)))
    save_statistics(folder, "random", DatasetStatistics(action, proprio, 100, 1))


def benchmark(folder: Path, repeats: int, device: str) -> str:
    """A few lines about a checkpoint: parameters, and the times of a chunk and of a substep's beginning."""
    config, model = load_model(folder)
    policy = POLICIES.load(str(folder), PolicySettings(device=device))
    random = np.random.default_rng(0)
    size = config.preprocessing.image_size
    images = {camera: random.integers(0, 255, (size, size, 3), np.uint8) for camera in config.preprocessing.cameras}
    observation = Observation(images, random.normal(size=PROPRIO_DIM).astype(np.float32))
    start = measure(lambda: policy.start_substep(INSTRUCTION, INSTRUCTION), repeats)
    chunk = measure(lambda: policy.predict(observation), repeats)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    threads, machine = torch.get_num_threads(), platform.processor() or platform.machine()
    return (
        f"{parameters / 1e6:.2f} M parameters, {len(images)} images of {size}x{size}, on {policy.device} "
        f"({threads} threads, {machine}, torch {torch.__version__})\n"
        f"chunk of {config.chunk_length} actions: {chunk}\nbeginning of a substep: {start}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times."""
    parser = argparse.ArgumentParser(prog="python -m substep_policy.latency", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder (default: random weights)")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1, one core)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if options.checkpoint is None:
                write_random_checkpoint(Path(folder), ModelConfig())
            print(benchmark(options.checkpoint or Path(folder), options.repeats, options.device))
    except (ValueError, OSError) as error:
        print(f"latency: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
