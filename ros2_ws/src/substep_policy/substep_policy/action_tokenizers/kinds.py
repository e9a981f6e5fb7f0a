"""The types of action tokenizers that ship."""

from __future__ import annotations

from pathlib import Path

from substep_core.configuration import parse
from substep_policy.action_tokenizers.fast import FastTokenizer
from substep_policy.action_tokenizers.folder import CONFIG_FILE, TokenizerKind, read_config
from substep_policy.action_tokenizers.rfsq import RfsqConfig, RfsqTokenizer
from substep_policy.checkpoints.folder import CheckpointError


def load_rfsq(folder: Path) -> RfsqTokenizer:
    """Raises: CheckpointError: a file is missing, or does not fit."""
    try:
        config = parse(RfsqConfig, {**read_config(folder), "folder": str(folder)}, str(folder / CONFIG_FILE))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return RfsqTokenizer.load(config)


RFSQ = TokenizerKind(load_rfsq, "training.action_tokenizer.rfsq:RfsqFitting")
FAST = TokenizerKind(FastTokenizer.load, "training.action_tokenizer.fast:FastFitting")
