"""Sides: of what something is put at, and by which things of one kind are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from substep_core.language.phrases import SIDES
from substep_planner.decomposers.grounding.request import UnclearError
from substep_planner.decomposers.grounding.segment import Segment
from substep_planner.decomposers.grounding.words import ANYTHING

# Said of any thing of which there are several, whether or not the phrases that a model was counted from have them.
SIDE_WORDS = frozenset("left right front back middle center centre central leftmost rightmost rear".split())
_BESIDE = ("left", "right", "front", "back")
# The rules' words for sides, and those for how far away a thing is.
_SIDE_OF = {word.replace("-", ""): side for word, side in SIDES.items() if side in (*_BESIDE, "middle")} | {
    "nearest": "front",
    "closest": "front",
    "farthest": "back",
}


def side_words(glossary: Mapping[str, str]) -> frozenset[str]:
    """``SIDE_WORDS`` in a language. Args: glossary: its words -> English."""
    return SIDE_WORDS | {word for word, english in glossary.items() if english in SIDE_WORDS}


def with_the_side_said(preposition: str, words: Sequence[str]) -> str:
    """ "to the left of" and the like, with the side that is among its words, if one is."""
    said = {_SIDE_OF[word] for word in words if word in _SIDE_OF}.intersection(_BESIDE)
    return f"to the {said.pop()} of" if preposition.startswith("to the ") and len(said) == 1 else preposition


def side_alone(segment: Segment) -> str:
    """The side, where a phrase has words for a side and for nothing else: "the middle one"."""
    rest = [word for word in segment.words if word not in ANYTHING and word not in ("side", "hand")]
    return _SIDE_OF.get(rest[0], "") if len(rest) == 1 else ""


def side_in(segment: Segment) -> str:
    """The first side that a phrase names; empty: none, or the side that tells a part from the others."""
    if segment.entity is not None and segment.entity.part:
        return ""
    return next((_SIDE_OF[word] for word in segment.words if word in _SIDE_OF), "")


def side_of(words: tuple[str, ...]) -> str:
    """ "right" for "the right of the caddy" and "the caddy's right"; empty: the thing itself is meant.

    Raises:
        UnclearError: a side that nothing is put at.
    """
    if "of" in words[1:3] and (before := _SIDE_OF.get(words[words.index("of") - 1], "")):
        if before not in _BESIDE:
            raise UnclearError
        return before
    last = _SIDE_OF.get(words[-1], "")
    return last if last in _BESIDE and len(words) > 1 and words[-2] != "the" else ""
