"""Checkpoint folders in OpenVLA-OFT's published layout.

    config.json  preprocessor_config.json  tokenizer.json  dataset_statistics.json
    model.safetensors.index.json  model-00001-of-0000N.safetensors …        (or one model.safetensors)
    proprio_projector--150000_checkpoint.pt  action_head--150000_checkpoint.pt  [eos_head--…_checkpoint.pt]
    [noisy_action_projector--…_checkpoint.pt: diffusion]  [vision_backbone--…_checkpoint.pt: FiLM]  [lora_adapter/]
    [film--…_checkpoint.pt: FiLM layers alone, beside an adapter to a trunk that another folder has]

Shards hold merged weights, and a ``lora_adapter`` beside them is a record of the training. Without shards, the adapter
is merged into the weights of the model that it names as its base.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import nn

from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.folder import (
    BACKBONE_FILE,
    COMPONENT_FILE,
    INDEX_FILE,
    CheckpointError,
    allow_readers,
    component_file,
    find_component,
    has_component,
    model_files,
)
from substep_policy.checkpoints.part import CheckpointPart, check_surplus, head_parts, load_parts, without_weights
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_FOLDER,
    adapter_scale,
    base_folder,
    has_adapter,
    merge_adapter,
)
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.published_config import (
    FILM_LAYERS,
    FILM_TRUNK,
    has_film,
    read_config,
    write_config,
)
from substep_policy.models.openvla.published_keys import film_key, film_layer_key, is_film, merge_lora, shard_key
from substep_policy.models.openvla.size_check import check_sizes

COMPONENTS = ("proprio_projector", "action_head", "eos_head", "noisy_action_projector", FILM_TRUNK, FILM_LAYERS)

log = logging.getLogger(__name__)


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[OpenVLAModelConfig, SubstepModel]:
    """The model with the checkpoint's weights, in ``eval()``. It is never given random ones on the way.

    Raises:
        CheckpointError: a file is missing or damaged; the weights are of other sizes; a key is missing, unknown, or has
            another shape.
        HubError: the weights that an adapter belongs to cannot be had.
        TooLargeError: the weights do not fit into the computer's memory.
    """
    config = read_config(folder)
    check_sizes(config.backbone, weight_files(folder), folder / CONFIG_FILE)
    model = without_weights(build_openvla, config, folder / CONFIG_FILE)
    parts = published_parts(folder, config, model)
    check_surplus(present_components(folder), parts, folder)
    load_parts(folder, parts, model, device, dtype)
    if is_adapter_needed(folder):
        merge_adapter(model.backbone, folder, skip_vision=brings_vision(folder))
    elif has_adapter(folder):
        log.info("%s holds merged weights: its lora_adapter is a record of the training and is not applied", folder)
    return config, model.eval()


def published_parts(folder: Path, config: OpenVLAModelConfig, model: SubstepModel) -> list[CheckpointPart]:
    """Every part of ``model``, in the order in which they are to be loaded."""
    return [*backbone_parts(folder, config, model.backbone), *head_parts(folder, model)]


def backbone_parts(folder: Path, config: OpenVLAModelConfig, backbone: nn.Module) -> list[CheckpointPart]:
    """The backbone's shards, and the vision trunk with FiLM where there is one.

    Raises:
        CheckpointError: there are FiLM layers alone, and no adapter that names the trunk they belong to.
        HubError: that trunk cannot be had.
    """
    keys = [key for key in backbone.state_dict() if not is_film(key)]
    shards = CheckpointPart("backbone", backbone, lambda: weight_files(folder), {shard_key(key): key for key in keys})
    return [shards, *_film_parts(folder, backbone)] if config.backbone.film else [shards]


def _film_parts(folder: Path, backbone: nn.Module) -> list[CheckpointPart]:
    """The trunk with its layers in one file, or the base's trunk and the layers in a file of their own."""
    if not has_component(folder, FILM_LAYERS):
        vision = {film_key(key): key for key in backbone.state_dict() if key.startswith("vision_backbone.")}
        merge = partial(merge_lora, scale=adapter_scale(folder))
        return [CheckpointPart(FILM_TRUNK, backbone, lambda: (find_component(folder, FILM_TRUNK),), vision, merge)]
    if not has_adapter(folder):
        raise CheckpointError(
            f"{find_component(folder, FILM_LAYERS)} holds FiLM layers without their trunk, and {folder} has no "
            f"{ADAPTER_FOLDER}/{ADAPTER_CONFIG} that names the model they belong to"
        )
    base = base_folder(folder)
    trunk = _film_parts(base, backbone) if has_film(base) else []
    return [*trunk, film_layers_part(folder, backbone)]


def film_layers_part(folder: Path, backbone: nn.Module) -> CheckpointPart:
    """FiLM layers alone, as a LoRA run keeps them."""
    names = {film_layer_key(key): key for key in backbone.state_dict() if is_film(key)}
    return CheckpointPart(FILM_LAYERS, backbone, lambda: (find_component(folder, FILM_LAYERS),), names)


def present_components(folder: Path) -> set[str]:
    """Names of the parts that have a file of their own in the folder."""
    return {match["name"] for path in folder.iterdir() if (match := COMPONENT_FILE.fullmatch(path.name))}


def brings_vision(folder: Path) -> bool:
    """The folder has a vision trunk of its own, with its part of the adapter in it."""
    return has_component(folder, FILM_TRUNK)


def is_adapter_needed(folder: Path) -> bool:
    """The folder has no weights of its own, but an adapter to another checkpoint's."""
    return has_adapter(folder) and not any((folder / name).exists() for name in (INDEX_FILE, BACKBONE_FILE))


def save_model(
    folder: Path, config: OpenVLAModelConfig, model: SubstepModel, step: int | str, shard_size: str | int = "5GB"
) -> None:
    """Write configuration, shards and heads into an existing folder; statistics and tokenizer are the caller's.

    Args:
        step: in the names of the heads' files; may be ``LATEST``.
    """
    write_config(folder, config)
    state = {key: value.detach().contiguous() for key, value in model.backbone.state_dict().items()}
    shards = {shard_key(key): value for key, value in state.items() if not is_film(key)}
    save_torch_state_dict(shards, folder, max_shard_size=shard_size)
    for weights in folder.glob("*.safetensors"):
        allow_readers(weights)
    if config.backbone.film:
        vision = {film_key(key): value for key, value in state.items() if key.startswith("vision_backbone.")}
        torch.save(vision, folder / component_file(FILM_TRUNK, step))
    for name, head in model.heads.items():
        torch.save(head.state_dict(), folder / component_file(name, step))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """As ``checkpoints.folder.model_files``; of the adapter's base, if needed.

    Raises:
        CheckpointError: the index is none, or the adapter names no base.
        HubError: the base cannot be had.
    """
    if is_adapter_needed(folder):
        return weight_files(base_folder(folder))
    return model_files(folder)
