"""The published ``config.json`` and ``preprocessor_config.json``, and what they mean for this project's model.

The published files do not say which heads were trained: those are recognised by their own files. What neither says is
taken from the published models. The key ``substep`` of ``config.json`` holds what this project writes, and overrides.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import LlamaConfig

from substep_core.configuration import dump, parse
from substep_core.contract import LIBERO_PANDA
from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.folder import (
    CheckpointError,
    absence,
    find_component,
    has_component,
    read_json,
    read_state,
)
from substep_policy.models.model import NO_EOS_DETECTION, EosDetection
from substep_policy.models.openvla.config import PUBLISHED
from substep_policy.models.openvla.model import OpenVLAModelConfig

PREPROCESSOR_FILE = "preprocessor_config.json"
MODEL_TYPE, VISION_BACKBONE = "openvla", "dinosiglip-vit-so-224px"
FILM_TRUNK, FILM_LAYERS = "vision_backbone", "film"  # FiLM layers with the trunk around them in one file, or alone


def read_config(folder: Path) -> OpenVLAModelConfig:
    """Raises: CheckpointError: a file is missing or is none of this model's; the message names the key."""
    path = folder / CONFIG_FILE
    content = read_json(path)
    for key, value in (("model_type", MODEL_TYPE), ("vision_backbone_id", VISION_BACKBONE)):
        if content.get(key) != value:
            raise CheckpointError(f"{path}: {key} is {content.get(key)!r}, expected {value!r}")
    own = _part(content, "substep", path)
    backbone = dump(PUBLISHED)
    backbone["language_model"] = _language_model(content, path)
    backbone["tokens"]["pad"] = content.get("pad_token_id", PUBLISHED.tokens.pad)
    backbone["film"] = has_film(folder)
    data = {"robot": LIBERO_PANDA} | _recognised_heads(folder, own) | own  # the published ones are LIBERO's
    data["backbone"] = _with_pixel_statistics(folder, backbone | _part(own, "backbone", path))
    try:
        return parse(OpenVLAModelConfig, data, str(path))
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def has_film(folder: Path) -> bool:
    """The folder has FiLM layers, with the vision trunk or alone."""
    return any(has_component(folder, name) for name in (FILM_TRUNK, FILM_LAYERS))


def check_film(folder: Path) -> None:
    """Raises: CheckpointError: config.json, where it says so, says that there is FiLM, and the folder has no layers."""
    path = folder / CONFIG_FILE
    is_said = _part(_part(read_json(path), "substep", path), "backbone", path).get("film", False)
    if is_said and not has_film(folder):
        raise CheckpointError(
            f"{path} says that there are FiLM layers, and {absence(folder, FILM_LAYERS)}; nor has it {FILM_TRUNK}, "
            "which would hold them too"
        )


