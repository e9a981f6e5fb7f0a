"""Mends words that are one slip of the keyboard from a known one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_SHORTEST = 4  # letters of a word that is mended
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Speller:
    """Args: words: the known ones."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self.mended = lru_cache(4096)(self._mended)

    def knows(self, word: str) -> bool:
        return word in self._words

    def _mended(self, word: str) -> str:
        """The word, or the only known one that is a slip away: letters swapped, left out, doubled or mistyped."""
        if word in self._words or len(word) < 3:
            return word
        if len(word) < _SHORTEST:
            near = _swapped(word)
        else:
            halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
            near = _swapped(word)
            near |= {one + other[1:] for one, other in halves if other}
            near |= {one + letter + other for one, other in halves for letter in _LETTERS}
            near |= {one + letter + other[1:] for one, other in halves if other for letter in _LETTERS}
        found = {other for other in near if other in self._words and other[0] in word[:2]}
        return found.pop() if len(found) == 1 else word


def _swapped(word: str) -> set[str]:
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
