"""How much of what people say is planned right, planned wrong or refused: ``./substep bench understanding``.

A plan is right when it asks for the same motions as the task's plan in the library.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files

from libero_bridge.tasks import LiberoSource
from substep_core.errors import PlanningError
from substep_core.json_files import read_object
from substep_core.language import effects
from substep_core.language.nouns import NOUNS
from substep_core.language.phrases import Thing
from substep_core.language.reader import parse
from substep_core.plan import Plan
from substep_planner.decomposers.base import Decomposer, PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.decomposer import GroundingDecomposer
from substep_planner.decomposers.grounding.reader import MarkovReader
from substep_planner.decomposers.grounding.request import motions_of
from substep_planner.decomposers.library import find_plan, shipped_library
from training.bench.sayings import Saying, categories
from training.planner import calibration
from training.planner.calibration import calibration_error, would_act
from training.planner.left_out import kinds_of, without_things
from training.planner.sentences import Sentences


@dataclass(frozen=True)
class Outcome:
    """What became of one: "right", "wrong" or "refused"; the plan's steps, or why there is none; seconds it took."""

    saying: Saying
    verdict: str
    said: str
    seconds: float


# --- judging ---


def same_motions(left: Plan, right: Plan, scene: frozenset[str]) -> bool:
    """Whether both plans do the same to the same kinds of things, in any order, in a scene with these categories."""
    return Counter(_motions(left, scene)) == Counter(_motions(right, scene))


def _motions(plan: Plan, scene: frozenset[str]) -> Iterator[tuple]:
    for substep in plan.substeps:
        motion = parse(substep.instruction)
        place = motion.place and (motion.place.preposition, _kinds(motion.place.thing, scene))
        yield motion.kind.name, _kinds(motion.thing, scene), place


def _kinds(thing: Thing, scene: frozenset[str]) -> tuple:
    noun = NOUNS.get(thing.whole)
    kinds = frozenset(noun.categories if noun else {thing.whole.replace(" ", "_")})
    return thing.part and thing.part.side, kinds & scene or kinds


def judge(saying: Saying, decomposers: Sequence[Decomposer]) -> Outcome:
    scene = categories(saying.task)
    started = time.perf_counter()
    try:
        result = decompose(PlanRequest(saying.text, saying.suite, objects=scene), decomposers)
    except PlanningError as error:
        seconds = time.perf_counter() - started
        return Outcome(saying, "right" if saying.refused else "refused", str(error), seconds)
    seconds = time.perf_counter() - started
    said = f"{'; '.join(step.instruction for step in result.sourced.plan.substeps)} ({result.sourced.source})"
    _, right = find_plan(shipped_library(), saying.task.instruction, saying.suite)
    is_right = not saying.refused and same_motions(result.sourced.plan, right, scene)
    return Outcome(saying, "right" if is_right else "wrong", said, seconds)


# --- figures ---


@dataclass(frozen=True)
class SayingsRow:
    """Sentences of one source, suite and half."""

    source: str
    suite: str
    half: str
    number: int
    right: int
    refused: int
    wrong: int

    def __str__(self) -> str:
        shares = [f"{count:5} ({100 * count / self.number:5.1f} %)" for count in (self.right, self.refused, self.wrong)]
        return f"{self.source:16} {self.suite:15} {self.half:6} {self.number:5}  " + "  ".join(shares)


@dataclass(frozen=True)
class Understanding:
    """All figures; ``p50``, ``p99``: milliseconds a sentence."""

    decomposers: tuple[str, ...]
    rows: tuple[SayingsRow, ...]
    p50: float
    p99: float
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> str:
        figures = {
            "decomposers": self.decomposers,
            "rows": list(map(asdict, self.rows)),
            "p50": self.p50,
            "p99": self.p99,
        }
        sayings = [
            {"source": o.saying.source, "suite": o.saying.suite, "task": o.saying.task.index, "text": o.saying.text,
             "half": o.saying.half, "verdict": o.verdict, "said": o.said}
            for o in self.outcomes
        ]  # fmt: skip
        return json.dumps({**figures, "sentences": sayings}, indent=1)

    def __str__(self) -> str:
        head = f"{'sentences':16} {'suite':15} {'half':6} {'':5}  {'right':15}  {'refused':15}  wrong"
        return "\n".join([head, *map(str, self.rows), f"a sentence: median {self.p50:.1f} ms, p99 {self.p99:.1f} ms"])


