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
        """The word, or the known one that is a slip away: letters swapped, or one left out, doubled or mistyped.

        Swapped letters come first, as no letter is wrong there; of several that are as near, one that all others begin
        with ("baskett": basket, baskets).
        """
        if word in self._words or len(word) < 3:
            return word
        nearest = [_swapped(word)]
        if len(word) >= _SHORTEST:
            halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
            near = {one + other[1:] for one, other in halves if other}
            near |= {one + letter + other for one, other in halves for letter in _LETTERS}
            near |= {one + letter + other[1:] for one, other in halves if other for letter in _LETTERS}
            nearest.append(near)
        for near in nearest:
            found = sorted((one for one in near if one in self._words and one[0] in word[:2]), key=len)
            if found:
                return found[0] if all(one.startswith(found[0]) for one in found) else word
        return word


def _swapped(word: str) -> set[str]:
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
