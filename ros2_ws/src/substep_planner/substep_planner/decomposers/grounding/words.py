"""The words of a text, and small ones of English that say nothing of which thing is meant.

Other languages' small words are brought into English by the glossary of their model before they are looked up here.
"""

from __future__ import annotations

import re
from itertools import accumulate

SMALL_WORDS = frozenset(
    "the to a it is be and in on you i that of yet now just only so here there really too very".split()
)
NEVER = frozenset(("not", "never", "dont"))
FORBIDDING = NEVER | frozenset("cant cannot mustnt shouldnt".split())  # before a verb; "I cant find it" is talk
INTO = frozenset("in into inside within".split())
ONTO = frozenset("on onto upon atop".split())
ON_IT = frozenset("top surface it there the its on of".split())  # what names the place before, and nothing else
ANYTHING = frozenset("the one ones this that its thing sitting standing located placed".split())
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")  # Chinese is read sign by sign
_GLUED = re.compile(r"['’`´]")
_ARROW = re.compile(r"[-=]+>|→")
_MARK = re.compile(r"[,.;:!?…()，。；：！？、（）]+|\s[-–—]+\s|—")
_SIGN = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")


def words_of_text(text: str) -> list[str]:
    """Lower-case words without marks, as dictation writes them: "the cabinet's" -> "the", "cabinets"; of Chinese each
    sign. An arrow is read as "to"."""
    return _WORD.findall(_GLUED.sub("", _ARROW.sub(" to ", text.lower())))


def breaks_in(text: str) -> frozenset[int]:
    """Numbers of the words of a text that a mark stands before: 2 in "the bowl, please"."""
    lengths = [len(words_of_text(part)) for part in _MARK.split(text)]
    return frozenset(accumulate(lengths[:-1])) - {0, sum(lengths)}


def as_written(words: str) -> str:
    """Words with spaces between them, as they are written: no spaces between Chinese signs."""
    return _SIGN.sub("", words)
