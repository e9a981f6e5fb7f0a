"""Reads a sentence: which words are for what, what they mean here, and the steps that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from substep_core.json_files import read_object
from substep_planner.decomposers.grounding.cutting import (
    segments_of,
    switched_not_opened,
    without_asides,
    without_mentioned,
)
from substep_planner.decomposers.grounding.exclusions import EXCEPT, Excluding, Exclusion, contradiction
from substep_planner.decomposers.grounding.markov import BEGINNING, MarkovModel
from substep_planner.decomposers.grounding.meanings import shipped_meanings
from substep_planner.decomposers.grounding.naming import Naming
from substep_planner.decomposers.grounding.near_meaning import NearMeaning
from substep_planner.decomposers.grounding.numbers import NumberWords, with_counts
from substep_planner.decomposers.grounding.open_words import OpenWords
from substep_planner.decomposers.grounding.oversights import Oversights
from substep_planner.decomposers.grounding.reading import Evidence, Phrase, Reading
from substep_planner.decomposers.grounding.scene import Entity, entities_of
from substep_planner.decomposers.grounding.scene_words import scene_words
from substep_planner.decomposers.grounding.score import probability
from substep_planner.decomposers.grounding.segment import MENTIONS, NAMED, Segment, whole
from substep_planner.decomposers.grounding.sides import side_in
from substep_planner.decomposers.grounding.spelling import Speller
from substep_planner.decomposers.grounding.steps import steps_of
from substep_planner.decomposers.grounding.undecided import undecided
from substep_planner.decomposers.grounding.words import FORBIDDING, SMALL_WORDS, as_written, breaks_in, words_of_text

NOT_COUNTED: Mapping[str, int] = MappingProxyType({})
_ASKING = ("verb:put", "verb:open", "verb:close", "verb:turn on", "verb:turn off")
_REQUESTS = (*_ASKING, "verb:push", "verb:pick up")
_GUESSED = 0.3  # of what is put together from what was not asked for in so many words
_OFTEN = 2  # times that a word was drawn at a beginning, beyond which it is one that begins so
_NEITHER = frozenset(("neither", "weder"))
_WHERE = frozenset("on in off at under inside onto atop".split())  # "the stove should not be on"
_MOST_SUGGESTED = 3  # things that may have been meant by what is not there


class MarkovReader:
    """Args: tables: as ``training.planner.counts.count`` makes them, with the weights of the score."""

    def __init__(self, tables: Mapping) -> None:
        meanings = shipped_meanings(tables["meanings"]) if tables.get("meanings") else None
        self._open_words = open_words = OpenWords(tables["kinds"], meanings)
        self._model = MarkovModel(tables, open_words)
        self._near = NearMeaning(tables, open_words) if meanings else None
        self._labels, self._kinds = tables["words"], tables["kinds"]
        self._unable, self._polite = frozenset(tables["unable"]), frozenset(tables["polite"])
        self._glossary, self._open_is_on = tables["glossary"], tables["open_is_on"]
        self._numbers = NumberWords.of(tables.get("numbers"))
        self._weights = tuple(map(float, tables["score"]))
        self.speller = Speller(word for words in (*self._labels.values(), *self._kinds.values()) for word in words)
        self._naming = Naming(tables)
        self._excluding = Excluding(
            self._glossary,
            _beginning(tables, "to:"),
            tables["determiners"],
            _beginning(tables, *_REQUESTS),
            self.speller.knows,
        )
        self._oversights = Oversights(tables, self._naming, self.speller, open_words)

    @classmethod
    def load(cls, path: Path) -> MarkovReader:
        """Raises: ValueError: it cannot be read, or is no such file."""
        try:
            return cls(read_object(path))
        except (OSError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no model of the decomposer 'grounding': {error!r}") from error

    def read(self, text: str, categories: frozenset[str], counts: Mapping[str, int] = NOT_COUNTED) -> Reading:
        """What a sentence asks for.

        Args:
            categories: of what is in the scene.
            counts: how many of each, where that is known.

        Raises:
            ValueError: it has no words, or a number that makes no sense.
        """
        entities = (*entities_of(categories), None)
        words = words_of_text(text)
        breaks = breaks_in(text)
        cut = self._excluding.cut(words, breaks)
        if not words:
            raise ValueError("it has no words")
        reading = self._read(cut.kept, entities, counts)
        left_open = undecided(
            words, cut.kept, breaks, self._excluding.begins_a_phrase, self._excluding.begins_a_request
        )
        if left_open is not None and left_open.is_condition:
            reading = replace(reading, condition=left_open.problem)
        elif left_open is not None:
            reading = replace(reading, excluded=left_open.problem, question=left_open.question)
        elif not cut.kept:
            said = as_written(cut.exclusions[0].said)
            reading = replace(reading, excluded=f"{said!r} says what is not to be done, and nothing else what is")
        for exclusion in cut.exclusions:
            if not reading.excluded:
                reading = self._heeding(reading, exclusion, entities)
        return reading

    def _read(self, text: Sequence[str], entities: Sequence[Entity | None], counts: Mapping[str, int]) -> Reading:
        """Of a sentence without what it leaves out. Raises: ValueError: a number that makes no sense."""
        said, words = self._words(text, entities)
        if not words or self._is_refusal(words):
            return Reading((), 0.0)
        found = self._model.decode(words, entities)
        segments = self._settled(segments_of(found, words, said, self._of_things(words, entities)), entities)
        steps, certainty, guessed = steps_of([self._in_english(segment) for segment in segments], counts)
        phrases = tuple(self._phrase(segment, entities) for segment in segments if segment.label in NAMED)
        unknown = sum(not self.speller.knows(word) for word in words) / len(words)
        evidence = Evidence(certainty, found.likelihood / len(words), unknown, len(steps))
        sure = probability(evidence, self._weights) if steps else 0.0
        if guessed or self._oversights.is_any(segments, entities):
            sure *= _GUESSED
        return Reading(steps, sure, phrases, evidence)

    def _words(self, text: Sequence[str], entities: Sequence[Entity | None]) -> tuple[list[str], list[str]]:
        """The words as they are said, and as the model knows them, as many."""
        here = scene_words(entities)
        said, known = with_counts(here.joined(text, self.speller.knows), self._numbers)
        return said, [here.mended(word, self.speller, self._open_words.is_thing) for word in known]

    def _heeding(self, reading: Reading, exclusion: Exclusion, entities: Sequence[Entity | None]) -> Reading:
        """The reading, with why it cannot be acted on if what is left out or forbidden stands in the way."""
        said = as_written(exclusion.said)
        if exclusion.kind == EXCEPT:
            question = "where is it to go?" if exclusion.of_place else "which things are meant, by name?"
            problem = f"{said!r} says what is not meant, and nothing else says what is"
            return replace(reading, excluded=problem, question=question)
        step = contradiction(reading.steps, exclusion, self._named_in(exclusion.about, entities))
        return reading if step is None else replace(reading, excluded=f"{said!r} contradicts the rest of it")

    def _named_in(self, text: Sequence[str], entities: Sequence[Entity | None]) -> list[tuple[Entity, str]]:
        """Every thing that some words name, with its side."""
        said, words = self._words(text, entities)
        if not words:
            return []
        found = self._model.decode(words, entities)
        segments = self._settled(segments_of(found, words, said, self._of_things(words, entities)), entities)
        english = [self._in_english(segment) for segment in segments]
        return [(one.entity, side_in(one)) for one in english if one.entity]

    def _settled(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> list[Segment]:
        """Each mention with what it means here."""
        whole = [self._whole(segment) for segment in segments]
        named = self._naming.settle(without_asides(whole), entities)
        named = without_mentioned(self._near.settle(named, entities) if self._near else named)
        named = [self._naming.within_reach(segment) for segment in named]
        return switched_not_opened(named) if self._open_is_on else named

    def knows(self, text: str) -> float:
        """Share of a sentence's words that were met in training."""
        words = words_of_text(text)
        return sum(word in self._numbers.words or self.speller.knows(word) for word in words) / max(1, len(words))

    def _whole(self, segment: Segment) -> Segment:
        """Without a part that its words do not name; "on top" alone names no drawer."""
        english = self._in_english(segment)
        if segment.label in MENTIONS and english.words in (("atop",), ("inside",)):
            return replace(segment, label="there", entity=None, others=())
        return replace(segment, entity=whole(english).entity)

    def _in_english(self, segment: Segment) -> Segment:
        """With the small words as the steps are put together from them."""
        words = tuple(word for one in segment.words for word in self._glossary.get(one, one).split())
        return replace(segment, words=words or segment.words)

    def _phrase(self, segment: Segment, entities) -> Phrase:
        said = as_written(segment.said)
        if segment.entity is not None:
            return Phrase(said, segment.entity, segment.others)
        return Phrase(said, None, self._nearest(segment.words, entities))

    def _nearest(self, words, entities) -> tuple[Entity, ...]:
        """What the words say something of, the most words first; a word counts more that few things are called by."""
        heard = set(words) - SMALL_WORDS
        tables = {entity: self._kinds.get(f"{entity.kind}/", {}) for entity in entities if entity and not entity.part}
        known = {word: sum(word in table for table in tables.values()) for word in heard}
        shares = {
            entity: sum(1 / known[word] for word in heard if table.get(word, 0) > 2) for entity, table in tables.items()
        }
        likely = sorted((entity for entity, share in shares.items() if share > 0), key=lambda one: -shares[one])
        return tuple(likely[:_MOST_SUGGESTED])

    def _is_refusal(self, words: list[str]) -> bool:
        """Whether it begins with what a robot cannot do, or says that something is not to be done."""
        if not _NEITHER.isdisjoint(words):
            return True
        begun = next((number for number, word in enumerate(words) if word not in self._polite), 0)
        if words[begun] in self._unable or any(self._glossary.get(word) == "not" for word in words):
            return True
        asked = [word for before, word in zip(("", *words), words, strict=False) if before not in ("i", "we")]
        forbidden = [other for word, other in pairwise(asked) if word in FORBIDDING]
        if any(verb in self._verbs and verb not in ("leave", "forget", "drop") for verb in forbidden):
            return True
        rows = zip(words, words[1:], words[2:], strict=False)
        return any(word in FORBIDDING and be == "be" and where in _WHERE for word, be, where in rows)

    @cached_property
    def _verbs(self) -> frozenset[str]:
        """First words of what can be asked for."""
        return frozenset().union(*(self._labels.get(label, ()) for label in _ASKING)) - SMALL_WORDS

    def _of_things(self, words: Sequence[str], entities: Sequence[Entity | None]) -> frozenset[str]:
        """The words that are said of things, or near to the name of one that is here."""
        near = {word for word in words if self._near and word not in SMALL_WORDS and self._near.tells(word, entities)}
        return self._things | near

    @cached_property
    def _things(self) -> frozenset[str]:
        """Every word that is said of things, but small ones."""
        return frozenset().union(*self._kinds.values()) - SMALL_WORDS


def _beginning(tables: Mapping, *labels: str) -> set[str]:
    """Words by which what is for that often begins. Args: labels: how their names begin."""
    rows = [pairs for label, pairs in tables["pairs"].items() if label.startswith(labels)]
    begun = {pair: number for pairs in rows for pair, number in pairs.items() if pair.startswith(f"{BEGINNING} ")}
    return {pair.split()[1] for pair, number in begun.items() if number > _OFTEN}
