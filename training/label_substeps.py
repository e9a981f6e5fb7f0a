"""Labels substeps in any demonstrations by the rules of ``training.segmentation``: ``./substep label`` (S3)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from substep_planner.decomposers.library import find_plan, load_library
from substep_planner.plan import Library
from substep_policy.configuration import parse
from training.demonstrations import Demonstration, DemonstrationError, ReadReport, Source, read_demonstrations
from training.labels import LABELS_FILE, LabelError, SubstepLabels
from training.segmentation import SegmentationError, segment


@dataclass
class LabelReport:
    """What was labelled, and what was not, with the reason."""

    labelled: int = 0
    without_plan: list[str] = field(default_factory=list)
    unlike_plan: list[str] = field(default_factory=list)


def label(demonstrations: Iterable[Demonstration], library: Library, report: LabelReport) -> SubstepLabels:
    """Labels of every demonstration that has a plan and shows what it says."""
    labels = SubstepLabels()
    for demonstration in demonstrations:
        found = find_plan(library, demonstration.instruction, demonstration.suite)
        if found is None:
            report.without_plan.append(f"{demonstration.source}: no plan for {demonstration.instruction!r}")
            continue
        substeps = found[1].substeps
        try:
            result = segment(demonstration.actions, demonstration.proprio, demonstration.instruction, substeps)
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


def compare(
    demonstrations: Iterable[Demonstration], labels: SubstepLabels, truth: SubstepLabels, tolerances: Sequence[int]
) -> Agreement:
    """Agreement on the episodes that both have.

    Raises:
        ValueError: there is no such episode with an inner boundary.
    """
    errors: list[int] = []
    same: list[np.ndarray] = []
    episodes = left_out = 0
    for demonstration in demonstrations:
        place = demonstration.suite, demonstration.task, demonstration.episode
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where nothing could be labelled."""
    options = _parser().parse_args(arguments)
    try:
        source = parse(Source, {"type": options.type, "path": options.path, "suite": options.suite}, "command line")
        reading, report = ReadReport(), LabelReport()
        demonstrations = list(tqdm(read_demonstrations([source], reading), desc="read", unit="demo"))
        labels = label(demonstrations, load_library(options.plans), report)
        out = Path(options.out or Path(options.path) / LABELS_FILE)
        if options.compare and out.resolve() == Path(options.compare).resolve():
            raise ValueError(f"--out {out} is the file to compare with: name another one")
        out.parent.mkdir(parents=True, exist_ok=True)
        labels.save(out)
        print(
            f"{report.labelled} demonstrations labelled in {out}; {len(reading.skipped)} damaged, "
            f"{len(report.without_plan)} without a plan, {len(report.unlike_plan)} unlike their plan"
        )
        for problem in report.without_plan + report.unlike_plan:
            print(f"  not labelled: {problem}", file=sys.stderr)
        if options.compare:
            print(compare(demonstrations, labels, SubstepLabels.load(Path(options.compare)), (3, 5, 10)))
    except (DemonstrationError, LabelError, OSError, ValueError) as error:
        print(f"label: {error}", file=sys.stderr)
        return 1
    return 0 if report.labelled else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="substep label", description=__doc__)
    parser.add_argument("path", help="folder of the demonstrations")
    parser.add_argument("--type", default="libero_hdf5", help="libero_hdf5, rlds or lerobot (default: libero_hdf5)")
    parser.add_argument("--suite", help="the suite, where the folder does not name it")
    parser.add_argument("--plans", default="", metavar="FILE", help="a plan file instead of the shipped one")
    parser.add_argument("--out", metavar="FILE", help=f"default: {LABELS_FILE} beside the demonstrations")
    parser.add_argument("--compare", metavar="FILE", help="labels to report the agreement with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
