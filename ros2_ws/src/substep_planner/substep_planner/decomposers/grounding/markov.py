"""A statistical language model: a hidden Markov model of what each word of a sentence is for.

The states of a scene are: words around the request, verbs of each action, prepositions of each place, relations, and
the mention of each entity: as what is moved, what it stands at, and where it goes. One more is what is not there.
Sources: Rabiner 1989; for sentences that ask for something, Pieraccini and Levin 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from substep_core.json_files import read_object
from substep_planner.decomposers.grounding.reading import Phrase, Reading, with_counts, words_of_text
from substep_planner.decomposers.grounding.scene import Entity, entities_of
from substep_planner.decomposers.grounding.segments import Segment, steps_of, whole
from substep_planner.decomposers.grounding.spelling import Speller

MENTIONS = ("thing", "anchor", "place", "other")
_SIDES = frozenset(("left", "right", "front", "back", "middle", "leftmost", "rightmost", "rear"))
_NOT_THERE = 0.12  # prior probability that a thing named is not there
_UNKNOWN = {"noise": 3e-5, "missing": 1e-5, "verb:cannot": 3e-5}  # probability of a word that was never drawn
_UNKNOWN_ELSEWHERE = 2e-6
_NEVER = frozenset(("not", "never", "dont"))
_ASKING = ("verb:put", "verb:open", "verb:close", "verb:turn on", "verb:turn off")
_LIKELY = 0.25  # mean probability from which another thing may have been meant
_SMALL = frozenset("the to a it is be and in on you i that of yet now just only so here there really too very".split())
_CANNOT = -2.0  # log; most of what people say to a robot is a request
_STRENGTH = 4.0  # drawings after which a pair of words counts as much as the single word


@dataclass(frozen=True)
class Table:
    """Words of one state: how often each was drawn, and each pair."""

    words: Mapping[str, int]
    pairs: Mapping[str, int]

    @cached_property
    def total(self) -> int:
        return sum(self.words.values())

    def chance(self, word: str, before: str, unknown: float) -> float:
        """Of a word after the word before ("": at the beginning)."""
        alone = self.words.get(word, 0) / (self.total + 1) + unknown
        if not before or before not in self.words:
            return alone
        count = self.words[before]
        share = count / (count + _STRENGTH) * 0.7
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
        self._moves: dict = {}
        self.speller = Speller(
            {word for table in (*self._tables.values(), *self._kinds.values()) for word in table.words}
        )

    @classmethod
    def load(cls, path: Path) -> MarkovReader:
        """Raises: ValueError: it cannot be read, or is no such file."""
        try:
            return cls(read_object(path))
        except (OSError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no model of the decomposer 'grounding': {error!r}") from error

    def read(self, text: str, categories: frozenset[str]) -> Reading:
        """See ``Reader``."""
        said = with_counts(words_of_text(text))
        if not said:
            raise ValueError("it has no words")
        entities = (*entities_of(categories), None)
        words = [self.speller.mended(word) for word in said]
        if self._is_refusal(words):
            return Reading((), 1.0)
        states = [(label, None) for label in self._labels]
        states += [(role, entity) for role in MENTIONS for entity in entities]
        emission = self._emissions(words, states, entities)
        if categories not in self._moves:
            self._moves[categories] = self._transitions(states, len(entities))
        path, sure = _decode(*self._moves[categories], emission)
        segments = [whole(segment) for segment in _segments(path, sure, states, words, said, self._things)]
        steps, certainty = steps_of(segments)
        phrases = tuple(
            Phrase(segment.said, segment.entity, segment.others)
            for segment in segments
            if segment.label in MENTIONS[:3]
        )
        return Reading(steps, certainty, phrases)

    def _is_refusal(self, words: list[str]) -> bool:
        """Whether it begins with what a robot cannot do, or says that something is not to be done."""
        begun = next((number for number, word in enumerate(words) if word not in self._polite), 0)
        if words[begun] in self._unable:
            return True
        return any(
            word in _NEVER and other in self._verbs and other not in ("leave", "forget", "drop")
            for word, other in zip(words, words[1:], strict=False)
        )

    @cached_property
    def _verbs(self) -> frozenset[str]:
        """First words of what can be asked for."""
        return (
            frozenset(word for name, table in self._tables.items() if name in _ASKING for word in table.words) - _SMALL
        )

    @cached_property
    def _things(self) -> frozenset[str]:
        """Every word that is said of things, but small ones."""
        return frozenset(word for table in self._kinds.values() for word in table.words) - _SMALL

    def _emissions(self, words, states, entities) -> np.ndarray:
        """(2, words, states): log probability of each word in each state, as it is entered and as it goes on."""
        result = np.zeros((2, len(words), len(states)))
        there = {entity.kind for entity in entities if entity is not None}
        foreign = [table for name, table in self._kinds.items() if name.split("/")[0] not in there]
        for number, word in enumerate(words):
            before = words[number - 1] if number else ""
            of_kind = {}
            for entity in entities:
                for inside in (0, 1):
                    of_kind[entity, inside] = self._mention(entity, word, before if inside else "", foreign)
            for index, (label, entity) in enumerate(states):
                for inside in (0, 1):
                    if label in MENTIONS:
                        chance = of_kind[entity, inside]
                    else:
                        unknown = _UNKNOWN.get(label, _UNKNOWN_ELSEWHERE)
                        chance = self._tables[label].chance(word, before if inside else "", unknown)
                    result[inside, number, index] = np.log(chance)
        return result

    def _mention(self, entity: Entity | None, word: str, before: str, foreign) -> float:
        side = 0.05 / len(_SIDES) if word in _SIDES else 0.0
        if entity is None:
            chances = [table.words.get(word, 0) / table.total for table in foreign]
            return (sum(chances) / max(1, len(chances)) + _UNKNOWN["missing"]) * 0.95 + side
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
                else:
                    follow[row, column] = chance(before, label) + entering
        return follow, first, last


def _decode(follow, first, last, emission) -> tuple[list[int], np.ndarray]:
    """The likeliest states, and (words, states) how sure each state is at each word."""
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
    total = np.stack(forward) + np.stack(backward[::-1])
    total -= np.logaddexp.reduce(total, axis=1, keepdims=True)
    return path[::-1], np.exp(total)


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
    mentioned = {segment.entity for segment in segments}
    return [replace(one, others=tuple(other for other in one.others if other not in mentioned)) for one in segments]
