"""Times a LoRA step of OpenVLA-OFT: ``./substep bench lora``, samples a second and memory.

The step is that of training (``finetune_substep.train_step``), at the published size with random weights where there
is a GPU, at a toy size elsewhere; images and actions are random.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from accelerate import Accelerator

from substep_policy.backbones.openvla.prompt import PromptBuilder
from substep_policy.benchmarks.random_models import (
    INSTRUCTION,
    PUBLISHED_MODEL,
    TOY_MODEL,
    random_openvla,
    word_tokenizer,
)
from substep_policy.benchmarks.timing import device_name, measure, peak_memory, reset_peak_memory
from substep_policy.model import SubstepModel
from substep_policy.openvla_model import OpenVLAModelConfig
from training.config import DirectEos, LoraSettings, OptimizerConfig
from training.finetune_substep import make_optimizer, update
from training.lora import add_adapters, lora_config
from training.objective import Objective
from training.transform import Batch

SIZES = {"openvla": PUBLISHED_MODEL, "toy": TOY_MODEL}
PRECISION = "bf16"


@dataclass(frozen=True)
class StepReport:
    """Figures of one run; memory in GB at its peak."""

    size: str
    device: str
    date: str
    batch: int
    rank: int
    gradient_checkpointing: bool
    trained_parameters: int
    step_ms: float
    samples_per_second: float
    memory: float

    def __str__(self) -> str:
        return (
            f"{self.size}, rank {self.rank}, {self.trained_parameters / 1e6:.2f} M trained parameters, batch "
            f"{self.batch}, gradient checkpointing {'on' if self.gradient_checkpointing else 'off'}, on {self.device}, "
            f"{self.date}: {self.step_ms:.0f} ms a step, {self.samples_per_second:.2f} samples/s, "
            f"{self.memory:.1f} GB at the peak"
        )


def adapted_model(config: OpenVLAModelConfig, rank: int, device: torch.device, dtype: torch.dtype) -> SubstepModel:
    """Random weights made on the device; the frozen ones in ``dtype``, adapters and heads in float32."""
    model = random_openvla(config, device, dtype)
    for head in model.heads.values():
        head.float()
    add_adapters(model.backbone, lora_config(LoraSettings(rank=rank), Path("random")))
    return model


def random_batch(config: OpenVLAModelConfig, size: int, device: torch.device) -> Batch:
    """What ``SubstepTransform`` would give for ``size`` samples."""
    backbone = config.backbone
    prompts = PromptBuilder(word_tokenizer(config), backbone).build([INSTRUCTION] * size)
    images = (size, len(backbone.cameras), 6, backbone.image_size, backbone.image_size)
    batch = {
        "pixel_values": torch.randn(images),
        "proprio": torch.rand(size, 8) * 2 - 1,
        "input_ids": torch.from_numpy(prompts.input_ids),
        "attention_mask": torch.from_numpy(prompts.attention_mask),
        "slot_start": torch.from_numpy(prompts.slot_start),
        "actions": torch.rand(size, config.chunk_length, 7) * 2 - 1,
        "action_mask": torch.ones(size, config.chunk_length, dtype=torch.bool),
        "eos_labels": torch.zeros(size, config.chunk_length, 1),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def benchmark(size: str, batch: int, rank: int, gradient_checkpointing: bool, repeats: int) -> StepReport:
    """One run.

    Raises:
        torch.OutOfMemoryError: such a step does not fit on the GPU.
        ValueError: a number is out of its range, or the weights do not fit into the computer's memory.
    """
    accelerator = Accelerator(mixed_precision=PRECISION)
    device = str(accelerator.device)
    reset_peak_memory(device)
    model = adapted_model(SIZES[size], rank, accelerator.device, torch.bfloat16)
    if gradient_checkpointing:
        model.backbone.enable_gradient_checkpointing()
    objective = Objective(model, DirectEos()).train()
    settings = OptimizerConfig()
    wrapped, optimizer = accelerator.prepare(objective, make_optimizer(objective, settings, PRECISION))
    samples = random_batch(SIZES[size], batch, accelerator.device)
    step = measure(
        lambda: update(accelerator, wrapped, objective, optimizer, [samples], settings.max_grad_norm),
        repeats,
        warm_up=3,
        device=device,
    )
    return StepReport(
        size,
        device_name(device),
        datetime.now(UTC).date().isoformat(),
        batch,
        rank,
        gradient_checkpointing,
        sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        step.median,
        1e3 * batch / step.median,
        peak_memory(device),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="substep bench lora", description=__doc__)
    parser.add_argument("--size", choices=SIZES, help="default: openvla where there is a GPU, else toy")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--no-gradient-checkpointing", action="store_true")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    size = options.size or ("openvla" if torch.cuda.is_available() else "toy")
    if options.size is None and size == "toy":
        print("no GPU here: timing the toy size, which says nothing about the real one", file=sys.stderr)
    try:
        report = benchmark(size, options.batch, options.rank, not options.no_gradient_checkpointing, options.repeats)
    except torch.OutOfMemoryError as error:
        print(f"bench lora: a batch of {options.batch} does not fit: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"bench lora: {error}", file=sys.stderr)
        return 1
    print(report)
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
