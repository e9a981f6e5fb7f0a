"""What a checkpoint of π0.5 holds."""

from __future__ import annotations

from pathlib import Path

from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.inspection import (
    NOTE,
    CheckpointReport,
    Finding,
    attempt,
    data_set_findings,
    eos_finding,
    is_error,
    misfit,
    tokenizer_finding,
    total_finding,
    weight_findings,
)
from substep_policy.checkpoints.part import without_weights
from substep_policy.models.pi05.model import Pi05ModelConfig, build_pi05
from substep_policy.models.pi05.published import published_parts
from substep_policy.models.pi05.published_config import read_config
from substep_policy.models.pi05.statistics import data_sets, find_statistics
from substep_policy.models.pi05.tokenizer import find_tokenizer


def inspect_pi05(folder: Path) -> CheckpointReport:
    config = attempt(lambda: read_config(folder))
    if not isinstance(config, Pi05ModelConfig):
        return CheckpointReport(f"{folder}: π0.5", (misfit("config", config), _tokenizer(folder, None)))
    model = attempt(lambda: without_weights(build_pi05, config, folder / CONFIG_FILE))
    if is_error(model):
        return CheckpointReport(f"{folder}: π0.5", (misfit("config", model), _tokenizer(folder, None)))
    prompt, played = config.backbone.prompt, f", {config.horizon} played" if config.played else ""
    title = (
        f"{folder}: π0.5, chunks of {config.chunk_length} actions{played}, cameras {', '.join(config.cameras)}, state "
        f"in the prompt: {prompt.state}, by {prompt.state_scaling}; expert conditioned: {config.backbone.conditioning}"
    )
    findings = [
        *weight_findings(published_parts(folder, model)),
        eos_finding(config.eos, config.action_head.type),
        *data_set_findings(folder, lambda: data_sets(folder), lambda name: find_statistics(folder, name, config)),
        _tokenizer(folder, config),
        total_finding(model),
    ]
    return CheckpointReport(title, tuple(findings))


def _tokenizer(folder: Path, config: Pi05ModelConfig | None) -> Finding:
    tokenizer = attempt(lambda: find_tokenizer(folder))
    if is_error(tokenizer):
        return misfit("tokenizer", tokenizer)
    if config is None:
        return Finding("tokenizer", NOTE, f"{tokenizer.size} tokens")
    return tokenizer_finding(tokenizer.size, config.backbone.vocabulary_size)
