"""Writes toy π0.5 checkpoints as LeRobot and as openpi lay them out, with weights of ``toy.drawn_model``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from substep_core.configuration import dump
from substep_policy.benchmarks.random_models import tokenizer_of_words
from substep_policy.checkpoints.folder import component_file
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig
from substep_policy.models.pi05.published_keys import EMBEDDING, OUTPUT, OWN, UNUSED, published_key
from tests.pi05 import drawn as toy
from tests.pi05.toy import drawn_model, toy_config

WORDS = (
    "<pad>",
    "</s>",
    "<s>",
    "<unk>",
    "Task",
    ":",
    ",",
    "State",
    ";",
    "Action",
    "Subtask",
    "pick",
    "up",
    "the",
    "bowl",
    "pick up the alphabet soup",
    "place the alphabet soup in the basket",
    "pick up the mug",
    "the task is done",
    "0",
    "255",
)
COLON, END = WORDS.index(":"), WORDS.index("</s>")
SAID_AT = (0, 1)  # dimensions of the hidden states that alone say which token comes next, in ``taught_to_say``
LANGUAGE = OWN["backbone.language_model."]
LOW, HIGH = np.linspace(-0.3, -0.1, 7), np.linspace(0.1, 0.4, 7)
STATE_LOW, STATE_HIGH = np.linspace(-2, -1, 8), np.linspace(1, 2, 8)


def published_weights() -> dict[str, Tensor]:
    """By openpi's names: the output layer and not the embedding, and the expert's, which says nothing."""
    weights = {published_key(key): value for key, value in drawn_model(toy_config()).state_dict().items()}
    weights[OUTPUT] = weights.pop(EMBEDDING)
    weights[UNUSED] = torch.zeros(toy.VOCABULARY, toy.EXPERT_WIDTH)
    return weights


def taught_to_say(weights: dict[str, Tensor], token: int) -> dict[str, Tensor]:
    """Answers every prompt that ends with a colon with this token and the end of text, whatever it sees.

    No layer writes into two dimensions of the hidden states, so they hold the newest token's embedding until the last
    norm, which turns their sign and drops all others.
    """
    weights = {key: value.clone() for key, value in weights.items()}
    for key, value in weights.items():
        if "language_model.layers" in key and key.endswith(("o_proj.weight", "down_proj.weight")):
            value[list(SAID_AT)] = 0.0
    norm, rows = weights[f"{LANGUAGE}norm.weight"], weights[OUTPUT]
    norm.fill_(-1.0)
    norm[list(SAID_AT)] = -2.0
    rows[:, list(SAID_AT)] = 0.0
    for number, values in ((COLON, (1.0, 0.0)), (token, (-2.0, 3.0)), (END, (0.0, -3.0))):
        rows[number, list(SAID_AT)] = torch.tensor(values)
    return weights


def sizes(**more: Any) -> dict[str, Any]:
    """What published files do not say of other sizes than theirs."""
    backbone = dump(toy_config())["backbone"]
    kept = ("vision", "language_model", "expert", "vocabulary_size", "image_size")
    return {"backbone": {name: backbone[name] for name in kept}, **more}


def write_lerobot(folder: Path, mode: str = "QUANTILES", normalizer: int = 3, **changes: Any) -> Path:
    """LeRobot's layout. ``mode``: how it scales; ``normalizer``: number of the step, which differs by version."""
    picture = {"type": "VISUAL", "shape": [3, 224, 224]}
    config = {
        "type": "pi05",
        "paligemma_variant": "gemma_2b",
        "action_expert_variant": "gemma_300m",
        "chunk_size": toy.CHUNK,
        "n_action_steps": toy.CHUNK - 1,
        "max_action_dim": toy.PADDED_ACTION,
        "num_inference_steps": toy.STEPS,
        "image_resolution": [toy.IMAGE_SIZE] * 2,
        "tokenizer_max_length": 100,
        "use_relative_actions": False,
        "input_features": {
            "observation.images.image": picture,
            "observation.images.image2": picture,
            "observation.images.empty_camera_0": picture,
            "observation.state": {"type": "STATE", "shape": [8]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [7]}},
        "substep": sizes(),
    }
    _write(folder, config | changes, {f"model.{key}": value for key, value in published_weights().items()})
    for name, step, state in (
        ("policy_preprocessor", "normalizer_processor", f"step_{normalizer}_normalizer_processor"),
        ("policy_postprocessor", "unnormalizer_processor", "step_0_unnormalizer_processor"),
    ):
        entry = {
            "registry_name": step,
            "config": {"norm_map": {"STATE": mode, "ACTION": mode, "VISUAL": "IDENTITY"}},
            "state_file": f"{name}_{state}.safetensors",
        }
        steps = [{"registry_name": "to_batch_processor", "config": {}}, entry]
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "steps": steps}))
        values = {}
        for part, low, high in (("action", LOW, HIGH), ("observation.state", STATE_LOW, STATE_HIGH)):
            if mode == "QUANTILES":
                values |= {f"{part}.q01": low, f"{part}.q99": high}
            values |= {f"{part}.mean": (low + high) / 2, f"{part}.std": (high - low) / 2}
        save_file({key: torch.from_numpy(value).float() for key, value in values.items()}, folder / entry["state_file"])
    return folder


def write_eos_head(folder: Path, probability: float) -> None:
    """One that says the same of every action."""
    head = EOSClassificationHead(EOSHeadConfig(hidden_dim=20), toy.EXPERT_WIDTH, action_dim=1)
    torch.nn.init.zeros_(head.model[-1].weight)
    torch.nn.init.constant_(head.model[-1].bias, float(np.log(probability / (1 - probability))))
    torch.save(head.state_dict(), folder / component_file("eos_head", 7))


def write_talker(folder: Path, words: str) -> Path:
    """openpi's layout; it always says the same of ``WORDS``, and ends every substep with its first action."""
    write_openpi(folder, taught_to_say(published_weights(), WORDS.index(words)))
    write_eos_head(folder, 0.9)
    return folder


def write_openpi(folder: Path, weights: dict[str, Tensor] | None = None) -> Path:
    """The layout of openpi's conversion to PyTorch. ``weights``: other than ``published_weights``."""
    config = {
        "action_dim": toy.PADDED_ACTION,
        "action_horizon": toy.CHUNK,
        "paligemma_variant": "gemma_2b",
        "action_expert_variant": "gemma_300m",
        "precision": "float32",
        "substep": sizes(action_head={"sampling_steps": toy.STEPS}),
    }
    _write(folder, config, published_weights() if weights is None else weights)
    assets = folder / "assets" / "physical-intelligence" / "libero"
    assets.mkdir(parents=True)
    stats = {
        name: {
            "mean": ((low + high) / 2).tolist(),
            "std": (high - low).tolist(),
            "q01": low.tolist(),
            "q99": high.tolist(),
        }
        for name, low, high in (("actions", LOW, HIGH), ("state", STATE_LOW, STATE_HIGH))
    }
    (assets / "norm_stats.json").write_text(json.dumps({"norm_stats": stats}))
    return folder


def _write(folder: Path, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "model.safetensors")
    tokenizer_of_words({word: i for i, word in enumerate(WORDS)}).save(str(folder / TOKENIZER_FILE))
