"""Slips of tongue and keyboard: swapped letters, words left out, hyphens and apostrophes as dictation has them."""

from __future__ import annotations

import random
import re

_NEAR = {"a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "k": "jl",
         "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb",
         "w": "qe", "y": "tu"}  # fmt: skip
_LEFT_OUT = frozenset(("the", "a", "of", "that", "please"))


def with_slips(
    words: list[str], marks: list, generator: random.Random, *, typing: bool = True
) -> tuple[list[str], list]:
    """Words and their marks, some gone, and where ``typing`` some mistyped."""
    typos = generator.choice((0.03, 0.08, 0.15)) if typing and generator.random() < 0.18 else 0.0
    terse = generator.random() < 0.15
    joined = generator.random() < 0.6
    kept_words, kept_marks = [], []
    for word, mark in zip(words, marks, strict=True):
        if terse and word in _LEFT_OUT and generator.random() < 0.8:
            continue
        parts = [word.replace("-", "")] if joined else word.split("-")
        for part in parts:
            text = re.sub(r"[\W_]", "", part.lower())
            if text and generator.random() < typos:
                text = _mistyped(text, generator)
            if text:
                kept_words.append(text)
                kept_marks.append(mark)
    return kept_words, kept_marks


def _mistyped(word: str, generator: random.Random) -> str:
    if len(word) < 3:
        return word
    at = generator.randrange(len(word) - 1)
    match generator.randrange(4):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case 2:
            return word[:at] + word[at] + word[at:]
    return word[:at] + generator.choice(_NEAR.get(word[at], word[at])) + word[at + 1 :]
