"""The ``config.json`` of π0.5's checkpoints, LeRobot's, openpi's converted ones and this project's own.

The published files do not say which robot they are for: LIBERO's, unless the key ``substep`` of ``config.json`` does,
which overrides all that was read. Nor do they tell the sizes, but for the two that there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from substep_core.configuration import dump, parse
from substep_core.contract import LIBERO_PANDA
from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.folder import CheckpointError, find_component, has_component, read_json, read_state
from substep_policy.models.model import EosDetection
from substep_policy.models.pi05.config import PUBLISHED
from substep_policy.models.pi05.flow_matching import FlowMatchingConfig
from substep_policy.models.pi05.model import Pi05ModelConfig

Result = TypeVar("Result")
MODEL_TYPE = "pi05"
OPENPI_KEYS = ("action_dim", "action_horizon", "paligemma_variant", "action_expert_variant")
VARIANTS = {"paligemma_variant": "gemma_2b", "action_expert_variant": "gemma_300m"}
PADDED = 32  # values of a state or action, where the file does not say
EMPTY_CAMERA = "observation.images.empty_camera_"
TIME_SAMPLING = {
    "time_sampling_beta_alpha": "time_alpha",
    "time_sampling_beta_beta": "time_beta",
    "time_sampling_scale": "time_scale",
    "time_sampling_offset": "time_offset",
    "min_period": "min_period",
    "max_period": "max_period",
    "num_inference_steps": "sampling_steps",
    "max_action_dim": "width",
}
UNKNOWN_INPUTS = ("use_relative_actions", "use_visual_memory", "use_proprioceptive_memory")


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json without ``model_type`` is LeRobot's or openpi's."""
    return config.get("type") == MODEL_TYPE or all(key in config for key in OPENPI_KEYS)


def read_config(folder: Path) -> Pi05ModelConfig:
    """Raises: CheckpointError: the file is missing or is none of this model's; the message names the key."""
    path = folder / CONFIG_FILE
    content = read_json(path)
    if content.get("model_type") == MODEL_TYPE:
        data = content
    elif not recognises(content):
        raise CheckpointError(f"{path} is neither LeRobot's pi05, nor openpi's, nor says model_type {MODEL_TYPE!r}")
    else:
        said = as_published(partial(_published, content, path), path)
        data = said | {"robot": LIBERO_PANDA} | _recognised_eos(folder)
        data = as_published(partial(_merged, data, content.get("substep", {})), path)
    try:
        config = parse(Pi05ModelConfig, data, str(path))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if data is not content:
        as_published(partial(_check_features, content, config, path), path)
    return config


def write_config(folder: Path, config: Pi05ModelConfig) -> None:
    """Write this project's own file, so that ``read_config`` gives ``config`` back."""
    (folder / CONFIG_FILE).write_text(json.dumps(dump(config), indent=2) + "\n", encoding="utf-8")


def as_published(read: Callable[[], Result], path: Path) -> Result:
    """What ``read`` gives.

    Raises:
        CheckpointError: as it does, and where lists or objects are not where they belong.
    """
    try:
        return read()
    except (AttributeError, TypeError, LookupError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} is not as LeRobot, openpi or this project write it: {why}") from error


def _published(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What LeRobot's or openpi's file says, in our words."""
    for key, expected in VARIANTS.items():
        if (variant := content.get(key, expected)) != expected:
            raise CheckpointError(f"{path}: {key} is {variant!r}, expected {expected!r}")
    for key in UNKNOWN_INPUTS:
        if content.get(key):
            raise CheckpointError(f"{path}: {key} is on, and a model that works so is not supported")
    backbone, head = dump(PUBLISHED), dump(FlowMatchingConfig())
    if content.get("type") != MODEL_TYPE:
        backbone["chunk_length"], head["width"] = content["action_horizon"], content["action_dim"]
        return {"backbone": backbone, "action_head": head}
    sides = content.get("image_resolution", [PUBLISHED.image_size] * 2)
    if len(set(sides)) != 1:
        raise CheckpointError(f"{path}: image_resolution is {sides}, expected a square")
    backbone["image_size"] = sides[0]
    backbone["chunk_length"] = content.get("chunk_size", PUBLISHED.chunk_length)
    backbone["prompt"]["max_tokens"] = content.get("tokenizer_max_length", PUBLISHED.prompt.max_tokens)
    head |= {ours: content[theirs] for theirs, ours in TIME_SAMPLING.items() if theirs in content}
    return {"backbone": backbone, "action_head": head, "played": content.get("n_action_steps", 0)}


def _recognised_eos(folder: Path) -> dict[str, Any]:
    """An EOS head that this project has trained beside published weights."""
    if not has_component(folder, "eos_head"):
        return {}
    path = find_component(folder, "eos_head")
    first = read_state(path, "meta").get("model.1.weight")
    if first is None:
        raise CheckpointError(f"{path}: model.1.weight is missing")
    return {"eos_head": {"hidden_dim": len(first)}, "eos": dump(EosDetection())}


def _merged(data: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` over ``data``, mapping by mapping."""
    both = {key: _merged(data[key], own[key]) for key in data if isinstance(data[key], dict) and _is_part(own, key)}
    return {**data, **own, **both}


def _is_part(own: Mapping[str, Any], key: str) -> bool:
    return isinstance(own.get(key), Mapping)


def _check_features(content: Mapping[str, Any], config: Pi05ModelConfig, path: Path) -> None:
    """Whether the robot has what the file names. Widths that are those of padded vectors say nothing: fine-tuned
    checkpoints keep them from the model that they began with, as they do its three cameras.

    Raises:
        CheckpointError: cameras, or values of state or action, are others than the robot's.
    """
    features = content.get("input_features") or {}
    pictures = [name for name, item in features.items() if item.get("type") == "VISUAL"]
    cameras = [name for name in pictures if not name.startswith(EMPTY_CAMERA)]
    is_told = "cameras" in content.get("substep", {}).get("backbone", {})
    if cameras and not (len(config.cameras) == len(cameras) or is_told and len(config.cameras) < len(cameras)):
        raise CheckpointError(
            f"{path} takes {len(cameras)} images ({', '.join(cameras)}) and cameras are {', '.join(config.cameras)}: "
            'say which of the robot\'s they are, in their order, by "substep": {"backbone": {"cameras": […]}}; those '
            "that it was trained without are left out"
        )
    robot, told = config.robot, features | (content.get("output_features") or {})
    for name, what, width, padded in (
        ("observation.state", "the state has", robot.state_width, content.get("max_state_dim", PADDED)),
        ("action", "actions have", robot.action_width, content.get("max_action_dim", PADDED)),
    ):
        if name in told and (shape := told[name]["shape"]) not in ([width], [padded]):
            found = shape[0] if len(shape) == 1 else shape
            raise CheckpointError(
                f"{path}: {what} {found} values, and robot {robot.name} {width}: say whose they are by "
                '"substep": {"robot": …}'
            )