def write_config(folder: Path, config: OpenVLAModelConfig) -> None:
    """Write both files into an existing folder, so that ``read_config`` gives ``config`` back."""
    transformers = (config.backbone.dinov2, config.backbone.siglip)
    pixels = {"means": [part.mean for part in transformers], "stds": [part.std for part in transformers]}
    for name, content in ((CONFIG_FILE, _published_config(config)), (PREPROCESSOR_FILE, pixels)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _part(content: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """An object in an object, empty where there is none. Raises: CheckpointError: it is something else."""
    part = content.get(key, {})
    if not isinstance(part, dict):
        raise CheckpointError(f"{path}: {key} is {part!r}, expected an object")
    return part


def _recognised_heads(folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """What the files of the heads say, where the configuration does not."""
    heads: dict[str, Any] = {}
    if "action_head" not in own:
        heads["action_head"] = _recognised_action_head(folder)
    if "eos_head" not in own and has_component(folder, "eos_head"):
        path = find_component(folder, "eos_head")
        heads["eos_head"] = {"hidden_dim": len(_weight(read_state(path, "meta"), "model.1.weight", path))}
    if "eos" not in own:
        has_head = (own | heads).get("eos_head") is not None
        heads["eos"] = dump(EosDetection() if has_head else NO_EOS_DETECTION)
    return heads


def _recognised_action_head(folder: Path) -> dict[str, Any]:
    """By the names of its weights. Discrete actions have no such file, and would be mistaken for a missing one."""
    if not has_component(folder, "action_head"):
        raise CheckpointError(
            f"{absence(folder, 'action_head')}: either it is incomplete, or its actions are discrete tokens and its "
            'config.json should say so, by "substep": {"action_head": {"type": "tokens"}}'
        )
    path = find_component(folder, "action_head")
    state = read_state(path, "meta")
    for prefix, kind in (("model", "l1"), ("noise_predictor.mlp_resnet", "in_sequence_diffusion")):
        if any(key.startswith(f"{prefix}.") for key in state):
            blocks = sum(key.endswith(".ffn.1.weight") for key in state)
            return {"type": kind, "hidden_dim": len(_weight(state, f"{prefix}.fc1.weight", path)), "blocks": blocks}
    raise CheckpointError(f"{path} is no action head that is known: its keys are {', '.join(list(state)[:4])} …")


def _weight(state: dict[str, Tensor], key: str, path: Path) -> Tensor:
    if key not in state:
        raise CheckpointError(f"{path}: {key} is missing")
    return state[key]


def _with_pixel_statistics(folder: Path, backbone: dict[str, Any]) -> dict[str, Any]:
    """Means and deviations of the pixels are the checkpoint's own."""
    path = folder / PREPROCESSOR_FILE
    pixels = read_json(path)
    for key, field in (("means", "mean"), ("stds", "std")):
        rows = pixels.get(key, ())
        if not isinstance(rows, list) or len(rows) != 2:
            raise CheckpointError(f"{path}: {key} is {rows}, expected one row for DINOv2 and one for SigLIP")
        for part, values in zip(("dinov2", "siglip"), rows, strict=True):
            backbone[part] = _part(backbone, part, folder / CONFIG_FILE) | {field: values}
    return backbone


def _language_model(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """A Llama's ``text_config`` -> our names. What it leaves out has the default of transformers' Llama."""
    text_config = _part(content, "text_config", path)
    if text_config.get("model_type", "llama") != "llama":
        raise CheckpointError(f"{path}: text_config.model_type is {text_config['model_type']!r}, expected 'llama'")
    try:
        llama = LlamaConfig(**text_config)
    except (StrictDataclassError, TypeError, ValueError, ArithmeticError) as error:  # it divides by zero heads
        raise CheckpointError(f"{path}: text_config: {error}") from error
    return {
        "width": llama.hidden_size,
        "layers": llama.num_hidden_layers,
        "heads": llama.num_attention_heads,
        "key_value_heads": llama.num_key_value_heads,
        "mlp_width": llama.intermediate_size,
        "vocabulary_size": llama.vocab_size,
        "padding_rows": content.get("pad_to_multiple_of", PUBLISHED.language_model.padding_rows),
        "norm_epsilon": llama.rms_norm_eps,
        "rope_theta": llama.rope_parameters["rope_theta"],
        "max_positions": llama.max_position_embeddings,
    }


def _published_config(config: OpenVLAModelConfig) -> dict[str, Any]:
    size = config.backbone.language_model
    own = dump(config)
    del own["model_type"], own["backbone"]["language_model"]
    return {
        "model_type": MODEL_TYPE,
        "vision_backbone_id": VISION_BACKBONE,
        "pad_token_id": config.backbone.tokens.pad,
        "pad_to_multiple_of": size.padding_rows,
        "text_config": {
            "model_type": "llama",
            "hidden_size": size.width,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.key_value_heads,
            "intermediate_size": size.mlp_width,
            "vocab_size": size.vocabulary_size,
            "rms_norm_eps": size.norm_epsilon,
            "rope_theta": size.rope_theta,
            "max_position_embeddings": size.max_positions,
        },
        "substep": own,
    }
