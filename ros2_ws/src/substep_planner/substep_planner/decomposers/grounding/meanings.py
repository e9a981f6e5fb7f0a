"""What words for things mean: synonyms, what each is a kind of, what its definition says. From WordNet.

It opens the model to words that it was never taught: a hamper is a basket, a basket is woven. Made by
``./substep train word-meanings`` (training/planner/word_meanings.py).
"""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from substep_planner.decomposers.grounding.spelling import stems

# Logs of how much more often a word is said of a thing: one for the same, for what it is a kind of, of its definition.
WORTHS = (3.0, 2.5, 1.5)
_OF_A_MODIFIER = 0.6  # what the word before counts: of a "cookie box" it is also said what is said of cookies
_ANOTHER_THING, _SAYS_NOTHING = -1.5, -0.3  # a word for another thing; any other word
_MANY = 150  # names of things that are of a general kind
_LEVELS = len(WORTHS)


class Meanings:
    """Args: table: name -> words for the same, words for what it is a kind of, words of its definition."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._table = table
        self.worth = lru_cache(65536)(self._worth)
        self._said = lru_cache(1024)(self._said_of)

    def __len__(self) -> int:
        return len(self._table)

    @classmethod
    def load(cls, path: Path) -> Meanings:
        """Raises: ValueError: it cannot be read, or is no such file."""
        try:
            text = lzma.decompress(path.read_bytes()).decode()
        except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} has no meanings of words: {error!r}") from error
        rows = (line.split("\t") for line in text.splitlines())
        return cls({row[0]: [level.split() for level in row[1 : 1 + _LEVELS]] for row in rows})

    def save(self, path: Path) -> None:
        rows = ("\t".join([name, *map(" ".join, levels)]) for name, levels in sorted(self._table.items()))
        path.write_bytes(lzma.compress("\n".join(rows).encode(), preset=9))

    def is_thing(self, word: str) -> bool:
        """Whether it is a noun for things."""
        return word in self._table

    def is_general(self, word: str) -> bool:
        """Whether many things are of that kind: "container"."""
        return any(form in self._general for form in stems(word))

    @cached_property
    def _general(self) -> frozenset[str]:
        often = Counter(word for levels in self._table.values() for word in levels[1])
        return frozenset(word for word, number in often.items() if number > _MANY and word in self._table)

    def _worth(self, word: str, names: tuple[str, ...]) -> float:
        """Log of how much more often a word is said of a thing with these names than of any. Args: names: of it."""
        said = self._said(names)
        forms = stems(word)
        found = max((said[form] for form in forms if form in said), default=0.0)
        named = {form for name in names for one in name.split() for form in stems(one)}
        for level, worth in zip(self._of(word)[:2], WORTHS, strict=False):
            if not named.isdisjoint(level):
                found = max(found, worth)  # a hamper is a basket
        if found:
            return found
        return _ANOTHER_THING if any(form in self._table for form in forms) else _SAYS_NOTHING

    def _of(self, name: str) -> Sequence[Sequence[str]]:
        return next((self._table[form] for form in stems(name) if form in self._table), ())

    def _said_of(self, names: tuple[str, ...]) -> Mapping[str, float]:
        """Word -> log of how much more often it is said of a thing with these names."""
        said: dict[str, float] = {}
        for name in names:
            words = name.split()
            start = next((at for at in range(len(words)) if self._of(" ".join(words[at:]))), len(words))
            parts = [(" ".join(words[start:]), 1.0), *((word, _OF_A_MODIFIER) for word in words[:start])]
            if start == 0 and len(words) > 1:
                parts += [(word, _OF_A_MODIFIER) for word in words]
            for part, share in parts:
                for level, worth in zip(self._of(part), WORTHS, strict=False):
                    for word in level:
                        said[word] = max(said.get(word, 0.0), share * worth)
            for word in words:
                said |= dict.fromkeys(stems(word), WORTHS[0])
        return said


@cache
def shipped_meanings(language: str) -> Meanings:
    """The table that ships with the project; read once a process."""
    with as_file(files("substep_planner") / "data" / "grounding" / f"meanings_{language}.tsv.xz") as path:
        return Meanings.load(path)
