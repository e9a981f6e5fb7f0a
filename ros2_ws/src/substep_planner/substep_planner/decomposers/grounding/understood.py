"""A reading in words: what each phrase was taken for, what is amiss, and what may be meant instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from substep_core.language.motions import Motion, in_liberos_manner
from substep_core.language.nouns import NOUNS, OUT_OF_REACH
from substep_planner.decomposers.grounding.reading import Phrase, Reading
from substep_planner.decomposers.grounding.request import (
    GOES_SOMEWHERE,
    Step,
    can_be_put,
    is_likely,
    is_possible,
    motions_of,
)
from substep_planner.decomposers.grounding.scene import NO_NOUNS, TABLE, Entity, entities_of, noun_for
from substep_planner.decomposers.grounding.words import SMALL_WORDS, words_of_text

_DONE = {"open": "opened", "close": "closed", "turn on": "turned on", "turn off": "turned off"}
_MOST_NAMED = 8  # things that a question offers


@dataclass(frozen=True)
class Doubt:
    """Why no plan is made of a reading.

    Attributes:
        problem: what was not understood, or cannot be done.
        question: that the user can answer; empty: there is none to ask.
        meant: the reading if the answer is yes; None: the question is open.
    is_refusal: it was understood, and cannot be done.
    """

    problem: str
    question: str = ""
    meant: Reading | None = None
    is_refusal: bool = False


class Understood:
    """A reading in words.

    Args:
        scene: categories of what is there, or of all that might be.
        instruction: the sentence.
        is_known: what is there is known.
        usual: kind -> the noun that plans use where the policy was trained.
    """

    def __init__(
        self,
        reading: Reading,
        scene: frozenset[str],
        instruction: str,
        *,
        is_known: bool,
        usual: Mapping[str, str] = NO_NOUNS,
    ) -> None:
        self._reading, self._scene, self._is_known = reading, scene, is_known
        self._usual = usual
        self._said = " ".join(words_of_text(instruction))

    @property
    def phrases(self) -> str:
        """What each phrase was taken for."""
        return self._listed([phrase for phrase in self._reading.phrases if phrase.words])

    @property
    def motions(self) -> list[Motion]:
        """What is asked for; everything must be there."""
        return motions_of(self._reading.steps, self._scene, self._said, self._vague, self._usual)

    @cached_property
    def _vague(self) -> frozenset[str]:
        """Kinds that were called by a noun that others have too; where it is not known what is there, so are the
        owners of parts."""
        named = [phrase for phrase in self._reading.phrases if phrase.entity]
        is_part = {phrase.entity for phrase in named if phrase.entity.part and not self._is_known}
        return frozenset(phrase.entity.kind for phrase in named if phrase.others or phrase.entity in is_part)

    def doubt(self, threshold: float) -> Doubt | None:
        """None: nothing is in the way of acting on it. Args: threshold: least probability."""
        reading = self._reading
        if reading.excluded:
            return Doubt(self._with_what_is_clear(reading.excluded), reading.question, is_refusal=True)
        if not reading.steps:
            return Doubt(self._with_what_is_clear(f"it asks for nothing that the robot can do{self._with_what}"))
        if missing := [phrase for phrase in reading.phrases if phrase.entity is None]:
            return self._missing(missing)
        if impossible := next((step for step in reading.steps if not (is_possible(step) and can_be_put(step))), None):
            return Doubt(self._with_what_is_clear(self._impossible(impossible)), is_refusal=True)
        if several := self._of_several_kinds():
            return Doubt(self._either(several), "which are meant, by name?", is_refusal=True)
        told_apart = {step.thing for step in reading.steps if step.side or step.relation}
        named = set(reading.entities)
        doubtful = [
            one
            for one in reading.phrases
            if one.entity in named.difference(told_apart)
            and any(self._may_mean(one.entity, other) for other in one.others)
        ]
        if doubtful:
            meant = reading
            if self._is_known:
                meant = replace(reading, phrases=tuple(replace(phrase, others=()) for phrase in reading.phrases))
            return Doubt(self._either(doubtful[0]), self._did_you_mean(meant), meant)
        if reading.condition:
            meant = replace(reading, condition="")
            return Doubt(self._with_what_is_clear(reading.condition), self._did_you_mean(meant), meant, is_refusal=True)
        if reading.probability < threshold:
            problem = f"it is not sure what it asks for ({reading.probability:.0%})"
            return Doubt(self._with_what_is_clear(problem), self._did_you_mean(reading), reading)
        return None

    def _of_several_kinds(self) -> Phrase | None:
        """What names two of a kind, and may mean others as well: "the mugs" where a red and a white one stand."""
        sides = {(step.thing, step.side) for step in self._reading.steps}
        pairs = {thing for thing, side in sides if side == "left" and (thing, "right") in sides}
        named = (one for one in self._reading.phrases if self._is_known and one.entity in pairs)
        return next((one for one in named if any(self._may_mean(one.entity, other) for other in one.others)), None)

    def _may_mean(self, entity: Entity, other: Entity) -> bool:
        """Whether the steps would make sense with the other thing; where it is not known what is there, only if the
        noun for the first does not mean the other as well."""
        noun = NOUNS.get(self._noun(entity))
        if not self._is_known and noun is not None and other.kind in noun.categories:
            return False
        return all(is_likely(_swapped(step, entity, other)) for step in self._reading.steps)

    @property
    def _with_what(self) -> str:
        return " with what is there" if self._is_known else ""

    def _impossible(self, step: Step) -> str:
        if not can_be_put(step):
            return f"nothing can be put {step.preposition} the {self._noun(step.place)}"
        thing = self._noun(step.thing)
        if step.action in GOES_SOMEWHERE and step.thing == step.place and not step.thing.affordances.fixed:
            return f"the {thing} cannot be put {step.preposition} itself"
        return f"the {thing} cannot be {_DONE.get(step.action, 'moved')}"

    def _missing(self, missing: list[Phrase]) -> Doubt:
        """What is not there. Where one thing alone is, what comes nearest may be meant."""
        named = [f"no {phrase.words!r}" if phrase.words else "nothing of the kind" for phrase in missing]
        if not self._is_known:
            what = ", ".join(dict.fromkeys(f"{phrase.words!r}" for phrase in missing if phrase.words))
            return Doubt(self._with_what_is_clear(f"it knows no {what or 'thing that is meant'}"))
        problem = self._with_what_is_clear(f"the scene has {', '.join(dict.fromkeys(named))}")
        if len(missing) > 1 or not missing[0].words:
            return Doubt(problem, is_refusal=True)
        for entity in (None, *missing[0].others):
            meant = self._instead(missing[0], entity)
            if None in meant.entities or not all(map(is_possible, meant.steps)):
                continue
            return Doubt(problem, self._did_you_mean(meant, entity), meant, is_refusal=True)
        return Doubt(problem, self._which(missing[0].words), is_refusal=True)

    def _instead(self, phrase: Phrase, entity: Entity | None) -> Reading:
        """The reading with that in place of what is not there; None: without saying what something stands at."""
        steps = tuple(_with(entity, step) for step in self._reading.steps)
        rows = [replace(one, entity=entity, others=()) if one is phrase else one for one in self._reading.phrases]
        return replace(self._reading, steps=steps, phrases=tuple(row for row in rows if row.entity is not None))

    def _which(self, words: str) -> str:
        """Offers everything that can be moved, if it may be one of those."""
        if words.split()[-1] in OUT_OF_REACH:
            return ""
        there = [one for one in entities_of(self._scene) if not one.part and one.kind != TABLE]
        names = [f"the {self._noun(one)}" for one in there if not one.affordances.fixed]
        return f"which is {words!r}: {', '.join(names)}?" if 0 < len(names) <= _MOST_NAMED else ""

    def _either(self, phrase: Phrase) -> str:
        meant = " or ".join(f"the {self._noun(one, is_clear=True)}" for one in (phrase.entity, *phrase.others))
        return f"{phrase.words!r} may mean {meant}"

    def _did_you_mean(self, meant: Reading, instead: Entity | None = None) -> str:
        """Args: instead: what was put in place of what is not there."""
        asked = in_liberos_manner(Understood(meant, self._scene, self._said, is_known=True, usual=self._usual).motions)
        return f"did you mean: the {self._noun(instead)}, so {asked}?" if instead else f"did you mean: {asked}?"

    def _with_what_is_clear(self, problem: str) -> str:
        named = [one for one in self._reading.phrases if not SMALL_WORDS.issuperset(one.words.split())]
        clear = [one for one in named if one.entity is not None and not one.others]
        return f"{problem}; understood: {self._listed(clear)}" if clear else problem

    def _listed(self, phrases: list[Phrase]) -> str:
        return "; ".join(
            f"{words!r}: {noun}" for words, noun in {one.words: self._noun(one.entity) for one in phrases}.items()
        )

    def _noun(self, entity: Entity | None, *, is_clear: bool = False) -> str:
        """Args: is_clear: by a noun that no other thing here has."""
        if entity is None:
            return "not there"
        vague = entity.kind in self._vague and not is_clear
        noun = noun_for(entity.kind, self._scene, self._said, vague=vague, usual=self._usual)
        return f"{entity.part} of the {noun}" if entity.part else noun


def _with(entity: Entity | None, step: Step) -> Step:
    """The step, with that in place of what is not there; None: without the relation to it."""
    if entity is None:
        return replace(step, relation="", anchors=()) if None in step.anchors else step
    return replace(
        step,
        thing=step.thing or entity,
        anchors=tuple(anchor or entity for anchor in step.anchors),
        place=step.place or (entity if step.action in GOES_SOMEWHERE else None),
    )


def _swapped(step: Step, entity: Entity, other: Entity) -> Step:
    """The step with the other thing wherever it names the first."""

    def swap(one: Entity | None) -> Entity | None:
        return other if one == entity else one

    return replace(step, thing=swap(step.thing), anchors=tuple(map(swap, step.anchors)), place=swap(step.place))
