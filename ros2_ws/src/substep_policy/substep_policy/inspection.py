"""What a checkpoint holds: ``./substep policy inspect CHECKPOINT``. Reads shapes, not weights, so it takes seconds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from substep_policy.backbones.openvla.adapter import ADAPTER_FOLDER, base_folder, check_adapter, has_adapter
from substep_policy.backbones.openvla.prompt import PromptBuilder
from substep_policy.backbones.openvla.published import (
    COMPONENTS,
    backbone_parts,
    brings_vision,
    is_adapter_needed,
    present_components,
)
from substep_policy.backbones.openvla.published_config import MODEL_TYPE, read_json
from substep_policy.backbones.openvla.published_config import read_config as read_openvla_config
from substep_policy.checkpoint import CONFIG_FILE, CheckpointError, check_one_step, read_config
from substep_policy.checkpoint_part import Part, check_surplus, compact_parts, head_parts
from substep_policy.eos import EosSource
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer
from substep_policy.model import EosDetection, ModelConfig, SubstepModel, build_model
from substep_policy.normalization import load_statistics, read_statistics_file
from substep_policy.openvla_model import OpenVLAModelConfig, build_openvla
from substep_policy.openvla_policy import load_openvla_statistics, load_tokenizer
from substep_policy.registry import POLICIES

NOTE, FITS, MISFIT = "", "fits", "MISFIT"


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``verdict`` is NOTE, FITS or MISFIT."""

    part: str
    verdict: str
    text: str

    def __str__(self) -> str:
        return f"  {self.part:<24}{self.verdict:<8}{self.text}"


@dataclass(frozen=True)
class Report:
    """Everything about one checkpoint."""

    title: str
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        return all(finding.verdict != MISFIT for finding in self.findings)

    def __str__(self) -> str:
        misfits = sum(finding.verdict == MISFIT for finding in self.findings)
        end = "complete: it can be loaded" if self.fits else f"cannot be loaded: {misfits} of these do not fit"
        return "\n".join([self.title, *map(str, self.findings), end])


def inspect(folder: Path) -> Report:
    """Whether the policy of a checkpoint folder can be loaded, and what is in it. Misfits are findings, not errors."""
    try:
        content = read_json(folder / CONFIG_FILE)
    except CheckpointError as error:
        return Report(f"{folder}: no checkpoint", (Finding("config", MISFIT, str(error)),))
    kinds = {"compact": inspect_compact, MODEL_TYPE: inspect_openvla}
    kind = content.get("model_type")
    if kind not in kinds:
        text = f"{folder / CONFIG_FILE}: model_type is {kind!r}, expected one of {', '.join(sorted(kinds))}"
        return Report(f"{folder}: no policy", (Finding("config", MISFIT, text),))
    return kinds[kind](folder)


def inspect_compact(folder: Path) -> Report:
    config = _attempt(lambda: read_config(folder))
    findings = _statistics(folder, load_statistics)
    if not isinstance(config, ModelConfig):
        return Report(f"{folder}: compact", (_misfit("config", config), *findings))
    with torch.device("meta"):
        model = build_model(config)
    parts = compact_parts(folder, model)
    findings.append(_compact_tokenizer(folder, config))
    findings = [*_weights(parts), _eos(config.eos, config.action_head.type), *findings, _total(model)]
    cameras = ", ".join(config.preprocessing.cameras)
    return Report(f"{folder}: compact, chunks of {config.chunk_length} actions, cameras {cameras}", tuple(findings))


def _compact_tokenizer(folder: Path, config: ModelConfig) -> Finding:
    path, length = folder / TOKENIZER_FILE, config.preprocessing.max_instruction_tokens
    loaded = _attempt(lambda: InstructionTokenizer.load(path, length))
    if _is_error(loaded):
        return _misfit("tokenizer", loaded)
    size = config.backbone.vocabulary_size
    fits = loaded.vocabulary_size <= size
    return Finding("tokenizer", FITS if fits else MISFIT, f"{loaded.vocabulary_size} tokens, the model knows {size}")


def inspect_openvla(folder: Path) -> Report:
    config = _attempt(lambda: read_openvla_config(folder))
    findings = [*_statistics(folder, load_openvla_statistics), _openvla_tokenizer(folder, config)]
    if not isinstance(config, OpenVLAModelConfig):
        present = present_components(folder)
        files = [Finding(name, NOTE, "a file is there" if name in present else "no file") for name in COMPONENTS]
        return Report(f"{folder}: OpenVLA-OFT", (_misfit("config", config), *files, *findings))
    with torch.device("meta"):
        model = build_openvla(config)
    weights = _openvla_weights(folder, config, model)
    weights += [_adapter(folder, model)] if has_adapter(folder) else []
    findings = [*weights, _eos(config.eos, config.action_head.type), *findings, _total(model)]
    backbone = config.backbone
    title = f"{folder}: OpenVLA-OFT, chunks of {config.chunk_length} actions, cameras {', '.join(backbone.cameras)}"
    return Report(f"{title}, FiLM {'on' if backbone.film else 'off'}", tuple(findings))


def _openvla_weights(folder: Path, config: OpenVLAModelConfig, model: SubstepModel) -> list[Finding]:
    heads = head_parts(folder, model)
    backbone = _attempt(lambda: backbone_parts(folder, config, model.backbone))
    if _is_error(backbone):
        return [_misfit("backbone", backbone), *_weights(heads)]
    parts = [*backbone, *heads]
    surplus = _attempt(lambda: check_surplus(present_components(folder), parts, folder))
    return [*_weights(parts), *([_misfit("files", surplus)] if _is_error(surplus) else [])]


