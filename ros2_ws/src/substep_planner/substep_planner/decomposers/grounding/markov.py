"""A statistical language model: a hidden Markov model of what each word of a sentence is for.

The states of a scene are: words around the request, verbs of each action, prepositions of each place, relations, and
the mention of each entity: as what is moved, what it stands at, and where it goes. One more is what is not there.
Sources: Rabiner 1989; for sentences that ask for something, Pieraccini and Levin 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from substep_core.json_files import read_object
from substep_planner.decomposers.grounding.naming import MENTIONS, SIDES, SMALL_WORDS, Naming
from substep_planner.decomposers.grounding.reading import (
    Evidence,
    NumberWords,
    Phrase,
    Reading,
    with_counts,
    words_of_text,
)
from substep_planner.decomposers.grounding.scene import Entity, entities_of
from substep_planner.decomposers.grounding.score import probability
from substep_planner.decomposers.grounding.segments import Segment, steps_of, whole
from substep_planner.decomposers.grounding.spelling import Speller

NOT_COUNTED: Mapping[str, int] = MappingProxyType({})
BEGINNING = "^"
_NOT_THERE = 0.12  # prior probability that a thing named is not there
_UNKNOWN = {"noise": 3e-5, "missing": 1e-5, "verb:cannot": 3e-5}  # probability of a word that was never drawn
_UNKNOWN_ELSEWHERE = 2e-6
_NEVER = frozenset(("not", "never", "dont"))
_ASKING = ("verb:put", "verb:open", "verb:close", "verb:turn on", "verb:turn off")
_LIKELY = 0.25  # mean probability from which another thing may have been meant
_CANNOT = -2.0  # log; most of what people say to a robot is a request
_GUESSED = 0.3  # of what is put together from what was not asked for in so many words
_MOST_SUGGESTED = 3  # things that may have been meant by what is not there
_SWITCHING = {"verb:open": "verb:turn on", "verb:close": "verb:turn off"}
_NEXT, _FIRST = 0.7, 0.95  # how far the word before decides; the first word of a phrase is seldom another
_NEXT_IN_A_ROW = np.log(0.003)
_STRENGTH = 4.0  # drawings after which a pair of words counts as much as the single word


@dataclass(frozen=True)
class Table:
    """Words of one state: how often each was drawn, and each pair; ``BEGINNING`` stands before the first."""

    words: Mapping[str, int]
    pairs: Mapping[str, int]

    @cached_property
    def total(self) -> int:
        return sum(self.words.values())

    @cached_property
    def beginnings(self) -> int:
        return sum(count for pair, count in self.pairs.items() if pair.startswith(f"{BEGINNING} "))

    def chance(self, word: str, before: str, unknown: float) -> float:
        """Of a word after the word before."""
        alone = self.words.get(word, 0) / (self.total + 1) + unknown
        count = self.beginnings if before == BEGINNING else self.words.get(before, 0)
        if not count:
            return alone
        share = count / (count + _STRENGTH) * (_FIRST if before == BEGINNING else _NEXT)
        return share * self.pairs.get(f"{before} {word}", 0) / count + (1 - share) * alone


class MarkovReader:
    """Args: tables: as ``training.planner.counts.count`` makes them."""

    def __init__(self, tables: Mapping) -> None:
        self._steps = tables["steps"]
        self._labels = [label for label in self._steps if label not in ("start", *MENTIONS)]
        pairs, kind_pairs = tables["pairs"], tables["kind_pairs"]
        self._tables = {name: Table(words, pairs.get(name, {})) for name, words in tables["words"].items()}
        self._kinds = {name: Table(words, kind_pairs.get(name, {})) for name, words in tables["kinds"].items()}
        self._unable = frozenset(tables["unable"])
        self._polite = frozenset(tables["polite"])
        self._glossary, self._open_is_on = tables["glossary"], tables["open_is_on"]
        self._numbers = NumberWords.of(tables.get("numbers"))
        self._weights = tuple(map(float, tables["score"]))
        self._moves: dict = {}
        self._of_labels = lru_cache(4096)(self._label_chances)
        self._mention = lru_cache(65536)(self._mention_chance)
        self.speller = Speller(
            {word for table in (*self._tables.values(), *self._kinds.values()) for word in table.words}
        )
        self._naming = Naming(tables, tables["kinds"], self.speller)

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
        said, known = with_counts(words_of_text(text), self._numbers)
        if not said:
            raise ValueError("it has no words")
        entities = (*entities_of(categories), None)
        here = {word for entity in entities if entity for word in entity.label.split()}
        words = [word if word in here else self.speller.mended(word) for word in known]
        if self._is_refusal(words):
            return Reading((), 0.0)
        states = [(label, None) for label in self._labels]
        states += [(role, entity) for role in MENTIONS for entity in entities]
        emission = self._emissions(words, entities)
        if categories not in self._moves:
            self._moves[categories] = self._transitions(states, len(entities))
        path, chances, total = _decode(*self._moves[categories], emission)
        segments = _segments(path, chances, states, words, said, self._things)
        segments = [self._whole(segment) for segment in segments]
        segments = self._naming.settle(_without_asides(segments), entities)
        segments = _without_mentioned(segments)
        if self._open_is_on:
            segments = _switched_not_opened(segments)
        steps, certainty, guessed = steps_of([self._in_english(segment) for segment in segments], counts)
        phrases = tuple(self._phrase(segment, entities) for segment in segments if segment.label in MENTIONS[:3])
        unknown = sum(not self.speller.knows(word) for word in words) / len(words)
        evidence = Evidence(certainty, total / len(words), unknown, len(steps))
        sure = probability(evidence, self._weights) if steps else 0.0
        if guessed or self._naming.is_something_lost(segments, entities):
            sure *= _GUESSED
        return Reading(steps, sure, phrases, evidence)

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
        if segment.entity is not None:
            return Phrase(segment.said, segment.entity, segment.others)
        return Phrase(segment.said, None, self._nearest(segment.words, entities))

    def _nearest(self, words, entities) -> tuple[Entity, ...]:
        """What the words say something of, the most words first; a word counts more that few things are called by."""
        heard = set(words) - SMALL_WORDS
        tables = {entity: self._kinds.get(f"{entity.kind}/") for entity in entities if entity and not entity.part}
        known = {word: sum(table is not None and word in table.words for table in tables.values()) for word in heard}
        shares = {
            entity: sum(1 / known[word] for word in heard if table is not None and table.words.get(word, 0) > 2)
            for entity, table in tables.items()
        }
        likely = sorted((entity for entity, share in shares.items() if share > 0), key=lambda one: -shares[one])
        return tuple(likely[:_MOST_SUGGESTED])

    def _is_refusal(self, words: list[str]) -> bool:
        """Whether it begins with what a robot cannot do, or says that something is not to be done."""
        begun = next((number for number, word in enumerate(words) if word not in self._polite), 0)
        if words[begun] in self._unable or any(self._glossary.get(word) == "not" for word in words):
            return True
        return any(
            word in _NEVER and other in self._verbs and other not in ("leave", "forget", "drop")
            for word, other in zip(words, words[1:], strict=False)
        )

    @cached_property
    def _verbs(self) -> frozenset[str]:
        """First words of what can be asked for."""
        return (
            frozenset(word for name, table in self._tables.items() if name in _ASKING for word in table.words)
            - SMALL_WORDS
        )

    @cached_property
    def _things(self) -> frozenset[str]:
        """Every word that is said of things, but small ones."""
        return frozenset(word for table in self._kinds.values() for word in table.words) - SMALL_WORDS

    def _emissions(self, words, entities) -> np.ndarray:
        """(2, words, states): log probability of each word in each state, as it is entered and as it goes on."""
        there = {entity.kind for entity in entities if entity is not None}
        foreign = [table for name, table in self._kinds.items() if name.split("/")[0] not in there]
        result = np.empty((2, len(words), len(self._labels) + len(MENTIONS) * len(entities)))
        for number, word in enumerate(words):
            elsewhere = self._elsewhere(word, foreign)
            for inside, before in ((0, BEGINNING), (1, words[number - 1] if number else BEGINNING)):
                mentions = [self._mention(entity, word, before) if entity else elsewhere for entity in entities]
                result[inside, number] = [*self._of_labels(word, before), *mentions * len(MENTIONS)]
        return np.log(result)

    def _label_chances(self, word: str, before: str) -> list[float]:
        """Of a word in each state that is no mention."""
        return [
            self._tables[label].chance(word, before, _UNKNOWN.get(label, _UNKNOWN_ELSEWHERE)) for label in self._labels
        ]

    def _elsewhere(self, word: str, foreign) -> float:
        """Of a word of what is not there."""
        side = 0.05 / len(SIDES) if word in self._naming.sides else 0.0
        chances = sum(table.words.get(word, 0) / table.total for table in foreign)
        return (chances / max(1, len(foreign)) + _UNKNOWN["missing"]) * 0.95 + side

    def _mention_chance(self, entity: Entity, word: str, before: str) -> float:
        side = 0.05 / len(SIDES) if word in self._naming.sides and not entity.part else 0.0
        table = self._kinds.get(f"{entity.kind}/{entity.part}")
        if table is None:  # a thing of one's own: by its name
            names = entity.label.split()
            return 0.7 / len(names) if word in names else 0.1 if word in ("the", "a") else _UNKNOWN_ELSEWHERE + side
        return table.chance(word, before, _UNKNOWN_ELSEWHERE) * 0.95 + side

    def _transitions(self, states, count: int):
        """Log probabilities (states, states) of what follows, of the first and of the last."""
        size = len(states)
        follow, first, last = np.full((size, size), -60.0), np.full(size, -60.0), np.full(size, -60.0)
        prior = {True: np.log(_NOT_THERE), False: np.log((1 - _NOT_THERE) / max(1, count - 1))}
        totals = {label: sum(counts.values()) for label, counts in self._steps.items()}

        def chance(label: str, other: str) -> float:
            return np.log((self._steps.get(label, {}).get(other, 0) + 0.02) / (totals.get(label, 0) + 1))

        for column, (label, entity) in enumerate(states):
            entering = prior[entity is None] if label in MENTIONS else 0.0
            if label == "verb:cannot":
                entering = _CANNOT
            first[column] = chance("start", label) + entering
            last[column] = chance(label, "end")
            for row, (before, entity_before) in enumerate(states):
                if before in MENTIONS and before == label:
                    if entity == entity_before:
                        follow[row, column] = chance(before, label)
                    elif label == "thing" and None not in (
                        entity,
                        entity_before,
                    ):  # "the soup, the milk": nothing that is heard stands in between
                        follow[row, column] = _NEXT_IN_A_ROW + entering
                else:
                    follow[row, column] = chance(before, label) + entering
        return follow, first, last


def _decode(follow, first, last, emission) -> tuple[list[int], np.ndarray, float]:
    """The likeliest states, (words, states) how sure each state is at each word, and the sentence's log probability."""
    outside, inside = emission
    length, size = outside.shape
    stay = np.eye(size, dtype=bool)
    best, back = first + outside[0], np.zeros((length, size), int)
    forward = [best.copy()]
    for number in range(1, length):
        scores = follow + np.where(stay, inside[number], outside[number])
        whole = best[:, None] + scores
        back[number] = whole.argmax(0)
        best = whole.max(0)
        forward.append(np.logaddexp.reduce(forward[-1][:, None] + scores, axis=0))
    path = [int((best + last).argmax())]
    for number in range(length - 1, 0, -1):
        path.append(int(back[number, path[-1]]))
    backward = [last]
    for number in range(length - 1, 0, -1):
        scores = follow + np.where(stay, inside[number], outside[number])
        backward.append(np.logaddexp.reduce(scores + backward[-1][None, :], axis=1))
    chances = np.stack(forward) + np.stack(backward[::-1])
    total = np.logaddexp.reduce(chances, axis=1, keepdims=True)
    return path[::-1], np.exp(chances - total), float(total[0, 0])


