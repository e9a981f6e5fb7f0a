"""Makes the table of what words for things mean, by which the planner's model understands words it was never taught.

From WordNet 3.0's nouns (Fellbaum 1998): of every thing, food and substance its synonyms, what it is a kind of, what
its definition says, and kinds of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from substep_planner.decomposers.grounding.meanings import Meanings
from substep_planner.decomposers.grounding.words import SMALL_WORDS, words_of_text

_FILES = ("06", "13", "17", "27")  # lexicographers' files of artifacts, food, natural objects and substances
_TOO_GENERAL = frozenset(
    "entity whole unit object artifact artefact instrumentality instrumentation matter substance thing abstraction "
    "physical relation part portion solid causal agent cause material stuff".split()
)
_SENSES, _UP, _KINDS = 4, 4, 12  # of a word that are taken, steps up to what it is a kind of, kinds of it
_SAYING_NOTHING = SMALL_WORDS | frozenset(
    "or with for used usually use made from as having which by at its an one also any various such often used can etc "
    "especially small large into are has not other than when where used two being it's usual typically".split()
)
_EXAMPLE = re.compile(r'"[^"]*"')
_NAME = re.compile(r"[a-z]{2,}(?: [a-z]{2,})?")


@dataclass(frozen=True)
class _Sense:
    """A row of WordNet's ``data.noun``."""

    file: str
    words: tuple[str, ...]
    above: tuple[str, ...]
    below: tuple[str, ...]
    definition: str


def make_meanings(wordnet: Path) -> Meanings:
    """Args: wordnet: the folder of ``data.noun`` and ``index.noun``. Raises: ValueError: they are not there."""
    try:
        senses = dict(_senses((wordnet / "data.noun").read_text(encoding="utf-8")))
        names = dict(_names((wordnet / "index.noun").read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{wordnet} has not WordNet's nouns: {error}") from error
    table = {}
    for name, numbers in names.items():
        things = [number for number in numbers if number in senses and senses[number].file in _FILES][:_SENSES]
        if things and _NAME.fullmatch(name):
            table[name] = _levels(name, things, senses)
    return Meanings(table)


def _levels(name: str, numbers: Iterable[str], senses: Mapping[str, _Sense]) -> tuple[tuple[str, ...], ...]:
    """Words for a thing, of what it is a kind of, and of its definition and kinds of it; none twice, nor its own."""
    same, above, about = [], [], []
    for number in numbers:
        sense = senses[number]
        same += sense.words
        about += [sense.definition, *(word for below in sense.below[:_KINDS] for word in senses[below].words[:1])]
        rising = [number]
        for _ in range(_UP):
            rising = [one for row in rising for one in senses[row].above if one in senses]
            above += [word for row in rising for word in senses[row].words]
    found, met = [], set(words_of_text(name))
    for level in (same, above, about):
        words = dict.fromkeys(word for text in level for word in words_of_text(text) if _tells(word))
        found.append(tuple(word for word in words if word not in met))
        met |= words.keys()
    return tuple(found)


def _tells(word: str) -> bool:
    return word.isascii() and len(word) > 2 and word not in _SAYING_NOTHING and word not in _TOO_GENERAL


def _senses(text: str) -> Iterator[tuple[str, _Sense]]:
    for line in text.splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields, _, gloss = line.partition(" | ")
        row = fields.split()
        count = int(row[3], 16)
        words = tuple(word.lower().replace("_", " ") for word in row[4 : 4 + 2 * count : 2])
        pointers = row[5 + 2 * count :]
        linked = defaultdict(list)
        for kind, target, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False):
            if part == "n":
                linked[kind].append(target)
        yield row[0], _Sense(row[1], words, tuple(linked["@"]), tuple(linked["~"]), _EXAMPLE.sub("", gloss))


def _names(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        if not line.startswith(" "):
            row = line.split()
            yield row[0].replace("_", " "), row[-int(row[2]) :]
