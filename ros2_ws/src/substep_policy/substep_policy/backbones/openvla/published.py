"""Checkpoint folders in OpenVLA-OFT's published layout.

    config.json  preprocessor_config.json  tokenizer.json  dataset_statistics.json
    model.safetensors.index.json  model-00001-of-0000N.safetensors …        (or one model.safetensors)
    proprio_projector--150000_checkpoint.pt  action_head--150000_checkpoint.pt  [eos_head--…_checkpoint.pt]
    [noisy_action_projector--…_checkpoint.pt: diffusion]  [vision_backbone--…_checkpoint.pt: FiLM]  [lora_adapter/]

Shards hold merged weights, and a ``lora_adapter`` beside them is a record of the training. Without shards, the adapter
is merged into the weights of the model that it names as its base.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from substep_policy.backbones.openvla.adapter import adapter_scale, base_folder, has_adapter, merge_adapter
from substep_policy.backbones.openvla.published_config import read_config, read_json, write_config
from substep_policy.backbones.openvla.published_keys import film_key, is_film, merge_lora, shard_key
from substep_policy.checkpoint import (
    BACKBONE_FILE,
    CheckpointError,
    check_fit,
    component_file,
    find_component,
    has_component,
    read_state,
)
from substep_policy.model import SubstepModel
from substep_policy.openvla_model import OpenVLAModelConfig, build_openvla

INDEX_FILE = "model.safetensors.index.json"
FILM_COMPONENT = "vision_backbone"
COMPONENTS = ("proprio_projector", "action_head", "eos_head", "noisy_action_projector", FILM_COMPONENT)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Weights of one module, and where they are.

    Attributes:
        names: key in the files -> key in the module.
        lora_scale: of LoRA layers that were saved with the module.
    """

    name: str
    module: nn.Module
    files: tuple[Path, ...]
    names: Mapping[str, str]
    lora_scale: float | None = None

    def state(self, device: str = "cpu") -> dict[str, Tensor]:
        """By key in the files, LoRA merged; "meta" reads shapes and types alone. Raises: CheckpointError."""
        state: dict[str, Tensor] = {}
        for path in self.files:
            state |= read_state(path, device)
        return merge_lora(state, self.lora_scale)

    def expected(self) -> dict[str, Tensor]:
        own = self.module.state_dict()
        return {name: own[key] for name, key in self.names.items()}

    def check(self) -> None:
        """Raises: CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape."""
        where = ", ".join(path.name for path in self.files[:1])
        what = f"{self.name}: {self.files[0].parent / where} does not fit {type(self.module).__name__}"
        check_fit(self.state("meta"), self.expected(), what)

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        state = {self.names[name]: value.to(device, dtype) for name, value in self.state().items()}
        self.module.load_state_dict(state, strict=False, assign=True)


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[OpenVLAModelConfig, SubstepModel]:
    """The model with the checkpoint's weights, in ``eval()``. It is never given random ones on the way.

    Raises:
        CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape.
        HubError: the weights that an adapter belongs to cannot be had.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = build_openvla(config)
    load_parts(published_parts(folder, config, model), model, device, dtype)
    if is_adapter_needed(folder):
        merge_adapter(model.backbone, folder, skip_vision=config.backbone.film)
    elif has_adapter(folder):
        log.info("%s holds merged weights: its lora_adapter is a record of the training and is not applied", folder)
    return config, model.eval()


def published_parts(folder: Path, config: OpenVLAModelConfig, model: SubstepModel) -> list[Part]:
    """Every part of ``model`` and its files, in the order in which they are to be loaded.

    Raises:
        CheckpointError: the file of a part is missing, or a file is there that the model has no part for.
    """
    parts = backbone_parts(folder, config, model.backbone)
    for name, head in model.heads.items():
        parts.append(Part(name, head, (find_component(folder, name),), {key: key for key in head.state_dict()}))
    surplus = {name for name in COMPONENTS if has_component(folder, name)} - {part.name for part in parts}
    if surplus:
        raise CheckpointError(
            f"{folder} has files of {', '.join(sorted(surplus))}, which its model does not have "
            f"(action head {config.action_head.type!r})"
        )
    return parts


def backbone_parts(folder: Path, config: OpenVLAModelConfig, backbone: nn.Module) -> list[Part]:
    """As ``published_parts``, of the backbone alone."""
    keys = [key for key in backbone.state_dict() if not is_film(key)]
    parts = [Part("backbone", backbone, _weight_files(folder), {shard_key(key): key for key in keys})]
    if config.backbone.film:
        vision = {film_key(key): key for key in backbone.state_dict() if key.startswith("vision_backbone.")}
        path = find_component(folder, FILM_COMPONENT)
        parts.append(Part(FILM_COMPONENT, backbone, (path,), vision, adapter_scale(folder)))
    return parts


def load_parts(parts: list[Part], model: SubstepModel, device: torch.device, dtype: torch.dtype) -> None:
    """Fill ``model``, or the part of it that ``parts`` are of. Raises: CheckpointError: as ``load_model``."""
    for part in parts:
        part.check()
    for part in parts:
        part.load(device, dtype)
    # The one part that is computed and not stored.
    llama = model.backbone.language_model
    llama.model.rotary_emb = LlamaRotaryEmbedding(llama.config).to(device)


def is_adapter_needed(folder: Path) -> bool:
    """The folder has no weights of its own, and an adapter to somebody else's."""
    return has_adapter(folder) and not any((folder / name).exists() for name in (INDEX_FILE, BACKBONE_FILE))


def save_model(
    folder: Path, config: OpenVLAModelConfig, model: SubstepModel, step: int, shard_size: str | int = "5GB"
) -> None:
    """Write configuration, shards and heads into an existing folder; statistics and tokenizer are the caller's."""
    write_config(folder, config)
    state = {key: value.detach().contiguous() for key, value in model.backbone.state_dict().items()}
    shards = {shard_key(key): value for key, value in state.items() if not is_film(key)}
    save_torch_state_dict(shards, folder, max_shard_size=shard_size)
    if config.backbone.film:
        vision = {film_key(key): value for key, value in state.items() if key.startswith("vision_backbone.")}
        torch.save(vision, folder / component_file(FILM_COMPONENT, step))
    for name, head in model.heads.items():
        torch.save(head.state_dict(), folder / component_file(name, step))


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """The shards that the index names, or the one file where there is no index; of the adapter's base, if needed."""
    if is_adapter_needed(folder):
        return _weight_files(base_folder(folder))
    index = folder / INDEX_FILE
    if not index.exists():
        return (folder / BACKBONE_FILE,)
    shards = read_json(index).get("weight_map")
    if not shards:
        raise CheckpointError(f"{index} has no weight_map")
    return tuple(folder / name for name in sorted(set(shards.values())))
