"""Checkpoint folders of compact models."""

from __future__ import annotations

from pathlib import Path

from substep_policy.checkpoints.inspection import (
    CheckpointReport,
    Finding,
    attempt,
    is_error,
    misfit,
    tokenizer_finding,
)
from substep_policy.checkpoints.plain import PlainCheckpoints
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.compact.model import CompactModelConfig, build_compact

CHECKPOINTS = PlainCheckpoints(CompactModelConfig, build_compact)


def inspect_compact(folder: Path) -> CheckpointReport:
    return CHECKPOINTS.inspect(folder, lambda config: [_tokenizer(folder, config)])


def _tokenizer(folder: Path, config: CompactModelConfig) -> Finding:
    path, length = folder / TOKENIZER_FILE, config.preprocessing.max_instruction_tokens
    loaded = attempt(lambda: InstructionTokenizer.load(path, length))
    if is_error(loaded):
        return misfit("tokenizer", loaded)
    return tokenizer_finding(loaded.vocabulary_size, config.backbone.vocabulary_size)
