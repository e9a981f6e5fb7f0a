"""A checkpoint folder: ``config.json``, the backbone, one file per head and step, statistics, tokenizer (S9).

config.json  model.safetensors  dataset_statistics.json  tokenizer.json
proprio_projector--1000_checkpoint.pt  action_head--1000_checkpoint.pt  eos_head--1000_checkpoint.pt
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from substep_policy.configuration import dump, parse
from substep_policy.hub import CONFIG_FILE
from substep_policy.model import ModelConfig, SubstepModel, build_model

BACKBONE_FILE = "model.safetensors"
LATEST = "latest"
COMPONENT_FILE = re.compile(rf"(?P<name>\w+)--(?P<step>{LATEST}|\d+)_checkpoint\.(?:pt|safetensors)")

SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# What the two libraries raise for a cut, damaged or foreign file.
UNREADABLE = (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError)


class CheckpointError(ValueError):
    """A checkpoint that is incomplete or does not fit; the message names file and keys."""


def component_file(name: str, step: int | str, suffix: str = "pt") -> str:
    """``eos_head--1000_checkpoint.pt``; ``step`` may be ``LATEST``."""
    return f"{name}--{step}_checkpoint.{suffix}"


def component_step(path: Path) -> str:
    """The step in the name of a head's file, or ``LATEST``."""
    return COMPONENT_FILE.fullmatch(path.name)["step"]


def find_component(folder: Path, name: str) -> Path:
    """The file of a head: ``latest`` if there is one, else the highest step.

    Raises:
        CheckpointError: the folder has no file of that head.
    """
    found = _component_files(folder, name)
    if not found:
        raise CheckpointError(absence(folder, name))
    return max(found, key=lambda entry: (entry[0] == LATEST, int(entry[0]) if entry[0].isdigit() else 0))[1]


def absence(folder: Path, name: str) -> str:
    """In words, that the folder has no file of that head."""
    return f"{folder} has no {component_file(name, LATEST)} and no {component_file(name, '<step>')}"


def has_component(folder: Path, name: str) -> bool:
    """The folder has a file of that head, of whatever step."""
    return bool(_component_files(folder, name))


def _component_files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """(step or ``LATEST``, file) of every file of a head."""
    matches = [(COMPONENT_FILE.fullmatch(path.name), path) for path in folder.iterdir()]
    return [(match["step"], path) for match, path in matches if match and match["name"] == name]


def check_one_step(paths: Iterable[Path]) -> None:
    """Whether files that are loaded together are of one training step, folder by folder; ``latest`` goes with any.

    Args:
        paths: those that are no file of a component do not count.

    Raises:
        CheckpointError: a folder's are of several steps; the message names them.
    """
    steps: dict[Path, dict[str, str]] = {}
    for path in paths:
        match = COMPONENT_FILE.fullmatch(path.name)
        if match and match["step"] != LATEST:
            steps.setdefault(path.parent, {})[path.name] = match["step"]
    for folder, files in steps.items():
        if len(set(files.values())) > 1:
            raise CheckpointError(
                f"{folder} would be loaded from files of different steps: {', '.join(sorted(files))}; give every part "
                f"a file of one step, or name one that goes with any step {component_file('<part>', LATEST)}"
            )


def read_state(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Tensors of a ``.pt`` or ``.safetensors`` file, without the ``module.`` that data-parallel training prepends.

    Args:
        device: "meta" reads shapes and types alone.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        if path.suffix == ".safetensors":
            state = _safetensors_shapes(path) if device == "meta" else load_file(path, device)
        else:
            state = torch.load(path, map_location=device, weights_only=True, mmap=device == "meta" or None)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read, is it complete? {error}") from error
    return {key.removeprefix("module."): value for key, value in state.items()}


def _safetensors_shapes(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file, torch.device("meta"):
        parts = {key: file.get_slice(key) for key in file.keys()}
        return {
            key: torch.empty(part.get_shape(), dtype=SAFETENSORS_DTYPES[part.get_dtype()])
            for key, part in parts.items()
        }


def misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """In words, each key that is missing, unknown, or has another shape."""
    problems = [f"{key} is missing" for key in expected if key not in state]
    problems += [f"{key} is unknown" for key in state if key not in expected]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    return problems


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Raises: CheckpointError: ``what`` does not fit: a key is missing, unknown, or has another shape."""
    problems = misfits(state, expected)
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{what}: {'; '.join(problems[:8])}{more}")


def load_state(module: nn.Module, path: Path) -> None:
    """Fill ``module`` from a file, and set it to ``eval()``. Weights kept in half precision are widened.

    Raises:
        CheckpointError: a key is missing, unknown, or has another shape.
    """
    state = read_state(path)
    check_fit(state, module.state_dict(), f"{path} does not fit {type(module).__name__}")
    module.load_state_dict(state)
    module.eval()


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a ``.safetensors`` file."""
    save_file(dict(tensors), path)
    allow_readers(path)


def allow_readers(weights: Path) -> None:
    """Let whoever may read its folder read a file that safetensors has written, for its owner alone."""
    weights.chmod(weights.parent.stat().st_mode & 0o666)


def save_model(folder: Path, config: ModelConfig, model: SubstepModel, step: int) -> None:
    """Write configuration, backbone and heads into an existing folder."""
    (folder / CONFIG_FILE).write_text(json.dumps(dump(config), indent=2) + "\n")
    save_tensors(_storable(model.backbone), folder / BACKBONE_FILE)
    for name, head in model.heads.items():
        torch.save(head.state_dict(), folder / component_file(name, step))


def export_model(folder: Path, config: ModelConfig, model: SubstepModel) -> None:
    """Write configuration and weights for shipping: safetensors only, half precision, heads as ``latest``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(dump(config), indent=2) + "\n")
    save_tensors(_halved(model.backbone), folder / BACKBONE_FILE)
    for name, head in model.heads.items():
        save_tensors(_halved(head), folder / component_file(name, LATEST, "safetensors"))


def load_weights(folder: Path, model: SubstepModel) -> None:
    """Fill a model from a checkpoint folder and set it to ``eval()``.

    Raises:
        CheckpointError: as ``load_state``, ``find_component`` and ``check_one_step``.
    """
    files = {name: find_component(folder, name) for name in model.heads}
    check_one_step(files.values())
    load_state(model.backbone, folder / BACKBONE_FILE)
    for name, head in model.heads.items():
        load_state(head, files[name])
    model.eval()


def read_config(folder: Path) -> ModelConfig:
    """Raises: CheckpointError: config.json is missing or wrong; the message names the key."""
    path = folder / CONFIG_FILE
    try:
        return parse(ModelConfig, json.loads(path.read_text()), str(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG_FILE}") from error
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def load_model(folder: Path) -> tuple[ModelConfig, SubstepModel]:
    """Configuration and trained model of a checkpoint folder, in ``eval()``, on the CPU in float32."""
    config = read_config(folder)
    model = build_model(config)
    load_weights(folder, model)
    return config, model


def _storable(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _halved(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.half() if value.is_floating_point() else value for key, value in _storable(module).items()}
