"""The embedded language model as a decomposer: plans what a sentence asks for in the scene that is there."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.effects import substep
from substep_core.plan import MAX_SUBSTEPS, Plan, normalise_instruction
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.grounding.markov import MarkovReader
from substep_planner.decomposers.grounding.reading import Phrase, Reading, words_of_text
from substep_planner.decomposers.grounding.request import is_possible, motions_of, words_of
from substep_planner.decomposers.grounding.scene import ALL_CATEGORIES, Entity, noun_for
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.remaining import remaining_plan

THRESHOLD = 0.02  # chosen on the sentences that were tuned on


class GroundingDecomposer:
    """Reads the sentence in view of the scene; refuses what it is not sure of, and says what it understood.

    Args:
        reader: the model.
        threshold: least probability of a reading that is acted on.
    """

    name = "grounding"
    wants_picture = False

    def __init__(self, reader: MarkovReader, threshold: float = THRESHOLD) -> None:
        self._reader, self._threshold = reader, threshold

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        scene = request.objects or ALL_CATEGORIES
        said = " ".join(words_of_text(request.instruction))
        try:
            reading = self._reader.read(request.instruction, scene)
        except ValueError as error:
            raise PlanningError(ErrorCode.NO_PLAN, f"{request.instruction!r} cannot be read: {error}") from error
        understood = Understood(reading, scene, said, is_known=bool(request.objects))
        if problem := understood.problem(self._threshold):
            raise PlanningError(ErrorCode.NO_PLAN, problem)
        motions = motions_of(reading.steps, scene, said, understood.vague)
        if len(motions) > MAX_SUBSTEPS:
            problem = f"{len(motions)} motions are asked for at once, expected at most {MAX_SUBSTEPS}"
            raise PlanningError(ErrorCode.NO_PLAN, problem)
        plan = Plan(normalise_instruction(request.instruction), tuple(map(substep, motions)))
        return SourcedPlan(remaining_plan(plan, request.done), self.name, understood=understood.phrases)


class Understood:
    """A reading in words.

    Args:
        scene: categories of what is there, or of all that might be.
        said: the sentence.
        is_known: what is there is known.
    """

    def __init__(self, reading: Reading, scene: frozenset[str], said: str, *, is_known: bool) -> None:
        self._reading, self._scene, self._said, self._is_known = reading, scene, said, is_known

    @property
    def phrases(self) -> str:
        """What each phrase was taken for."""
        rows = {phrase.words: self._noun(phrase.entity) for phrase in self._reading.phrases if phrase.words}
        return "; ".join(f"{words!r}: {noun}" for words, noun in rows.items())

    def problem(self, threshold: float) -> str:
        """Why no plan is made of it; empty: nothing is in the way."""
        reading = self._reading
        if not reading.steps:
            return "it asks for nothing that the robot can do with what is there"
        if missing := [phrase for phrase in reading.phrases if phrase.entity is None]:
            return "; ".join(map(self._missing, missing))
        if impossible := next((step for step in reading.steps if not is_possible(step)), None):
            return f"{impossible.action!r} cannot be done with the {self._noun(impossible.thing)}"
        told_apart = {step.thing for step in reading.steps if step.side or step.relation}
        doubtful = [phrase for phrase in reading.phrases if phrase.others and phrase.entity not in told_apart]
        if doubtful and self._is_known:
            return self._question(doubtful[0])
        if reading.probability < threshold:
            return self._unsure()
        return ""

    @property
    def vague(self) -> frozenset[str]:
        """Kinds that were called by a noun that others here have too."""
        return frozenset(phrase.entity.kind for phrase in self._reading.phrases if phrase.others and phrase.entity)

    def _question(self, phrase: Phrase) -> str:
        meant = " or ".join(f"the {self._noun(entity)}" for entity in (phrase.entity, *phrase.others))
        return f"does {phrase.words!r} mean {meant}?"

    def _unsure(self) -> str:
        text = words_of(motions_of(self._reading.steps, self._scene, self._said))
        return f"it may ask to {text}, but that is not sure ({self._reading.probability:.0%})"

    def _missing(self, phrase: Phrase) -> str:
        words = f"no {phrase.words!r}" if phrase.words else "nothing of the kind"
        hint = f"; did you mean: the {self._noun(phrase.others[0])}?" if phrase.others else ""
        return f"the scene has {words}{hint}"

    def _noun(self, entity: Entity | None) -> str:
        if entity is None:
            return "not there"
        noun = noun_for(entity.kind, self._scene, self._said)
        return f"{entity.part} of the {noun}" if entity.part else noun


@cache
def shipped_reader() -> MarkovReader:
    """The model that ships with the project; read once a process."""
    with as_file(files("substep_planner") / "data" / "grounding.json") as path:
        return MarkovReader.load(path)


def create(settings: DecomposerSettings) -> GroundingDecomposer:
    """Raises: ValueError: the model's file cannot be read."""
    path = settings.grounding_model
    return GroundingDecomposer(MarkovReader.load(Path(path)) if path else shipped_reader())
