"""What a checkpoint holds: ``./substep checkpoint inspect``. Reads shapes, not weights, so it takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from substep_policy.checkpoints.folder import check_one_step, shortened
from substep_policy.checkpoints.part import CheckpointPart
from substep_policy.eos import EosSource
from substep_policy.models.kind import ModelConfiguration, UnknownModel, kind_of
from substep_policy.models.model import EosDetection, SubstepModel
from substep_policy.models.normalization import (
    STATISTICS_FILE,
    DatasetStatistics,
    check_widths,
    load_statistics,
    read_statistics_file,
)

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
class CheckpointReport:
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


def inspect(folder: Path) -> CheckpointReport:
    """Whether the policy of a checkpoint folder can be loaded, and what is in it. Misfits are findings, not errors."""
    try:
        kind = kind_of(folder)
    except UnknownModel as error:
        return CheckpointReport(f"{folder}: no policy", (Finding("config", MISFIT, str(error)),))
    return kind.inspect(folder)


def attempt(function: Callable[[], Any]) -> Any:
    """The result, or the error that names what is wrong with the checkpoint."""
    try:
        return function()
    except (ValueError, OSError) as error:
        return error


def is_error(result: Any) -> bool:
    return isinstance(result, Exception)


def misfit(part: str, error: Exception) -> Finding:
    return Finding(part, MISFIT, str(error))


def weight_findings(parts: Sequence[CheckpointPart]) -> list[Finding]:
    """Of each part, and whether those that are there belong together."""
    found = [files for part in parts if not is_error(files := attempt(part.find))]
    steps = attempt(lambda: check_one_step(path for files in found for path in files))
    return [*map(_weights_of, parts), *([misfit("steps", steps)] if is_error(steps) else [])]


def _weights_of(part: CheckpointPart) -> Finding:
    try:
        files, state = part.find(), part.shapes()
    except ValueError as error:
        return misfit(part.name, error)
    problems = part.misfits(state)
    if problems:
        return Finding(part.name, MISFIT, f"{files[0]}: {shortened(problems)}")
    types = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    size = sum(path.stat().st_size for path in files)
    where = files[0].name if len(files) == 1 else f"{len(files)} files"
    parameters = sum(value.numel() for value in state.values())
    return Finding(part.name, FITS, f"{millions(parameters)}, {'/'.join(types)}, {size / 1e9:.3f} GB in {where}")


def statistics_findings(folder: Path, config: ModelConfiguration | Exception) -> list[Finding]:
    """Of every data set in ``dataset_statistics.json``."""
    return data_set_findings(
        folder, lambda: list(read_statistics_file(folder)), lambda name: _fitting_statistics(folder, name, config)
    )


def data_set_findings(
    folder: Path, list_names: Callable[[], list[str]], load: Callable[[str], DatasetStatistics]
) -> list[Finding]:
    """Of every data set; several are no misfit, but one has to be chosen."""
    names = attempt(list_names)
    if is_error(names):
        return [misfit("statistics", names)]
    findings = []
    for name in names:
        loaded = attempt(lambda name=name: load(name))
        if is_error(loaded):
            findings.append(misfit("statistics", loaded))
        else:
            steps = f": {loaded.num_transitions} steps of {loaded.num_trajectories} demonstrations"
            findings.append(Finding("statistics", FITS, name + (steps if loaded.num_transitions else "")))
    if len(names) > 1:
        findings.append(Finding("", NOTE, "several data sets: choose one with the parameter dataset"))
    return findings if names else [Finding("statistics", MISFIT, f"{folder}: statistics of no data set")]


def _fitting_statistics(folder: Path, name: str, config: ModelConfiguration | Exception) -> DatasetStatistics:
    """Raises: ValueError: they are damaged or, where there is a configuration, of another robot."""
    statistics = load_statistics(folder, name)
    if not is_error(config):
        check_widths(statistics, config.robot, config.proprio_widths, f"{folder / STATISTICS_FILE}: {name}")
    return statistics


def tokenizer_finding(tokens: int, rows: int) -> Finding:
    return Finding("tokenizer", FITS if tokens <= rows else MISFIT, f"{tokens} tokens, the model knows {rows}")


def eos_finding(eos: EosDetection, action_head: str) -> Finding:
    text = f"action head {action_head}; EOS: "
    if eos.source is EosSource.NONE:
        return Finding("end of substep", NOTE, f"{text}none, the model cannot end a substep")
    threshold = "argmax" if eos.threshold is None else f"threshold {eos.threshold:g}"
    calibrated = " (calibrated)" if eos.calibrated else ""
    return Finding("end of substep", NOTE, f"{text}{eos.source}, {threshold}{calibrated}, {eos.choice}")


def total_finding(model: SubstepModel) -> Finding:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    gigabytes = parameters / 1e9
    text = f"{millions(parameters)}: {2 * gigabytes:.3f} GB in bfloat16, {4 * gigabytes:.3f} GB in float32"
    return Finding("whole", NOTE, text)


def millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M parameters"
