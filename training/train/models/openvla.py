"""Training OpenVLA-OFT: all of it, or LoRA adapters on its backbone."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig
from tokenizers import Tokenizer
from torch import Tensor, nn

from substep_core.hub import checkpoint_folder
from substep_policy.checkpoints.folder import (
    CheckpointError,
    check_one_step,
    component_file,
    component_step,
    find_component,
    has_component,
    load_state,
)
from substep_policy.checkpoints.part import CheckpointPart, load_parts
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import Statistics
from substep_policy.models.openvla.adapter import merge_adapter
from substep_policy.models.openvla.images import OpenVLAImages
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder
from substep_policy.models.openvla.published import (
    backbone_parts,
    brings_vision,
    film_layers_part,
    is_adapter_needed,
    load_model,
    save_model,
    weight_files,
)
from substep_policy.models.openvla.published_config import (
    FILM_LAYERS,
    check_film,
    has_film,
    write_config,
)
from substep_policy.models.openvla.published_keys import film_layer_key, is_film
from substep_policy.models.openvla.size_check import check_sizes
from training.data.dataset import Sample
from training.data.frame_cache import Resizing, StoreFormat
from training.train.config import FinetuneConfig, LoraSettings
from training.train.lora import add_adapters, load_adapters, lora_config, save_adapters
from training.train.models import check_actions_only, check_begins_with_own_vision
from training.train.models.heads import begin_heads, make

CPU = torch.device("cpu")
EXPORTED_DTYPE = torch.bfloat16

log = logging.getLogger("training.train.models")


@dataclass(frozen=True)
class OpenVLAInputs:
    """Implements ``training.train.models.ModelInputs`` with the policy's own prompts and images."""

    prompts: OpenVLAPromptBuilder
    pipeline: OpenVLAImages
    proprio_statistics: Statistics
    tokenizer: Tokenizer

    def text(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        prompts = self.prompts.build([sample.instruction for sample in samples])
        return {
            "input_ids": prompts.input_ids,
            "attention_mask": prompts.attention_mask,
            "slot_start": prompts.slot_start,
        }

    def check(self, instructions: Sequence[str]) -> None:
        self.prompts.build(instructions)

    def fits(self, instruction: str) -> bool:
        return self.prompts.fits(instruction)

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        return self.proprio_statistics.normalize(proprio)

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        flat = frames.flatten(0, 1).numpy()
        pixels = np.stack([self.pipeline.pixels(frame, is_cropped) for frame in flat])
        return {"pixel_values": torch.from_numpy(pixels).unflatten(0, frames.shape[:2])}

    def save(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / TOKENIZER_FILE))


