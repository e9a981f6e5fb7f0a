"""What a checkpoint of OpenVLA-OFT holds."""

from __future__ import annotations

from pathlib import Path

from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.inspection import (
    FITS,
    MISFIT,
    NOTE,
    CheckpointReport,
    Finding,
    attempt,
    eos_finding,
    is_error,
    millions,
    misfit,
    statistics_findings,
    total_finding,
    weight_findings,
)
from substep_policy.checkpoints.part import check_surplus, head_parts, without_weights
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.adapter import ADAPTER_FOLDER, base_folder, check_adapter, has_adapter
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder
from substep_policy.models.openvla.published import (
    COMPONENTS,
    backbone_parts,
    brings_vision,
    is_adapter_needed,
    present_components,
    weight_files,
)
from substep_policy.models.openvla.published_config import read_config
from substep_policy.models.openvla.size_check import size_misfits


def inspect_openvla(folder: Path) -> CheckpointReport:
    config = attempt(lambda: read_config(folder))
    findings = [*statistics_findings(folder, config), _tokenizer(folder, config)]
    if not isinstance(config, OpenVLAModelConfig):
        present = present_components(folder)
        names = sorted(present | set(COMPONENTS))
        files = [Finding(name, NOTE, "a file is there" if name in present else "no file") for name in names]
        return CheckpointReport(f"{folder}: OpenVLA-OFT", (misfit("config", config), *files, *findings))
    sizes = attempt(lambda: size_misfits(config.backbone, weight_files(folder)))
    if sizes and not is_error(sizes):
        found = Finding("backbone", MISFIT, "; ".join(sizes))
        return CheckpointReport(f"{folder}: OpenVLA-OFT", (found, *findings))
    model = attempt(lambda: without_weights(build_openvla, config, folder / CONFIG_FILE))
    if is_error(model):
        return CheckpointReport(f"{folder}: OpenVLA-OFT", (misfit("config", model), *findings))
    weights = _weights(folder, config, model)
    weights += [_adapter(folder, model)] if has_adapter(folder) else []
    findings = [*weights, eos_finding(config.eos, config.action_head.type), *findings, total_finding(model)]
    title = f"{folder}: OpenVLA-OFT, chunks of {config.chunk_length} actions, cameras {', '.join(config.cameras)}"
    return CheckpointReport(f"{title}, FiLM {'on' if config.backbone.film else 'off'}", tuple(findings))


def _weights(folder: Path, config: OpenVLAModelConfig, model: SubstepModel) -> list[Finding]:
    heads = head_parts(folder, model)
    backbone = attempt(lambda: backbone_parts(folder, config, model.backbone))
    if is_error(backbone):
        return [misfit("backbone", backbone), *weight_findings(heads)]
    parts = [*backbone, *heads]
    surplus = attempt(lambda: check_surplus(present_components(folder), parts, folder))
    return [*weight_findings(parts), *([misfit("files", surplus)] if is_error(surplus) else [])]


def _tokenizer(folder: Path, config: OpenVLAModelConfig | Exception) -> Finding:
    """Without a configuration, whether there is one at all."""
    tokenizer = attempt(lambda: read_tokenizer(folder / TOKENIZER_FILE))
    if is_error(tokenizer):
        return misfit("tokenizer", tokenizer)
    tokens = f"{tokenizer.get_vocab_size()} tokens"
    if not isinstance(config, OpenVLAModelConfig):
        return Finding("tokenizer", NOTE, tokens)
    prompts = attempt(lambda: OpenVLAPromptBuilder(tokenizer, config))
    if is_error(prompts):
        return Finding("tokenizer", MISFIT, f"{folder / TOKENIZER_FILE}: {prompts}")
    rows = config.backbone.language_model.vocabulary_size
    return Finding("tokenizer", FITS, f"{tokens}, the model knows {rows}")


def _adapter(folder: Path, model: SubstepModel) -> Finding:
    if not is_adapter_needed(folder):
        return Finding(ADAPTER_FOLDER, NOTE, "a record of the training: the weights are merged, it is not applied")
    base = attempt(lambda: base_folder(folder))
    if is_error(base):
        return misfit(ADAPTER_FOLDER, base)
    size = attempt(lambda: check_adapter(model.backbone, folder, skip_vision=brings_vision(folder)))
    if is_error(size):
        return misfit(ADAPTER_FOLDER, size)
    return Finding(ADAPTER_FOLDER, FITS, f"{millions(size)}, merged at load into the weights of {base}")
