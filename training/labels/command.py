"""Labels substeps in any demonstrations by the rules of ``training.labels.segmentation``: ``./substep data label``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from substep_core.contract import RobotContract
from substep_core.plan import Library
from substep_core.printable import show
from substep_planner.decomposers.library import find_plan, load_library
from training.data.readers import DataSource, Demonstration, ReadReport, read_demonstrations
from training.labels.file import LABELS_FILE, SubstepLabels
from training.labels.segmentation import SegmentationError, segment


@dataclass
class LabelReport:
    """What was labelled, ``annotated`` of it as the source itself says, and what was not, with the reason."""

    labelled: int = 0
    annotated: int = 0
    without_plan: list[str] = field(default_factory=list)
    unlike_plan: list[str] = field(default_factory=list)


def label(demonstrations: Iterable[Demonstration], library: Library, report: LabelReport) -> SubstepLabels:
    """Labels of every demonstration whose source says its substeps, or that has a plan and shows what it says."""
    labels = SubstepLabels()
    for demonstration in demonstrations:
        if demonstration.labels is not None:
            labels.add(demonstration.suite, demonstration.task, demonstration.episode, demonstration.labels)
            report.labelled, report.annotated = report.labelled + 1, report.annotated + 1
            continue
        found = find_plan(library, demonstration.instruction, demonstration.suite)
        if found is None:
            report.without_plan.append(f"{demonstration.source}: no plan for {demonstration.instruction!r}")
            continue
        substeps = found[1].substeps
        try:
            result = segment(
                demonstration.robot, demonstration.actions, demonstration.proprio, demonstration.instruction, substeps
            )
        except SegmentationError as error:
            report.unlike_plan.append(f"{demonstration.source}: {error}")
            continue
        labels.add(demonstration.suite, demonstration.task, demonstration.episode, result)
        report.labelled += 1
    return labels


@dataclass(frozen=True)
class Agreement:
    """How two labellings of the same episodes agree. Ends of episodes, which cannot differ, do not count.

    ``left_out``: episodes whose numbers of timesteps or substeps differ, where no boundary has a counterpart.
    """

    episodes: int
    left_out: int
    boundaries: int
    within: dict[int, float]  # tolerance in timesteps -> share of boundaries no further apart
    median_error: float
    same_instruction: float  # share of timesteps with the same substep

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.1%} within ±{tolerance}" for tolerance, share in self.within.items())
        return (
            f"{self.boundaries} inner boundaries of {self.episodes} episodes: {shares}; median error "
            f"{self.median_error:g} timesteps; {self.same_instruction:.1%} of timesteps in the same substep; "
            f"{self.left_out} episodes left out whose numbers of substeps or timesteps differ"
        )


def compare(labels: SubstepLabels, truth: SubstepLabels, tolerances: Sequence[int]) -> Agreement:
    """Agreement on the episodes that both have.

    Raises:
        ValueError: there is no such episode with an inner boundary.
    """
    errors: list[int] = []
    same: list[np.ndarray] = []
    episodes = left_out = 0
    for place in labels.places():
        one, other = labels.find(*place), truth.find(*place)
        if one is None or other is None:
            continue
        if len(one) != len(other) or len(one.boundaries) != len(other.boundaries):
            left_out += 1
            continue
        episodes += 1
        pairs = zip(one.boundaries[:-1], other.boundaries[:-1], strict=True)
        errors.extend(abs(a - b) for a, b in pairs)
        same.append(one.substep_index == other.substep_index)
    if not errors:
        raise ValueError(
            "the two label files have no episode with as many substeps and an inner boundary in common; "
            f"{left_out} episodes differ in their numbers of substeps or timesteps"
        )
    found = np.asarray(errors)
    within = {tolerance: float(np.mean(found <= tolerance)) for tolerance in tolerances}
    same_instruction = float(np.mean(np.concatenate(same)))
    return Agreement(episodes, left_out, len(errors), within, float(np.median(found)), same_instruction)


def label_source(
    source: DataSource, robot: RobotContract, library: Path | None, out: Path | None, truth: Path | None
) -> int:
    """Label a source's demonstrations and print what came of it; -> how many were labelled.

    Args:
        robot: whose demonstrations they are.
        library: a plan file instead of the shipped one.
        out: file of the labels; None: beside the demonstrations.
        truth: labels to report the agreement with.

    Raises:
        ValueError: the source or a file is not what it should be, ``out`` is ``truth``, or there are labels beside the
            demonstrations already and no ``out`` is given.
        OSError: a file cannot be read or written.
    """
    reading, report = ReadReport(), LabelReport()
    if not Path(source.path).exists():
        raise ValueError(f"{source.path} is missing, expected a folder of demonstrations")
    if out is None:
        out = Path(source.path) / LABELS_FILE
        if out.exists():  # the true ones of a collection, or somebody's own
            raise ValueError(f"{out} is there already: --out names the file to write, this one too")
    if truth is not None and out.resolve() == truth.resolve():
        raise ValueError(f"--out {out} is the file to compare with: name another one")
    plans, expected = load_library(str(library or "")), None if truth is None else SubstepLabels.load(truth)
    demonstrations = tqdm(read_demonstrations([source], robot, reading), desc="read", unit="demo")
    labels = label(demonstrations, plans, report)
    out.parent.mkdir(parents=True, exist_ok=True)
    labels.save(out)
    print(
        f"{report.labelled} demonstrations labelled in {out}, {report.annotated} of them as the data set itself says; "
        f"{len(reading.skipped)} damaged, "
        f"{len(report.without_plan)} without a plan, {len(report.unlike_plan)} unlike their plan"
    )
    for problem in report.without_plan + report.unlike_plan:
        show(f"  not labelled: {problem}", sys.stderr)
    if expected is not None:
        print(compare(labels, expected, (3, 5, 10)))
    return report.labelled