@dataclass(frozen=True)
class OpenVLATraining:
    """Implements ``training.train.models.ModelTraining``.

    Attributes:
        tokenizer: a file to use where no checkpoint has one.
        initial: the checkpoint that a run starts from, a folder or a hub id; with LoRA its weights stay those of the
            backbone.
    """

    config: OpenVLAModelConfig
    tokenizer: Path | None
    lora: LoraSettings | None
    initial: Path | None

    @property
    def store_format(self) -> StoreFormat:
        size = self.config.backbone.image_size
        return StoreFormat(self.config.robot, self.config.cameras, size, Resizing.OPENVLA)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        return Statistics.of(proprio)

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> OpenVLAInputs:
        """Raises: CheckpointError: there is no tokenizer."""
        path = self.tokenizer if checkpoint is None else checkpoint / TOKENIZER_FILE
        if path is None or not path.exists():
            raise CheckpointError(f"{path} is missing: an openvla model needs Llama's tokenizer")
        tokenizer = read_tokenizer(path)
        return OpenVLAInputs(
            OpenVLAPromptBuilder(tokenizer, self.config), OpenVLAImages(self.config), proprio, tokenizer
        )

    def build(self, checkpoint: Path | None, new_heads: bool = False) -> SubstepModel:
        if checkpoint is None:
            log.warning("there is no initial_checkpoint: the whole model starts from random weights, backbone and all")
            model = build_openvla(self.config)
            model.decoder.begin()
            return model
        check_sizes(self.config.backbone, weight_files(checkpoint), "the run's model")
        with torch.device("meta"):
            model = build_openvla(self.config)
        adapted = is_adapter_needed(checkpoint)
        base = checkpoint_folder(str(self.initial)) if adapted and self.lora is not None else checkpoint
        for folder in (checkpoint, base):
            self._check_film(folder)
        dtype = torch.float32 if self.lora is None else self.lora.dtype
        load_parts(base, self._backbone_parts(base, model.backbone), model, CPU, dtype)
        if self.config.backbone.film:
            _load_film(model.backbone, base, checkpoint)
        for head in model.heads.values():
            make(head)
        there = begin_heads(model, checkpoint, new_heads)
        files = {name: find_component(checkpoint, name) for name in there}
        check_one_step(files.values())
        for name, file in files.items():
            load_state(model.heads[name], file)
        if self.lora is not None:
            add_adapters(model.backbone, self._lora_config)
            if adapted:
                load_adapters(model.backbone, checkpoint)
        elif adapted:
            merge_adapter(model.backbone, checkpoint, skip_vision=brings_vision(checkpoint))
            model.backbone.requires_grad_(True)  # peft had frozen it
        return model

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        if self.lora is None:
            save_model(folder, self.config, self._holding(state), step)
            return
        write_config(folder, self.config)
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value.detach().cpu()
        backbone = parts.pop("backbone")
        save_adapters(folder, self._lora_config, backbone)
        if self.config.backbone.film:
            parts[FILM_LAYERS] = {film_layer_key(key): value for key, value in backbone.items() if is_film(key)}
        for name, head in parts.items():
            torch.save(head, folder / component_file(name, step))

    def write_config(self, folder: Path, config: OpenVLAModelConfig) -> None:
        write_config(folder, config)

    def export(self, checkpoint: Path, out: Path) -> None:
        config, model = load_model(checkpoint, CPU, EXPORTED_DTYPE)
        save_model(out, config, model, component_step(find_component(checkpoint, "proprio_projector")))

    def _check_film(self, folder: Path) -> None:
        check_film(folder)
        if not self.config.backbone.film and has_film(folder):
            raise CheckpointError(f"{folder} has FiLM layers, and model.backbone.film is false: set it to true")

    def _backbone_parts(self, base: Path, backbone: nn.Module) -> list[CheckpointPart]:
        """Those that are there: FiLM may be new to the base."""
        config = self.config
        if not has_film(base):
            config = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, film=False))
        return backbone_parts(base, config, backbone)

    @property
    def _lora_config(self) -> LoraConfig:
        return lora_config(self.lora, self.initial)

    def _holding(self, state: Mapping[str, Tensor]) -> SubstepModel:
        with torch.device("meta"):
            model = build_openvla(self.config)
        model.load_state_dict(state, assign=True)
        return model


def training(config: FinetuneConfig) -> OpenVLATraining:
    """Raises: ValueError: there is nothing to start from, or precisions do not go with each other."""
    check_actions_only(config)
    check_begins_with_own_vision(config)
    if config.initial_checkpoint is None and config.lora is not None:
        raise ValueError("lora adapts weights that are there, and there is no initial_checkpoint")
    if config.initial_checkpoint is None and config.data.tokenizer is None:
        raise ValueError("an openvla model needs Llama's tokenizer: give initial_checkpoint or data.tokenizer")
    if config.lora is not None and config.lora.base_dtype == "bfloat16" and config.mixed_precision != "bf16":
        raise ValueError(
            f"lora.base_dtype is bfloat16, so mixed_precision must be bf16 and is {config.mixed_precision!r}"
        )
    return OpenVLATraining(config.checkpoint_model(), config.data.tokenizer, config.lora, config.initial_checkpoint)


def _load_film(backbone: nn.Module, base: Path, checkpoint: Path) -> None:
    """FiLM layers as LoRA trained them, in float32 whatever the frozen weights are in, so that resuming is exact.

    Those that no file had are made: they change nothing until they are trained.
    """
    if has_component(checkpoint, FILM_LAYERS):
        part = film_layers_part(checkpoint, backbone)
        part.check()
        part.load(CPU, torch.float32)
    layers = backbone.vision_backbone.film
    if not any(weight.is_meta for weight in layers.parameters()):
        return
    layers.to_empty(device="cpu")
    for weight in layers.parameters():
        nn.init.zeros_(weight)
    log.warning("%s has no FiLM layers: they start as layers that change nothing", base)
