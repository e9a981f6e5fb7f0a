"""Where things go, as it is said: prepositions, places, sides of them, and "there"."""

from __future__ import annotations

from collections.abc import Sequence

from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.operations import operate, switch_there
from substep_planner.decomposers.grounding.placing import placed, put_there, stands_where_it_should
from substep_planner.decomposers.grounding.request import UnclearError, can
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import Segment
from substep_planner.decomposers.grounding.sides import side_alone, side_in, side_of, with_the_side_said
from substep_planner.decomposers.grounding.words import INTO, ON_IT, ONTO

_ONE = frozenset(("one", "ones"))
_AFTER_PLACE = {"inside": "in", "atop": "on", "beneath": "under"}  # what is said after the place, in Chinese
_INSIDE = frozenset(("inside", "within", "interior", "innere", "inneren"))
_WHICH_IS = frozenset((("which", "is"), ("that", "is")))
_IN_IT_OF = ("in", "it", "of")  # Spanish "dentro de", by its glossary
_VESSELS = frozenset("dish dishes saucer vessel container pan rack holder caddy organizer".split())  # things go in it
_NO_SIDE = frozenset("to the over up down".split())
_TURNING = frozenset("turn turning turned switch switching switched power powering".split())


def take_preposition(draft: Draft, preposition: str, words: tuple[str, ...]) -> None:
    """How a thing is to stand to the place that is named next. Raises: UnclearError: as nothing is put."""
    draft.beside, draft.inside = "", not _INSIDE.isdisjoint(words) or words == _IN_IT_OF
    is_of_anchor = draft.pending and not draft.after_thing and draft.words_before[-2:] in _WHICH_IS
    if words == ("at",) or is_of_anchor:  # "throw the bowl at the plate", "on the plate which is on the stove"
        raise UnclearError
    preposition = with_the_side_said(preposition, words)
    if preposition.startswith("to the ") and _NO_SIDE.issuperset(words):
        preposition = ""  # "relocate it to the cabinet top": no side is said, what the place is decides
    if preposition == "on" and words == ("in",):  # "en el cuenco": what the place is decides
        preposition = ""
    if preposition == "on" and not {"top", "atop", "above"}.isdisjoint(words):
        preposition = "on top of"
    if preposition.startswith("to the ") and not {"of", "side", "behind", "before"} & set(words):
        side = preposition.split()[2]
        if side in words and side in ("left", "right"):  # "on the left plate"
            draft.preposition, draft.beside = "on", side
            return
    draft.preposition = preposition


def take_place(draft: Draft, segment: Segment, rest: Sequence[Segment]) -> None:
    """What was read as a place may also be what is operated, a side of a place, or "it"."""
    if draft.waiting and not draft.pending and can(segment.entity, draft.waiting):
        draft.preposition = ""
        return operate(draft, draft.waiting, segment.entity)
    if draft.preposition == "on" and not draft.pending and not draft.verbs.isdisjoint(_TURNING):
        if can(segment.entity, "turn on"):
            draft.preposition = ""  # "start by turning on the stove"
            return operate(draft, "turn on", segment.entity)
    if segment.words[-1] in _AFTER_PLACE and len(segment.words) > 1:
        draft.preposition = _AFTER_PLACE[segment.words[-1]]
    if segment.entity is not None and not segment.entity.part and _ONE.isdisjoint(segment.words):
        if side := side_alone(segment):
            return _on_a_side(draft, side)
    draft.inside = draft.inside and _VESSELS.isdisjoint(segment.words)
    entity, words, side = _meant_place(draft, segment), segment.words, side_in(segment) or draft.beside
    draft.beside = ""
    if ON_IT.issuperset(words) and (draft.steps or draft.place):
        return put_there(draft, side)
    if ON_IT.issuperset(words) and len(draft.pending) == 1 and draft.pending[0].relation in ("on", "in"):
        return stands_where_it_should(draft)
    if draft.pending and not _ONE.isdisjoint(words) and (one := side_alone(segment)):
        entity, side = draft.pending[-1].thing, one  # "the front bowl on the middle one"
    if entity is not None and not entity.part and (of := side_of(words)):
        draft.preposition, side = f"to the {of} of", ""
    placed(draft, entity, side, rest)


def _on_a_side(draft: Draft, side: str) -> None:
    """ "… one on the plate on the right": the side of the place named before.

    Raises: UnclearError: none was.
    """
    draft.beside = ""
    if len(draft.pending) == 1 and draft.pending[0].relation in ("on", "in", "next to") and draft.pending[0].anchors:
        return stands_where_it_should(draft, side)
    if draft.pending or draft.steps and draft.steps[-1].action in ("put", "push"):
        draft.preposition = ""
        return draft.update_last(side=side) if draft.pending else draft.update_last(place_side=side)
    if draft.place is None:
        raise UnclearError
    put_there(draft, side)


def _meant_place(draft: Draft, segment: Segment) -> Entity | None:
    """Of several that a place may be, one that is not moved itself, and that holds things which are to go in it."""
    entity = segment.entity
    if entity is None or entity.part:
        return entity
    moving = draft.pending or draft.steps[-1:]
    moved = {step.thing for step in moving if not step.side and not side_in(segment)}
    fitting = [
        one
        for one in (entity, *segment.others)
        if one not in moved and (draft.preposition != "in" or one.holds_perhaps)
    ]
    return fitting[0] if fitting else entity


def take_there(draft: Draft, segment: Segment) -> None:
    """ "Inside", "on it", "there": the place is the one before."""
    if switch_there(draft, segment.words):
        return
    if not ONTO.union(("top",)).isdisjoint(segment.words):
        draft.preposition = "on top of"
    elif not INTO.isdisjoint(segment.words):
        draft.preposition = "in"
    put_there(draft, side_in(segment))
