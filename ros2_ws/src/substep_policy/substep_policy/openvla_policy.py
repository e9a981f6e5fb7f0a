"""OpenVLA-OFT as a policy: from a checkpoint folder in the published layout to chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer

from substep_policy.backbones.openvla.images import ImagePipeline
from substep_policy.backbones.openvla.prompt import PromptBuilder
from substep_policy.backbones.openvla.published import load_model
from substep_policy.backbones.openvla.published_config import read_config
from substep_policy.checkpoint import CheckpointError
from substep_policy.chunk import Chunk
from substep_policy.chunk_decoder import ChunkDecoder
from substep_policy.compact_policy import choose_device
from substep_policy.execution import executor
from substep_policy.instruction_tokens import TOKENIZER_FILE
from substep_policy.memory import TooLargeError
from substep_policy.model import SubstepModel
from substep_policy.normalization import STATISTICS_FILE, DatasetStatistics, Statistics, load_statistics
from substep_policy.observation import ACTION_DIM, PROPRIO_DIM, Observation
from substep_policy.openvla_model import OpenVLAModelConfig
from substep_policy.quantization import check_quantization, quantize
from substep_policy.run_modes import Execution, Quantization

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class OpenVLAPolicy:
    """Implements ``substep_policy.policy.Policy``."""

    requires_scene = False

    def __init__(
        self,
        name: str,
        model: SubstepModel,
        prompts: PromptBuilder,
        images: ImagePipeline,
        proprio: Statistics,
        decoder: ChunkDecoder,
        execution: Execution = Execution.EAGER,
    ) -> None:
        weight = next(model.parameters())
        self.name, self.device = name, str(weight.device)
        self.dtype = str(weight.dtype).removeprefix("torch.")
        self._decoder = decoder
        self._act = executor(model.act, execution, weight.device, pad_token=model.backbone.config.tokens.pad)
        self._prompts, self._images, self._proprio = prompts, images, proprio
        self._device, self._weight_dtype = weight.device, weight.dtype
        self._text: dict[str, torch.Tensor] | None = None

    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do: what the model makes of it is its own affair."""
        prompts = self._prompts.build([instruction])
        self._text = {
            "input_ids": self._tensor(prompts.input_ids),
            "attention_mask": self._tensor(prompts.attention_mask),
            "slot_start": self._tensor(prompts.slot_start),
        }

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, or no substep was started."""
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        pixels = self._tensor(self._images(observation.images)[None]).to(self._weight_dtype)
        proprio = self._tensor(self._proprio.normalize(observation.proprio)[None]).to(self._weight_dtype)
        actions, hidden = self._act({**self._text, "pixel_values": pixels, "proprio": proprio})
        return self._decoder.chunk(actions, hidden)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def load(folder: Path, config: Mapping[str, Any], settings: PolicySettings) -> OpenVLAPolicy:
    """The policy of a checkpoint folder, as ``substep_policy.registry`` calls it; ``config`` is read from there again.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow, a camera it needs that will not be there, a data set to choose.
        TooLargeError: the weights do not fit into the memory of the device, or of the computer.
    """
    model_config = read_config(folder)
    _check_cameras(folder, model_config, settings)
    model_config = dataclasses.replace(model_config, eos=model_config.eos.at(settings.eos_threshold, folder))
    prompts = PromptBuilder(load_tokenizer(folder), model_config.backbone)
    statistics = load_openvla_statistics(folder, settings.dataset)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    check_quantization(settings.quantization, device)
    try:
        # What is to be quantised must not arrive on the device as it is: it may not fit.
        arrives = device if settings.quantization is Quantization.NONE else torch.device("cpu")
        _, model = load_model(folder, arrives, dtype)
        quantize(model, settings.quantization, device)
    except torch.OutOfMemoryError as error:
        raise TooLargeError(
            f"{folder} in {dtype} does not fit into the memory of {device}: {error}; take a smaller number type, "
            "quantization (int8 halves bfloat16), or a GPU with more memory"
        ) from error
    torch.manual_seed(settings.seed)
    return OpenVLAPolicy(
        name=f"openvla:{folder.name}",
        model=model,
        prompts=prompts,
        images=ImagePipeline(model_config.backbone),
        proprio=statistics.proprio,
        decoder=ChunkDecoder.build(model, model_config, statistics.action),
        execution=settings.execution,
    )


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """ "auto" is what the published weights are kept in, bfloat16, on a GPU, and float32 on a CPU."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, dtype)


def _check_cameras(folder: Path, config: OpenVLAModelConfig, settings: PolicySettings) -> None:
    missing = set(config.backbone.cameras) - set(settings.cameras)
    if missing:
        raise ValueError(f"{folder} needs cameras {sorted(missing)}, and will be given {sorted(settings.cameras)}")


def load_openvla_statistics(folder: Path, dataset: str | None) -> DatasetStatistics:
    """Raises: ValueError: missing, ambiguous, or of another robot."""
    statistics = load_statistics(folder, dataset)
    sizes = (len(statistics.proprio.mean), len(statistics.action.mean))
    if sizes != (PROPRIO_DIM, ACTION_DIM):
        raise CheckpointError(
            f"{folder / STATISTICS_FILE} describes {sizes[0]} proprioception and {sizes[1]} action values, "
            f"expected {PROPRIO_DIM} and {ACTION_DIM}"
        )
    return statistics


def load_tokenizer(folder: Path) -> Tokenizer:
    """Raises: CheckpointError: the file is missing or damaged."""
    path = folder / TOKENIZER_FILE
    if not path.exists():
        raise CheckpointError(f"{path} is missing")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise CheckpointError(f"{path} is not a tokenizer.json: {error}") from error
