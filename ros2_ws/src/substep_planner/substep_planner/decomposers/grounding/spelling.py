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


# American and British ends and middles of words, in either direction.
_SPELLINGS = (
    ("or", "our"), ("ors", "ours"), ("ored", "oured"), ("oring", "ouring"), ("orite", "ourite"), ("ory", "oury"),
    ("er", "re"), ("ers", "res"), ("ize", "ise"), ("izer", "iser"), ("ized", "ised"), ("izing", "ising"),
    ("izers", "isers"), ("og", "ogue"), ("am", "amme"), ("eled", "elled"), ("eling", "elling"), ("ense", "ence"),
)  # fmt: skip
_OTHERWISE = (
    ("gray", "grey"), ("grayish", "greyish"), ("aluminum", "aluminium"), ("yogurt", "yoghurt"), ("donut", "doughnut"),
    ("donuts", "doughnuts"), ("mold", "mould"), ("molded", "moulded"), ("plow", "plough"), ("jewelry", "jewellery"),
    ("tire", "tyre"), ("whiskey", "whisky"), ("pajamas", "pyjamas"), 
    ("barbeque", "barbecue"), ("omelet", "omelette"), ("chili", "chilli"), ("cozy", "cosy"), 
    ("woolen", "woollen"), ("centered", "centred"), ("ax", "axe"), ("caliper", "calliper"),
)  # fmt: skip


def other_spellings(word: str) -> list[str]:
    """How a word is written on the other side of the Atlantic, or may be."""
    pairs = [(one, other) for pair in _SPELLINGS for one, other in (pair, pair[::-1])]
    found = [word.removesuffix(one) + other for one, other in pairs if word.endswith(one) and len(word) > len(one) + 1]
    return found + [{one: other, other: one}[word] for one, other in _OTHERWISE if word in (one, other)]


def singular(word: str) -> str:
    """A noun's singular, as far as its end tells; the same of what only looks like a plural."""
    if word.endswith("ies") and len(word) > len("pies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > len("gas") else word


_ENDINGS = ("s", "es", "d", "ed", "r", "er", "ing", "able", "y", "ly", "like")
_SHORTEST_STEM = 3
_DOUBLED = 2


@lru_cache(8192)
def stems(word: str) -> tuple[str, ...]:
    """A word, and what it may be a form of, the longest first: "spreadable" -> "spread"."""
    found = []
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST_STEM:
            continue
        found += [stem, f"{stem}e"]
        if stem[-1] == stem[-_DOUBLED]:
            found.append(stem[:-1])
        if stem[-1] == "i":
            found.append(f"{stem[:-1]}y")
    return (word, *sorted(found, key=len, reverse=True))
