"""Checkpoint folders in OpenVLA-OFT's published layout.

    config.json  preprocessor_config.json  tokenizer.json  dataset_statistics.json
    model.safetensors.index.json  model-00001-of-0000N.safetensors …        (or one model.safetensors)
    proprio_projector--150000_checkpoint.pt  action_head--150000_checkpoint.pt  [eos_head--…_checkpoint.pt]

The shards hold merged weights; a ``lora_adapter`` folder beside them is a record of the training and not read.
"""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from substep_policy.backbones.openvla.backbone import OpenVLABackbone
from substep_policy.backbones.openvla.config import OpenVLAConfig
from substep_policy.backbones.openvla.published_config import read_config, read_json, write_config
from substep_policy.checkpoint import (
    BACKBONE_FILE,
    CheckpointError,
    check_fit,
    component_file,
    find_component,
    has_component,
    load_state,
    read_state,
)
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig, L1HeadConfig, L1RegressionActionHead
from substep_policy.model import ProprioProjector, SubstepModel
from substep_policy.observation import PROPRIO_DIM

INDEX_FILE = "model.safetensors.index.json"


def load_backbone(folder: Path, config: OpenVLAConfig, device: torch.device, dtype: torch.dtype) -> OpenVLABackbone:
    """The backbone with the checkpoint's weights, in ``eval()``. It is never given random ones on the way.

    Raises:
        CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape.
    """
    with torch.device("meta"):
        backbone = OpenVLABackbone(config)
    state = {}
    for path in _weight_files(folder):
        state |= {key: value.to(device, dtype) for key, value in read_state(path).items()}
    check_fit(state, published_state(backbone), f"the weights in {folder} do not fit {type(backbone).__name__}")
    backbone.load_state_dict({_timm_key(key): value for key, value in state.items()}, assign=True)
    # The one part that is computed and not stored.
    llama = backbone.language_model
    llama.model.rotary_emb = LlamaRotaryEmbedding(llama.config).to(device)
    return backbone.eval()


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[OpenVLAConfig, SubstepModel]:
    """Backbone, proprioception projector, L1 head, and the EOS head where the folder has one, in ``eval()``.

    Raises:
        CheckpointError: as ``load_backbone``, or a head is missing or does not fit.
    """
    config = read_config(folder)
    width = config.language_model.width
    heads = {
        "proprio_projector": ProprioProjector(PROPRIO_DIM, width),
        "action_head": L1RegressionActionHead(L1HeadConfig(hidden_dim=width), width),
    }
    if has_component(folder, "eos_head"):
        heads["eos_head"] = EOSClassificationHead(EOSHeadConfig(), width)
    for name, head in heads.items():
        load_state(head, find_component(folder, name))
        head.to(device, dtype)
    backbone = load_backbone(folder, config, device, dtype)
    model = SubstepModel(backbone, heads["proprio_projector"], heads["action_head"], heads.get("eos_head"))
    return config, model.eval()


def save_model(
    folder: Path, config: OpenVLAConfig, model: SubstepModel, step: int, shard_size: str | int = "5GB"
) -> None:
    """Write configuration, shards and heads into an existing folder; statistics and tokenizer are the caller's."""
    write_config(folder, config)
    save_torch_state_dict(published_state(model.backbone), folder, max_shard_size=shard_size)
    for name, head in model.heads.items():
        torch.save(head.state_dict(), folder / component_file(name, step))


def published_state(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's weights under their published names."""
    return {_published_key(key): value.detach().contiguous() for key, value in backbone.state_dict().items()}


def _published_key(key: str) -> str:
    """The published files call LayerScale's weight scale_factor: transformers once renamed any gamma to weight."""
    return key.removesuffix(".gamma") + ".scale_factor" if _is_layer_scale(key, "gamma") else key


def _timm_key(key: str) -> str:
    return key.removesuffix(".scale_factor") + ".gamma" if _is_layer_scale(key, "scale_factor") else key


def _is_layer_scale(key: str, name: str) -> bool:
    return key.startswith("vision_backbone.") and key.endswith((f".ls1.{name}", f".ls2.{name}"))


def _weight_files(folder: Path) -> list[Path]:
    """The shards that the index names, or the one file where there is no index."""
    index = folder / INDEX_FILE
    if not index.exists():
        return [folder / BACKBONE_FILE]
    shards = read_json(index).get("weight_map")
    if not shards:
        raise CheckpointError(f"{index} has no weight_map")
    return [folder / name for name in sorted(set(shards.values()))]
