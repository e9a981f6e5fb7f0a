"""The published ``config.json`` and ``preprocessor_config.json``, and what they mean for this project's model.

What the published files do not say is taken from ``PUBLISHED``, unless their key ``substep`` says otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import LlamaConfig

from substep_policy.backbones.openvla.config import PUBLISHED, OpenVLAConfig
from substep_policy.checkpoint import CONFIG_FILE, CheckpointError
from substep_policy.configuration import dump, parse

PREPROCESSOR_FILE = "preprocessor_config.json"
MODEL_TYPE, VISION_BACKBONE = "openvla", "dinosiglip-vit-so-224px"


def read_config(folder: Path) -> OpenVLAConfig:
    """Raises: CheckpointError: a file is missing or is none of this model's; the message names the key."""
    path = folder / CONFIG_FILE
    content = read_json(path)
    for key, value in (("model_type", MODEL_TYPE), ("vision_backbone_id", VISION_BACKBONE)):
        if content.get(key) != value:
            raise CheckpointError(f"{path}: {key} is {content.get(key)!r}, expected {value!r}")
    data = dump(PUBLISHED)
    data["language_model"] = _language_model(content.get("text_config", {}), path)
    data["tokens"]["pad"] = content.get("pad_token_id", PUBLISHED.tokens.pad)
    data = _with_pixel_statistics(folder, data | content.get("substep", {}))
    try:
        return parse(OpenVLAConfig, data, str(path))
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def write_config(folder: Path, config: OpenVLAConfig) -> None:
    """Write both files into an existing folder, so that ``read_config`` gives ``config`` back."""
    transformers = (config.dinov2, config.siglip)
    pixels = {"means": [part.mean for part in transformers], "stds": [part.std for part in transformers]}
    for name, content in ((CONFIG_FILE, _published_config(config)), (PREPROCESSOR_FILE, pixels)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Raises: CheckpointError: the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error


def _with_pixel_statistics(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Means and deviations of the pixels are the checkpoint's own."""
    path = folder / PREPROCESSOR_FILE
    pixels = read_json(path)
    for key, field in (("means", "mean"), ("stds", "std")):
        rows = pixels.get(key, ())
        if len(rows) != 2:
            raise CheckpointError(f"{path}: {key} is {rows}, expected one row for DINOv2 and one for SigLIP")
        for part, values in zip(("dinov2", "siglip"), rows, strict=True):
            data[part] = data[part] | {field: values}
    return data


def _language_model(text_config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A Llama's ``text_config`` -> our names. What it leaves out has the default of transformers' Llama."""
    if text_config.get("model_type", "llama") != "llama":
        raise CheckpointError(f"{path}: text_config.model_type is {text_config['model_type']!r}, expected 'llama'")
    try:
        llama = LlamaConfig(**text_config)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: text_config: {error}") from error
    return {
        "width": llama.hidden_size,
        "layers": llama.num_hidden_layers,
        "heads": llama.num_attention_heads,
        "key_value_heads": llama.num_key_value_heads,
        "mlp_width": llama.intermediate_size,
        "vocabulary_size": llama.vocab_size,
        "norm_epsilon": llama.rms_norm_eps,
        "rope_theta": llama.rope_parameters["rope_theta"],
        "max_positions": llama.max_position_embeddings,
    }


def _published_config(config: OpenVLAConfig) -> dict[str, Any]:
    size = config.language_model
    own = dump(config)
    del own["language_model"]
    return {
        "model_type": MODEL_TYPE,
        "vision_backbone_id": VISION_BACKBONE,
        "pad_token_id": config.tokens.pad,
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
