"""The folder of an action tokenizer: ``config.json`` with its type, and its weights or its ``tokenizer.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from substep_core.registry import Registry
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.checkpoints.folder import CheckpointError, read_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Reconstruction:
    """Chunks (N, C, A) that were encoded and decoded. ``bits``: of a chunk, on average."""

    name: str
    bits: float
    actions: np.ndarray


class ChunkTokenizer(Protocol):
    """What all types have, whatever their tokens are: they can be measured.

    Attributes:
        finenesses: in how many ways a chunk can be decoded, from coarse to fine.
    """

    finenesses: int

    @property
    def space(self) -> ActionSpace:
        """The actions that it was fitted to."""

    def reconstruct(self, actions: np.ndarray, fineness: int) -> Reconstruction:
        """Normalised chunks (N, C, A) there and back. Args: fineness: from 1 to ``finenesses``."""


@dataclass(frozen=True)
class TokenizerKind:
    """One type of action tokenizer; an entry of ``substep.action_tokenizers`` under the ``type`` in ``config.json``.

    Attributes:
        load: the fitted one of a folder; raises CheckpointError.
        training: "module:class", a ``training.action_tokenizer.fitting.Fitting``, imported by ``./substep train
            action-tokenizer`` alone.
    """

    load: Callable[[Path], ChunkTokenizer]
    training: str


TOKENIZER_KINDS: Registry[TokenizerKind] = Registry("action tokenizer", "substep.action_tokenizers")


def read_config(folder: Path) -> dict[str, Any]:
    """Plain data of ``config.json``.

    Raises:
        CheckpointError: it is missing, or no JSON object.
    """
    path = folder / CONFIG_FILE
    if not path.exists():
        raise CheckpointError(f"{folder} is no action tokenizer: {path} is missing")
    return read_json(path)


def load_tokenizer(folder: Path) -> ChunkTokenizer:
    """The fitted tokenizer of a folder, of whatever type.

    Raises:
        CheckpointError: it is none, or incomplete, or of an unknown type.
    """
    name = read_config(folder).get("type")
    if name not in TOKENIZER_KINDS:
        raise CheckpointError(f"{folder / CONFIG_FILE} has type {name!r}, expected one of {TOKENIZER_KINDS.listing}")
    return TOKENIZER_KINDS.load(name).load(folder)
