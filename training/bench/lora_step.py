"""Times a LoRA step of OpenVLA-OFT: ``./substep bench training``, samples a second and memory.

The step is that of training (``finetune_substep.train_step``), at the published size with random weights where there
is a GPU, at a toy size elsewhere; images and actions are random.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from accelerate import Accelerator

from substep_core.contract import RobotContract
from substep_policy.benchmarks.random_models import (
    INSTRUCTION,
    published_model,
    random_openvla,
    toy_model,
    word_tokenizer,
)
from substep_policy.benchmarks.timing import device_name, measure, peak_memory, reset_peak_memory
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder
from substep_policy.models.openvla.vision import CHANNELS
from training.data.transform import Batch
from training.train.config import DirectEos, LoraSettings, OptimizerConfig
from training.train.finetune_substep import make_optimizer, update
from training.train.lora import add_adapters, lora_config
from training.train.objective import Objective

SIZES = {"random-openvla": published_model, "random-toy": toy_model}
PRECISION = "bf16"


@dataclass(frozen=True)
class StepFigures:
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

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

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
    backbone, robot = config.backbone, config.robot
    prompts = OpenVLAPromptBuilder(word_tokenizer(config), config).build([INSTRUCTION] * size)
    images = (size, len(config.cameras), CHANNELS, backbone.image_size, backbone.image_size)
    batch = {
        "pixel_values": torch.randn(images),
        "proprio": torch.rand(size, robot.state_width) * 2 - 1,
        "input_ids": torch.from_numpy(prompts.input_ids),
        "attention_mask": torch.from_numpy(prompts.attention_mask),
        "slot_start": torch.from_numpy(prompts.slot_start),
        "actions": torch.rand(size, config.chunk_length, robot.action_width) * 2 - 1,
        "action_mask": torch.ones(size, config.chunk_length, dtype=torch.bool),
        "eos_labels": torch.zeros(size, config.chunk_length, 1),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def benchmark(
    name: str | None, robot: RobotContract, batch: int, rank: int, gradient_checkpointing: bool, repeats: int
) -> StepFigures:
    """One run.

    Args:
        name: one of ``SIZES``; None: the published size where there is a GPU, else the toy size.

    Raises:
        torch.OutOfMemoryError: such a step does not fit on the GPU.
        ValueError: a number is out of its range, or the weights do not fit into the computer's memory.
    """
    size = name or ("random-openvla" if torch.cuda.is_available() else "random-toy")
    if name is None and size == "random-toy":
        print("no GPU here: timing the toy size, which says nothing about the real one", file=sys.stderr)
    accelerator = Accelerator(mixed_precision=PRECISION)
    device = str(accelerator.device)
    reset_peak_memory(device)
    config = SIZES[size](robot)
    model = adapted_model(config, rank, accelerator.device, torch.bfloat16)
    if gradient_checkpointing:
        model.backbone.enable_gradient_checkpointing()
    objective = Objective(model, DirectEos()).train()
    settings = OptimizerConfig()
    wrapped, optimizer = accelerator.prepare(objective, make_optimizer(objective, settings, PRECISION))
    samples = random_batch(config, batch, accelerator.device)
    step = measure(
        lambda: update(accelerator, wrapped, objective, optimizer, [samples], settings.max_grad_norm),
        repeats,
        warm_up=3,
        device=device,
    )
    return StepFigures(
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
