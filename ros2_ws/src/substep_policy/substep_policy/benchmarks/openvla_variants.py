"""Ways of running an OpenVLA, and how long each takes with random weights.

The first of them is how the published code does it. A way that fails has its reason in its row; the others are timed
all the same.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaForCausalLM

from substep_policy.benchmarks.policy_latency import MATMUL_SIZES, Failure, LatencyReport, LatencyRow, measure_policy
from substep_policy.benchmarks.random_models import INSTRUCTION, random_openvla, random_statistics, word_tokenizer
from substep_policy.benchmarks.timing import device_name, matmul_rate
from substep_policy.memory import TooLargeError
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.model import SubstepModel
from substep_policy.models.on_device import choose_dtype
from substep_policy.models.openvla.images import OpenVLAImages
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.policy import OpenVLAPolicy
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder
from substep_policy.models.openvla.vision import CHANNELS
from substep_policy.models.quantization import check_quantization, quantize
from substep_policy.run_modes import Execution, Quantization


@dataclass(frozen=True)
class Variant:
    """A way of running an OpenVLA. ``as_published``: in the published code's structure, see ``restructure``."""

    name: str
    execution: Execution = Execution.EAGER
    quantization: Quantization = Quantization.NONE
    as_published: bool = False

    def fits(self, device: torch.device) -> bool:
        """The device can do it."""
        try:
            check_quantization(self.quantization, device)
        except ValueError:
            return False
        return self.execution is Execution.EAGER or device.type == "cuda"


VARIANTS = (
    Variant("reference", as_published=True),
    Variant("eager"),
    Variant("cuda_graph", Execution.CUDA_GRAPH),
    Variant("compiled", Execution.COMPILED),
    Variant("int8", quantization=Quantization.INT8),
    Variant("int8 compiled", Execution.COMPILED, Quantization.INT8),
    Variant("int8_dynamic compiled", Execution.COMPILED, Quantization.INT8_DYNAMIC),
    Variant("fp8_dynamic compiled", Execution.COMPILED, Quantization.FP8_DYNAMIC),
)


class OneByOne(nn.Module):
    """A vision trunk that is given one image at a time."""

    def __init__(self, vision: nn.Module) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, pixels: Tensor, language: Tensor) -> Tensor:
        return torch.cat([self.vision(image, language) for image in pixels.split(1, dim=1)], dim=1)


class WholeOutput(nn.Module):
    """A Llama that is asked for more than is read: logits at every position, hidden states of every layer."""

    def __init__(self, llama: LlamaForCausalLM) -> None:
        super().__init__()
        self.llama = llama

    def get_input_embeddings(self) -> nn.Module:
        return self.llama.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.llama.get_output_embeddings()

    def model(self, **inputs: Tensor | bool) -> SimpleNamespace:
        """As the model within the Llama, whose last hidden states are all that is read."""
        output = self.llama(**inputs, output_hidden_states=True)
        return SimpleNamespace(last_hidden_state=output.hidden_states[-1])


def restructure(model: SubstepModel) -> None:
    """Give a model the published code's structure, with the same answers: each image on its own, ``WholeOutput``."""
    model.backbone.vision_backbone = OneByOne(model.backbone.vision_backbone)
    model.backbone.language_model = WholeOutput(model.backbone.language_model)


def count_operations(config: OpenVLAModelConfig) -> int:
    """Floating-point operations of one chunk: every matrix product and attention, counted on tensors without data."""
    meta, backbone = torch.device("meta"), config.backbone
    model = random_openvla(config, meta, torch.bfloat16)
    prompts = OpenVLAPromptBuilder(word_tokenizer(config), config).build([INSTRUCTION])
    images = (1, len(config.cameras), CHANNELS, backbone.image_size, backbone.image_size)
    inputs = {
        "pixel_values": torch.empty(images, device=meta, dtype=torch.bfloat16),
        "proprio": torch.empty(1, config.robot.state_width, device=meta, dtype=torch.bfloat16),
        "input_ids": torch.from_numpy(prompts.input_ids).to(meta),
        "attention_mask": torch.from_numpy(prompts.attention_mask).to(meta),
        "slot_start": torch.from_numpy(prompts.slot_start).to(meta),
    }
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        _, hidden = model.act(inputs)
        if model.eos_head is not None:
            model.eos_head(hidden)
    return counter.get_total_flops()


def random_policy(
    config: OpenVLAModelConfig, variant: Variant, device: torch.device, dtype: torch.dtype
) -> OpenVLAPolicy:
    """The policy with random weights, run as the variant says."""
    model = random_openvla(config, device, dtype)
    quantize(model, variant.quantization, device)
    if variant.as_published:
        restructure(model)
    statistics = random_statistics(config)
    return OpenVLAPolicy(
        name=variant.name,
        config=config,
        model=model,
        prompts=OpenVLAPromptBuilder(word_tokenizer(config), config),
        images=OpenVLAImages(config),
        proprio=statistics.proprio,
        chunks=ChunkBuilder.build(model, config, statistics.action),
        read_statistics=lambda dataset: statistics,
        execution=variant.execution,
    )


def measure_variant(
    config: OpenVLAModelConfig, variant: Variant, repeats: int, device: torch.device, dtype: torch.dtype
) -> LatencyRow | Failure:
    """Time one way, at random weights."""
    try:
        _free(device)
        return measure_policy(variant.name, lambda: random_policy(config, variant, device, dtype), repeats, str(device))
    except (RuntimeError, TooLargeError) as error:
        # RuntimeError is what torch raises for too little memory on a GPU, for a kernel that the device lacks, and for
        # all that goes wrong in compiling and capturing: no narrower class holds these. None of it says anything of
        # the other ways.
        reason = str(error).strip().partition("\n")[0]
        return Failure(variant.name, f"{type(error).__name__}: {reason}")


def _free(device: torch.device) -> None:
    """Give back what earlier ways held: compiled code and captured graphs keep their models alive."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def benchmark_openvla(
    name: str, config: OpenVLAModelConfig, variants: Sequence[Variant], repeats: int, device: torch.device
) -> LatencyReport:
    """Every variant in turn, at random weights."""
    dtype = choose_dtype("auto", device)
    # Measured first: a variant that breaks the device for good must not take this with it.
    rate = matmul_rate(str(device), dtype, MATMUL_SIZES[device.type])
    rows = tuple(measure_variant(config, variant, repeats, device, dtype) for variant in variants)
    model = random_openvla(config, torch.device("meta"), dtype)
    return LatencyReport(
        name,
        device_name(str(device)),
        datetime.now(UTC).date().isoformat(),
        str(dtype).removeprefix("torch."),
        rate,
        rows,
        sum(weight.numel() for weight in model.parameters()),
        count_operations(config),
    )


def choose_variants(names: Sequence[str], device: torch.device) -> list[Variant]:
    """Those named, or all that the device can do. Raises: ValueError: there is none of that name."""
    known = {variant.name: variant for variant in VARIANTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no variant {', '.join(map(repr, unknown))}, only {', '.join(map(repr, known))}")
    return [known[name] for name in names] or [variant for variant in VARIANTS if variant.fits(device)]