def _segments(path, sure, states, words, said, kinds: frozenset[str]) -> list[Segment]:
    """Args: kinds: every word that is said of things."""
    found: list[list[int]] = []
    for number, state in enumerate(path):
        if found and path[found[-1][0]] == state:
            found[-1].append(number)
        else:
            found.append([number])
    segments = []
    for numbers in found:
        label, entity = states[path[numbers[0]]]
        chances = [float(sure[number, path[number]]) for number in numbers]
        text = tuple(words[number] for number in numbers)
        if label in MENTIONS and entity is None and not any(word in kinds for word in text):
            label = "noise"  # no word for any thing is in it
        others = tuple(
            other
            for number, (role, other) in enumerate(states)
            if role == label and role in MENTIONS and other not in (entity, None) and entity is not None
            and not other.part and not entity.part
            and float(np.mean(sure[numbers, number])) > _LIKELY
        )  # fmt: skip
        segments.append(Segment(label, entity, text, " ".join(said[n] for n in numbers), max(chances), others))
    return segments


def _without_asides(segments: list[Segment]) -> list[Segment]:
    """What is not there and is spoken of before anything is asked for is no part of it: "I am tidying my room, could
    you …"."""
    kept, asked = [], False
    for number, segment in enumerate(segments):
        asked = asked or segment.label not in ("noise", "thing") or segment.entity is not None
        around = {one.label for one in (*segments[max(0, number - 1) : number], *segments[number + 1 : number + 2])}
        if segment.label == "thing" and not asked and number and around == {"noise"}:
            segment = replace(segment, label="noise")
        kept.append(segment)
    return kept


def _without_mentioned(segments: list[Segment]) -> list[Segment]:
    """What a phrase may also mean, without what another phrase means."""
    mentioned = {segment.entity for segment in segments if segment.label in MENTIONS}
    return [replace(one, others=tuple(other for other in one.others if other not in mentioned)) for one in segments]


def _switched_not_opened(segments: list[Segment]) -> list[Segment]:
    """In a language that has one word for both, what has nothing to open is turned on."""
    kept = []
    for number, segment in enumerate(segments):
        after = [one.entity for one in segments[number + 1 :] if one.label == "thing"]
        before = [one.entity for one in segments[:number] if one.label == "thing"]
        entity = (after or before[-1:] or [None])[0]
        if segment.label in _SWITCHING and entity and entity.affordances.switches and not entity.affordances.opens:
            segment = replace(segment, label=_SWITCHING[segment.label])
        kept.append(segment)
    return kept
