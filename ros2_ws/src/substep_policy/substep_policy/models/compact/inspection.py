"""What a compact checkpoint holds."""

from __future__ import annotations

from pathlib import Path

import torch

from substep_policy.checkpoints.folder import BACKBONE_FILE
from substep_policy.checkpoints.inspection import (
    CheckpointReport,
    Finding,
    attempt,
    eos_finding,
    is_error,
    misfit,
    statistics_findings,
    tokenizer_finding,
    total_finding,
    weight_findings,
)
from substep_policy.checkpoints.part import Part, head_parts
from substep_policy.models.compact.checkpoint import read_config
from substep_policy.models.compact.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from substep_policy.models.model import SubstepModel


def inspect_compact(folder: Path) -> CheckpointReport:
    config = attempt(lambda: read_config(folder))
    findings = statistics_findings(folder, config)
    if not isinstance(config, CompactModelConfig):
        return CheckpointReport(f"{folder}: compact", (misfit("config", config), *findings))
    with torch.device("meta"):
        model = build_compact(config)
    parts = _parts(folder, model)
    findings.append(_tokenizer(folder, config))
    eos = eos_finding(config.eos, config.action_head.type)
    findings = [*weight_findings(parts), eos, *findings, total_finding(model)]
    cameras = ", ".join(config.cameras)
    return CheckpointReport(
        f"{folder}: compact, chunks of {config.chunk_length} actions, cameras {cameras}", tuple(findings)
    )


def _tokenizer(folder: Path, config: CompactModelConfig) -> Finding:
    path, length = folder / TOKENIZER_FILE, config.preprocessing.max_instruction_tokens
    loaded = attempt(lambda: InstructionTokenizer.load(path, length))
    if is_error(loaded):
        return misfit("tokenizer", loaded)
    return tokenizer_finding(loaded.vocabulary_size, config.backbone.vocabulary_size)


def _parts(folder: Path, model: SubstepModel) -> list[Part]:
    names = {key: key for key in model.backbone.state_dict()}
    return [Part("backbone", model.backbone, lambda: (folder / BACKBONE_FILE,), names), *head_parts(folder, model)]
