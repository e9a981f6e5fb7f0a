"""Times a policy's chunk: ``./substep checkpoint latency`` and, with random weights, ``./substep bench policy``.

One chunk is what the policy node does for a request, batch 1: from images and proprioception to un-normalised actions
with EOS. The instruction is prepared once a substep and timed apart.

An OpenVLA with random weights is timed in several ways beside each other, the first of which is how the published code
does it. A way that fails has its reason in its row; the others are timed all the same.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaForCausalLM

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks.random_models import (
    INSTRUCTION,
    published_model,
    random_observation,
    random_openvla,
    random_statistics,
    toy_model,
    word_tokenizer,
    write_random_compact,
)
from substep_policy.benchmarks.timing import (
    Latency,
    device_name,
    matmul_rate,
    measure,
    peak_memory,
    reset_peak_memory,
)
from substep_policy.device import choose_device
from substep_policy.memory import TooLargeError
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.model import SubstepModel
from substep_policy.models.on_device import choose_dtype
from substep_policy.models.openvla.images import ImagePipeline
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.policy import OpenVLAPolicy
from substep_policy.models.openvla.prompt import PromptBuilder
from substep_policy.models.openvla.vision import CHANNELS
from substep_policy.models.quantization import check_quantization, quantize
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.run_modes import Execution, Quantization

CAMERA_SIZE = 256  # pixels a side, as cameras give images and before the policy resizes them
RANDOM_OPENVLA, RANDOM_TOY, RANDOM_COMPACT = "random-openvla", "random-toy", "random-compact"
RANDOM_OPENVLAS = {RANDOM_OPENVLA: published_model, RANDOM_TOY: toy_model}
MATMUL_SIZES = {"cuda": 8192, "cpu": 1024}


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


@dataclass(frozen=True)
class Row:
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
    rows: tuple[Row | Failure, ...]
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
    prompts = PromptBuilder(word_tokenizer(config), config).build([INSTRUCTION])
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
        prompts=PromptBuilder(word_tokenizer(config), config),
        images=ImagePipeline(config),
        proprio=statistics.proprio,
        chunks=ChunkBuilder.build(model, config, statistics.action),
        read_statistics=lambda dataset: statistics,
        execution=variant.execution,
    )


def measure_policy(name: str, load: Callable[[], Policy], repeats: int, device: str) -> Row:
    """Load a policy and time it."""
    reset_peak_memory(device)
    policy = load()
    observation = random_observation(policy.robot, policy.cameras, CAMERA_SIZE)
    substep = measure(lambda: policy.start_substep(INSTRUCTION, INSTRUCTION), repeats, device=device)
    chunk = measure(lambda: policy.predict(observation), repeats, device=device)
    return Row(name, chunk, substep, peak_memory(device))


def measure_variant(
    config: OpenVLAModelConfig, variant: Variant, repeats: int, device: torch.device, dtype: torch.dtype
) -> Row | Failure:
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


@contextlib.contextmanager
def compact_checkpoint() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        write_random_compact(Path(folder), CompactModelConfig(robot=load_robot(LIBERO_PANDA)))
        yield Path(folder)


def benchmark_random(name: str | None, variants: Sequence[str], device_name: str, repeats: int) -> LatencyReport:
    """A network with random weights.

    Args:
        name: "random-openvla", "random-toy" or "random-compact"; None: the first where there is a GPU, else the second.
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
        config = RANDOM_OPENVLAS[chosen]()
        return benchmark_openvla(chosen, config, choose_variants(variants, device), repeats, device)
    with compact_checkpoint() as folder:
        return benchmark_policy(chosen, str(folder), PolicySettings(device=device_name), repeats)


def choose_variants(names: Sequence[str], device: torch.device) -> list[Variant]:
    """Those named, or all that the device can do. Raises: ValueError: there is none of that name."""
    known = {variant.name: variant for variant in VARIANTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no variant {', '.join(map(repr, unknown))}, only {', '.join(map(repr, known))}")
    return [known[name] for name in names] or [variant for variant in VARIANTS if variant.fits(device)]
