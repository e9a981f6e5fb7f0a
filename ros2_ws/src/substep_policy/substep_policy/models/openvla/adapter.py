"""LoRA adapters of a checkpoint, as peft writes them: in the folder ``lora_adapter``, or beside its other files."""

from __future__ import annotations

import copy
import logging
import re
from pathlib import Path
from typing import Literal

from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from torch import Tensor, nn

from substep_core.hub import checkpoint_folder
from substep_policy.checkpoints.folder import CheckpointError, check_fit, read_json, read_state

ADAPTER_FOLDER = "lora_adapter"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ADAPTED = "base_model.model."  # what peft puts before the names of the adapted module

log = logging.getLogger(__name__)


def has_adapter(folder: Path) -> bool:
    return (adapter_folder(folder) / ADAPTER_CONFIG).exists()


def adapter_folder(folder: Path) -> Path:
    """Where a checkpoint's adapter lies, or would: peft's ``save_pretrained`` puts it beside the other files."""
    return folder if (folder / ADAPTER_CONFIG).exists() else folder / ADAPTER_FOLDER


def adapter_weights(folder: Path) -> Path:
    """The file of a checkpoint's adapter; peft wrote ``.bin`` once."""
    path = adapter_folder(folder) / ADAPTER_WEIGHTS
    older = path.with_suffix(".bin")
    return older if older.exists() and not path.exists() else path


def base_folder(folder: Path) -> Path:
    """Where the weights are that the adapter was trained on.

    Raises:
        CheckpointError: the adapter does not say.
        HubError: the base cannot be had.
    """
    path = adapter_folder(folder) / ADAPTER_CONFIG
    base = read_json(path).get("base_model_name_or_path")
    if not base:
        raise CheckpointError(f"{path} has no base_model_name_or_path: which weights does the adapter belong to?")
    return checkpoint_folder(base)


def adapter_scale(folder: Path) -> float | None:
    """What the adapter's product is multiplied with; None where there is no adapter that says so.

    Raises:
        CheckpointError: the adapter's configuration lacks its rank or alpha.
    """
    if not has_adapter(folder):
        return None
    path = adapter_folder(folder) / ADAPTER_CONFIG
    config = read_json(path)
    if missing := [key for key in ("r", "lora_alpha") if key not in config]:
        raise CheckpointError(f"{path} has no {' and no '.join(missing)}")
    return config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])


def merge_adapter(backbone: nn.Module, folder: Path, skip_vision: bool) -> None:
    """Merge a checkpoint's adapter into the weights of ``backbone``, which stays in place.

    Args:
        skip_vision: the vision trunk comes from a file of its own, with its part of the adapter in it.

    Raises:
        CheckpointError: the adapter is missing or damaged, or does not fit; the message names the keys.
    """
    adapted, state = _attach(backbone, folder, skip_vision, "cpu")
    set_peft_model_state_dict(adapted, state)
    rank = adapted.peft_config["default"].r
    adapted.merge_and_unload()
    path = adapter_weights(folder)
    log.info("merged the adapter %s into the weights: rank %d, %d tensors", path, rank, len(state))


def check_adapter(backbone: nn.Module, folder: Path, skip_vision: bool) -> int:
    """How many parameters the adapter has that ``merge_adapter`` would merge, by the shapes alone.

    Args:
        backbone: on the meta device; stays as it is.

    Raises:
        CheckpointError: as ``merge_adapter``.
    """
    _, state = _attach(copy.deepcopy(backbone), folder, skip_vision, "meta")
    return sum(value.numel() for value in state.values())


def _excluded(config: LoraConfig) -> list[str]:
    """Patterns of the modules that the adapter leaves out; peft has one pattern, or names that modules end in."""
    excluded = config.exclude_modules or []
    return [excluded] if isinstance(excluded, str) else [rf"(.*\.)?{re.escape(name)}" for name in excluded]


def _attach(
    backbone: nn.Module, folder: Path, skip_vision: bool, device: Literal["cpu", "meta"]
) -> tuple[PeftModel, dict[str, Tensor]]:
    """Layers for the adapter in ``backbone``, without its weights yet, and those weights, which fit."""
    path = adapter_weights(folder)
    state = read_state(path, device)
    config = LoraConfig.from_pretrained(str(adapter_folder(folder)))
    config.base_model_name_or_path = None  # peft would warn that it is not the name of our module
    if skip_vision:
        state = {key: value for key, value in state.items() if not key.startswith(f"{ADAPTED}vision_backbone.")}
        config.exclude_modules = "|".join([r"vision_backbone\..*", *_excluded(config)])
    try:
        adapted = get_peft_model(backbone, config, low_cpu_mem_usage=device == "meta")
    except ValueError as error:
        raise CheckpointError(f"{path.with_name(ADAPTER_CONFIG)}: {error}") from error
    expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    check_fit(state, expected, f"{path} does not fit {type(backbone).__name__}")
    return adapted, state