def understanding(sayings: Iterable[Saying], decomposers: Sequence[Decomposer]) -> Understanding:
    outcomes = tuple(judge(saying, decomposers) for saying in sayings)
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        saying = outcome.saying
        groups.setdefault((saying.source, saying.suite, saying.half), []).append(outcome)
        groups.setdefault((saying.source, "all", saying.half), []).append(outcome)
    rows = []
    for (source, suite, half), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        counts = Counter(outcome.verdict for outcome in group)
        rows.append(SayingsRow(source, suite, half, len(group), counts["right"], counts["refused"], counts["wrong"]))
    times = sorted(1e3 * outcome.seconds for outcome in outcomes)
    names = tuple(decomposer.name for decomposer in decomposers)
    return Understanding(names, tuple(rows), statistics.median(times), times[int(0.99 * (len(times) - 1))], outcomes)


# --- how sure it is, and how right it is then ---


@dataclass(frozen=True)
class Reliability:
    """Attributes:

    source: of the sentences.
    bins: as ``training.planner.calibration.reliability`` makes them, of readings that only the score would keep back.
    """

    source: str
    bins: tuple[tuple[float, float, int, float, float], ...]

    def __str__(self) -> str:
        rows = [
            f"{self.source:16} {low:4.0%} to {high:4.0%} {number:5}  score {score:5.1%}  right {right:5.1%}"
            for low, high, number, score, right in self.bins
        ]
        return "\n".join(
            [*rows, f"{self.source:16} expected calibration error {calibration_error(list(self.bins)):.3f}"]
        )


def reliabilities(sayings: Iterable[Saying], reader: MarkovReader, seed: int, drawn: int) -> Iterator[Reliability]:
    """Of people's sentences by source, and of so many drawn ones of a seed that training does not use."""
    rows: dict[str, list[tuple[float, bool]]] = {}
    for saying in sayings:
        scene = categories(saying.task)
        try:
            reading = reader.read(saying.text, scene)
        except ValueError:
            continue
        if would_act(reading):
            plan = Plan(saying.text, tuple(map(effects.substep, motions_of(reading.steps, scene, saying.text.lower()))))
            _, right = find_plan(shipped_library(), saying.task.instruction, saying.suite)
            is_right = not saying.refused and same_motions(plan, right, scene)
            rows.setdefault(saying.source, []).append((reading.probability, is_right))
    judged = calibration.judge(reader, Sentences(seed), drawn)
    rows["drawn"] = [(one.probability, one.is_right) for one in judged]
    for source, found in rows.items():
        yield Reliability(source, tuple(calibration.reliability(found)))


# --- what was left out of training ---


def without_suite(suite: str) -> MarkovReader:
    """The shipped model, without any word for the things that the tasks of a suite name."""
    with as_file(files("substep_planner") / "data" / "grounding" / "en.json") as path:
        return MarkovReader(without_things(read_object(path), kinds_of(suite)))


def leave_one_out(sayings: Sequence[Saying], others: Sequence[Decomposer]) -> Iterator[SayingsRow]:
    """Each suite's sentences, planned by a model that has no word for its things.

    Args:
        others: decomposers that are asked before and after.
    """
    first, last = others
    for suite in LiberoSource.default_suites:
        decomposers = (first, GroundingDecomposer([without_suite(suite)]), last)
        outcomes = [judge(saying, decomposers) for saying in sayings if saying.suite == suite]
        counts = Counter(outcome.verdict for outcome in outcomes)
        yield SayingsRow("left out", suite, "", len(outcomes), counts["right"], counts["refused"], counts["wrong"])