def _openvla_tokenizer(folder: Path, config: OpenVLAModelConfig | Exception) -> Finding:
    """Without a configuration, whether there is one at all."""
    tokenizer = _attempt(lambda: load_tokenizer(folder))
    if _is_error(tokenizer):
        return _misfit("tokenizer", tokenizer)
    tokens = f"{tokenizer.get_vocab_size()} tokens"
    if not isinstance(config, OpenVLAModelConfig):
        return Finding("tokenizer", NOTE, tokens)
    prompts = _attempt(lambda: PromptBuilder(tokenizer, config.backbone))
    if _is_error(prompts):
        return Finding("tokenizer", MISFIT, f"{folder / TOKENIZER_FILE}: {prompts}")
    rows = config.backbone.language_model.vocabulary_size
    return Finding("tokenizer", FITS, f"{tokens}, the model knows {rows}")


def _attempt(function: Callable[[], Any]) -> Any:
    """The result, or the error that names what is wrong with the checkpoint."""
    try:
        return function()
    except (ValueError, OSError) as error:
        return error


def _is_error(result: Any) -> bool:
    return isinstance(result, Exception)


def _misfit(part: str, error: Exception) -> Finding:
    return Finding(part, MISFIT, str(error))


def _weights(parts: Sequence[Part]) -> list[Finding]:
    """Of each part, and whether those that are there belong together."""
    found = [files for part in parts if not _is_error(files := _attempt(part.find))]
    steps = _attempt(lambda: check_one_step(path for files in found for path in files))
    return [*map(_weights_of, parts), *([_misfit("steps", steps)] if _is_error(steps) else [])]


def _weights_of(part: Part) -> Finding:
    try:
        files, state = part.find(), part.shapes()
    except ValueError as error:
        return _misfit(part.name, error)
    problems = part.misfits(state)
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        return Finding(part.name, MISFIT, f"{files[0]}: {'; '.join(problems[:8])}{more}")
    types = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    size = sum(path.stat().st_size for path in files)
    where = files[0].name if len(files) == 1 else f"{len(files)} files"
    parameters = sum(value.numel() for value in state.values())
    return Finding(part.name, FITS, f"{_millions(parameters)}, {'/'.join(types)}, {size / 1e9:.3f} GB in {where}")


def _statistics(folder: Path, load: Callable[[Path, str | None], Any]) -> list[Finding]:
    """Of every data set; several are no misfit, but one has to be chosen."""
    names = _attempt(lambda: list(read_statistics_file(folder)))
    if _is_error(names):
        return [_misfit("statistics", names)]
    findings = []
    for name in names:
        loaded = _attempt(lambda name=name: load(folder, name))
        if _is_error(loaded):
            findings.append(_misfit("statistics", loaded))
        else:
            steps = f"{name}: {loaded.num_transitions} steps of {loaded.num_trajectories} demonstrations"
            findings.append(Finding("statistics", FITS, steps))
    if len(names) > 1:
        findings.append(Finding("", NOTE, "several data sets: choose one with the parameter dataset"))
    return findings if names else [Finding("statistics", MISFIT, f"{folder}: statistics of no data set")]


def _eos(eos: EosDetection, action_head: str) -> Finding:
    text = f"action head {action_head}; EOS: "
    if eos.source is EosSource.NONE:
        return Finding("end of substep", NOTE, f"{text}none, the model cannot end a substep")
    threshold = "argmax" if eos.threshold is None else f"threshold {eos.threshold:g}"
    calibrated = " (calibrated)" if eos.calibrated else ""
    return Finding("end of substep", NOTE, f"{text}{eos.source}, {threshold}{calibrated}, {eos.choice}")


def _adapter(folder: Path, model: SubstepModel) -> Finding:
    if not is_adapter_needed(folder):
        return Finding(ADAPTER_FOLDER, NOTE, "a record of the training: the weights are merged, it is not applied")
    base = _attempt(lambda: base_folder(folder))
    if _is_error(base):
        return _misfit(ADAPTER_FOLDER, base)
    size = _attempt(lambda: check_adapter(model.backbone, folder, skip_vision=brings_vision(folder)))
    if _is_error(size):
        return _misfit(ADAPTER_FOLDER, size)
    return Finding(ADAPTER_FOLDER, FITS, f"{_millions(size)}, merged at load into the weights of {base}")


def _total(model: SubstepModel) -> Finding:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    gigabytes = parameters / 1e9
    text = f"{_millions(parameters)}: {2 * gigabytes:.3f} GB in bfloat16, {4 * gigabytes:.3f} GB in float32"
    return Finding("whole", NOTE, text)


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M parameters"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report. Returns 0 where the checkpoint can be loaded, else 1."""
    parser = argparse.ArgumentParser(prog="substep policy inspect", description=__doc__)
    parser.add_argument("checkpoint", help="compact (which ships), a folder, or a hub id such as organisation/model")
    options = parser.parse_args(arguments)
    try:
        report = inspect(POLICIES.folder(options.checkpoint))
    except ValueError as error:
        print(f"substep policy inspect: {error}", file=sys.stderr)
        return 1
    print(report)
    return 0 if report.fits else 1


if __name__ == "__main__":
    sys.exit(main())
