"""How many of a kind are meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.numbers import OF_PARTS, number_of
from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import Segment
from substep_planner.decomposers.grounding.spelling import singular

_NUMBERS = frozenset(("both", "two", "pair", "each"))  # a model knows every number as "two"
_EVERY = frozenset(("both", "pair", "each", "all"))
_ITEMS = frozenset("things thing items item objects object pieces ingredients groceries products".split())


def take_number(draft: Draft, segment: Segment) -> None:
    """A number, or "both" and the like, where one is said of what is moved."""
    words = segment.words
    is_name = segment.label == "thing" and not OF_PARTS.isdisjoint(words)  # "the cabinet with two doors"
    if is_name or segment.label.split(":")[0] not in ("thing", "verb", "heat", "to") or _NUMBERS.isdisjoint(words):
        return
    said = next((n for word in segment.said.split() if (n := number_of(word) or 0) > 1), 2)
    if "times" in segment.said.split():
        return  # "put it there 5 times" says of nothing how many there are to be
    draft.counted.add(said)
    if not _ITEMS.isdisjoint(words):
        return  # "put two things in the basket: the soup and the sauce"
    if "two" in words and "of" in words[: words.index("two")] and _EVERY.isdisjoint(words):
        draft.among = True
        return
    draft.number = max(said, draft.number)  # "both", or what other languages have for it, may come after a number


def check_all_counted(segments: Sequence[Segment], counted: Collection[int]) -> None:
    """Raises: ValueError: a number beyond two is said that says of nothing how many are meant."""
    for segment in segments:
        if "two" not in segment.words:  # what numbers are in it say how a thing is made: "the 3 drawer cabinet"
            continue
        for word in segment.said.split():
            if (number_of(word) or 0) > 2 and number_of(word) not in counted:
                raise ValueError(f"it is not clear what there are to be {word!r} of")


def several(thing: Step, number: int, place: Entity | None) -> list[Step]:
    """So many of a kind: two are told apart by their sides, of more the leftmost is taken again and again."""
    if number == 1:
        return [thing]
    if number == 2:
        return [replace(thing, side="left"), replace(thing, side="right")]
    return [replace(thing, side="left", relation="outside", anchors=(place,))] * number


def is_plural(segment: Segment) -> bool:
    """Whether two of a kind are named: "moka pots"."""
    word, entity = segment.words[-1], segment.entity
    return entity is not None and singular(word) != word and singular(word) in entity.label.split()
