"""The embedded language model as a decomposer: plans what a sentence asks for in the scene that is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.effects import substep
from substep_core.plan import MAX_SUBSTEPS, Plan, normalise_instruction
from substep_planner.decomposers.base import PlanRequest, SourcedPlan, UnsureError
from substep_planner.decomposers.grounding.reader import MarkovReader
from substep_planner.decomposers.grounding.reading import Reading
from substep_planner.decomposers.grounding.scene import ALL_CATEGORIES
from substep_planner.decomposers.grounding.suite_nouns import nouns_of_suite
from substep_planner.decomposers.grounding.understood import Understood
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.remaining import remaining_plan

LANGUAGES = ("en", "de", "es", "zh")
THRESHOLD = 0.38  # of people's sentences that score so, 19 in 20 are right (docs/results/planner.md)


class GroundingDecomposer:
    """Reads the sentence in view of the scene; refuses what it is not sure of, and says what it understood.

    Args:
        readers: the models, one a language; the one that knows most of a sentence's words reads it, the first of
            several that know as many.
        threshold: least probability of a reading that is acted on.
    """

    name = "grounding"
    wants_picture = False

    def __init__(self, readers: Sequence[MarkovReader], threshold: float = THRESHOLD) -> None:
        self._readers, self._threshold = tuple(readers), threshold

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        scene = request.objects or ALL_CATEGORIES
        try:
            reader = max(self._readers, key=lambda one: one.knows(request.instruction))
            reading = reader.read(request.instruction, scene, request.counts)
        except ValueError as error:
            raise PlanningError(ErrorCode.NO_PLAN, f"{request.instruction!r} cannot be read: {error}") from error
        known, usual = bool(request.objects), nouns_of_suite(request.suite)
        understood = Understood(reading, scene, request.instruction, is_known=known, usual=usual)
        doubt = understood.doubt(self._threshold)
        if doubt is None:
            return self._plan(understood, reading, request)
        if doubt.meant is None:
            raise PlanningError(ErrorCode.NO_PLAN, doubt.problem, doubt.question, is_refusal=doubt.is_refusal)
        suggested = Understood(doubt.meant, scene, request.instruction, is_known=known, usual=usual)
        plan = self._plan(suggested, doubt.meant, request)
        raise UnsureError(doubt.problem, doubt.question, plan, is_refusal=doubt.is_refusal)

    def _plan(self, understood: Understood, reading: Reading, request: PlanRequest) -> SourcedPlan:
        motions = understood.motions
        if len(motions) > MAX_SUBSTEPS:
            problem = f"{len(motions)} motions are asked for at once, expected at most {MAX_SUBSTEPS}"
            raise PlanningError(ErrorCode.NO_PLAN, problem)
        plan = Plan(normalise_instruction(request.instruction), tuple(map(substep, motions)))
        return SourcedPlan(remaining_plan(plan, request.done), self.name, understood=understood.phrases)


@cache
def shipped_reader(language: str) -> MarkovReader:
    """The model that ships with the project for a language of ``LANGUAGES``; read once a process."""
    with as_file(files("substep_planner") / "data" / "grounding" / f"{language}.json") as path:
        return MarkovReader.load(path)


def create(settings: DecomposerSettings) -> GroundingDecomposer:
    """Raises: ValueError: the model's file cannot be read."""
    path = settings.grounding_model
    return GroundingDecomposer([MarkovReader.load(Path(path))] if path else [shipped_reader(one) for one in LANGUAGES])
