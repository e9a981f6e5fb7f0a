"""A statistical language model: a hidden Markov model of what each word of a sentence is for.

The states of a scene are: words around the request, verbs of each action, prepositions of each place, relations, and
the mention of each entity: as what is moved, what it stands at, and where it goes. One more is what is not there.
Sources: Rabiner 1989; for sentences that ask for something, Pieraccini and Levin 1992.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from substep_planner.decomposers.grounding.open_words import OpenWords
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import MENTIONS
from substep_planner.decomposers.grounding.sides import side_words
from substep_planner.decomposers.grounding.transitions import State, transitions

BEGINNING = "^"
_UNKNOWN = {"noise": 3e-5, "missing": 1e-5, "verb:cannot": 3e-5}  # probability of a word that was never drawn
_UNKNOWN_ELSEWHERE = 2e-6
_SIDE = 0.00625  # probability of each word for a side, of any thing
_NEXT, _FIRST = 0.7, 0.95  # how far the word before decides; the first word of a phrase is seldom another
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


@dataclass(frozen=True)
class StatePath:
    """What each word of a sentence is for.

    Attributes:
        states: every state there is.
        path: the likeliest state of each word, as indices.
        chances: (words, states) how sure each state is at each word.
        likelihood: log probability of the sentence.
    """

    states: Sequence[State]
    path: Sequence[int]
    chances: np.ndarray
    likelihood: float


class MarkovModel:
    """Args:

    tables: as ``training.planner.counts.count`` makes them.
    open_words: which words are said of things that no words were drawn for.
    """

    def __init__(self, tables: Mapping, open_words: OpenWords) -> None:
        self._steps = tables["steps"]
        self._labels = [label for label in self._steps if label not in ("start", *MENTIONS)]
        pairs, kind_pairs = tables["pairs"], tables["kind_pairs"]
        self._tables = {name: Table(words, pairs.get(name, {})) for name, words in tables["words"].items()}
        self._kinds = {name: Table(words, kind_pairs.get(name, {})) for name, words in tables["kinds"].items()}
        self._open = open_words
        self._sides = side_words(tables["glossary"])
        self._moves: dict = {}
        self._of_labels = lru_cache(4096)(self._label_chances)
        self._mention = lru_cache(65536)(self._mention_chance)

    def decode(self, words: Sequence[str], entities: tuple[Entity | None, ...]) -> StatePath:
        """Args: entities: what is there, and None."""
        states = [(label, None) for label in self._labels]
        states += [(role, entity) for role in MENTIONS for entity in entities]
        if entities not in self._moves:
            self._moves[entities] = transitions(self._steps, states)
        return StatePath(states, *_decode(*self._moves[entities], self._emissions(words, entities)))

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
        side = _SIDE if word in self._sides else 0.0
        chances = sum(table.words.get(word, 0) / table.total for table in foreign)
        return (chances / max(1, len(foreign)) + _UNKNOWN["missing"]) * 0.95 + side

    def _mention_chance(self, entity: Entity, word: str, before: str) -> float:
        side = _SIDE if word in self._sides and not entity.part else 0.0
        table = self._kinds.get(f"{entity.kind}/{entity.part}")
        if table is None:  # a thing of one's own
            return self._open.chance(word, entity) * 0.95 + _UNKNOWN_ELSEWHERE + side
        unknown = _UNKNOWN_ELSEWHERE * max(1.0, self._open.lift(word, entity))
        return table.chance(word, before, unknown) * 0.95 + side


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
