"""A checkpoint folder: ``config.json``, the backbone, one file per head and step, statistics, tokenizer.

config.json  model.safetensors (or shards and their index)  dataset_statistics.json  tokenizer.json
proprio_projector--1000_checkpoint.pt  action_head--1000_checkpoint.pt  eos_head--1000_checkpoint.pt
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from substep_core.json_files import JsonFileError, read_object

State = Mapping[str, Tensor]

BACKBONE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
LATEST = "latest"
COMPONENT_FILE = re.compile(rf"(?P<name>\w+)--(?P<step>{LATEST}|\d+)_checkpoint\.(?:pt|safetensors)")

# What data-parallel training, torch.compile, FSDP and activation checkpointing put into names of the same weights.
WRAPPERS = re.compile(r"^module\.|_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.")
STATE_KEYS = ("state_dict", "model_state_dict", "model")
SHOWN = 8  # problems that a message lists

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


def read_json(path: Path) -> dict[str, Any]:
    """Raises: CheckpointError: the file is missing or holds no JSON object."""
    try:
        return read_object(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except JsonFileError as error:
        raise CheckpointError(str(error)) from error


def file_in(folder: Path, name: Any, stated_by: Path) -> Path:
    """The file of a checkpoint folder that one of its files names. Raises: CheckpointError: it leads out of it."""
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise CheckpointError(f"{stated_by} names the file {name!r}, expected one of {folder}")
    return folder / name


def model_files(folder: Path) -> tuple[Path, ...]:
    """The shards that the index names, or the one file where there is no index.

    Raises:
        CheckpointError: the index is none, or leads out of the folder.
    """
    index = folder / INDEX_FILE
    if not index.exists():
        return (folder / BACKBONE_FILE,)
    shards = read_json(index).get("weight_map")
    if not shards or not isinstance(shards, dict):
        raise CheckpointError(f"{index} has no weight_map")
    return tuple(sorted({file_in(folder, name, index) for name in shards.values()}))


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
    """Tensors of a ``.pt``, ``.bin`` or ``.safetensors`` file, without what training wraps them in (``WRAPPERS``).

    Args:
        device: "meta" reads shapes and types alone.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else than named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            state = _safetensors_shapes(path) if device == "meta" else load_file(path, device)
        else:
            state = torch.load(path, map_location=device, weights_only=True, mmap=device == "meta" or None)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except CheckpointError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read, is it complete? {error}") from error
    return {WRAPPERS.sub("", key): value for key, value in _tensors(state, path).items()}


def _tensors(content: Any, path: Path) -> Mapping[str, Tensor]:
    """What a file holds, or what lies in it under ``STATE_KEYS`` beside counters and the like."""
    if isinstance(content, Mapping):
        inner = next((content[key] for key in STATE_KEYS if isinstance(content.get(key), Mapping)), content)
        if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in inner.items()):
            return inner
        others = [str(key) for key, value in inner.items() if not isinstance(value, Tensor)]
        raise CheckpointError(f"{path} holds more than tensors: {', '.join(others[:4])}; expected a state_dict")
    raise CheckpointError(f"{path} holds a {type(content).__name__}, expected named tensors (a state_dict)")


def _safetensors_shapes(path: Path) -> dict[str, Tensor]:
    """Raises: CheckpointError: numbers of a type that no model here has, such as eight-bit floats."""
    with safe_open(path, "pt") as file, torch.device("meta"):
        parts = {key: file.get_slice(key) for key in file.keys()}
        types = {key: part.get_dtype() for key, part in parts.items()}
        if strange := [key for key, name in types.items() if name not in SAFETENSORS_DTYPES]:
            raise CheckpointError(
                f"{path}: {strange[0]} has numbers of type {types[strange[0]]}, expected one of "
                f"{', '.join(SAFETENSORS_DTYPES)}"
            )
        return {key: torch.empty(part.get_shape(), dtype=SAFETENSORS_DTYPES[types[key]]) for key, part in parts.items()}


def misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """In words, each key that is missing, unknown, or has another shape; and weights that are kept as whole numbers."""
    missing = [f"{key} is missing" for key in expected if key not in state]
    unknown = [f"{key} is unknown" for key in state if key not in expected]
    shapes = [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    types = [
        f"{key} has whole numbers ({str(state[key].dtype).removeprefix('torch.')}), expected floating-point ones"
        for key in expected
        if key in state and expected[key].is_floating_point() and not state[key].is_floating_point()
    ]
    in_turn = chain.from_iterable(zip_longest(missing, unknown, shapes, types))  # a short list shows every kind
    return [problem for problem in in_turn if problem is not None]


def shortened(problems: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return f"{'; '.join(problems[:SHOWN])}{more}"


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Raises: CheckpointError: ``what`` does not fit: a key is missing, unknown, or has another shape."""
    if problems := misfits(state, expected):
        raise CheckpointError(f"{what}: {shortened(problems)}")


def load_state(module: nn.Module, path: Path, convert: Callable[[State], State] = dict) -> None:
    """Fill ``module`` from a file, and set it to ``eval()``. Weights kept in half precision are widened.

    Args:
        convert: what is done to the file's state before.

    Raises:
        CheckpointError: a key is missing, unknown, or has another shape.
    """
    state = convert(read_state(path))
    check_fit(state, module.state_dict(), f"{path} does not fit {type(module).__name__}")
    module.load_state_dict(state)
    module.eval()


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a ``.safetensors`` file."""
    save_file(dict(tensors), path)
    allow_readers(path)


def allow_readers(weights: Path) -> None:
    """Give a file that safetensors has written for its owner alone the permissions of its folder."""
    weights.chmod(weights.parent.stat().st_mode & 0o666)
