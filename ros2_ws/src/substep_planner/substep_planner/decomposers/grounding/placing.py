"""Things and places are put together to steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.counting import several
from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.operations import operate
from substep_planner.decomposers.grounding.request import OPERATIONS, Step, UnclearError, can
from substep_planner.decomposers.grounding.scene import TABLE, Entity
from substep_planner.decomposers.grounding.segment import Segment

_HOLDING = frozenset("contain contains contained has have hold holds needs need with".split())
_MOVING = frozenset("move shift slide propel thrust".split())


def placed(draft: Draft, place: Entity | None, side: str, rest: Sequence[Segment]) -> None:
    """A place was named: of what was named before it, of what was put somewhere already, or of what comes next.

    Args:
        side: of several such places.
        rest: the segments after it.
    """
    bare = not draft.preposition
    draft.guessed = draft.guessed or bare and not draft.verbs  # "left plate: white mug"
    preposition = draft.preposition or ("in" if place is not None and place.affordances.container else "on")
    if place is not None and place.kind.endswith("cabinet") and not place.part and _is_on_or_in(draft, preposition):
        preposition = "on top of"
    if preposition == "in" and place is not None and not place.holds_perhaps and not draft.inside:
        preposition = "on"  # "in the rack"
    if place is not None and place.kind == TABLE and draft.steps and not draft.pending:
        draft.preposition = ""  # "on the plate on the counter"
        return
    if place is not None and place.part and preposition.startswith("to the "):  # "at the back in the drawer"
        draft.update_last(side=preposition.split()[2])
        preposition = "in"
    draft.preposition, draft.inside = "", False
    more = any(segment.label == "thing" for segment in rest)
    if not draft.pending and (draft.again or not more) and draft.steps and draft.steps[-1].action == "put":
        _moved_on(draft, preposition, place, side)
    elif not draft.pending:
        draft.place_first = Step("put", preposition=preposition, place=place, place_side=side)
        draft.place_is_used, draft.place_is_bare = False, bare
    else:
        put(draft, preposition, place, side)
    draft.place = place
    draft.remember(place)


def _is_on_or_in(draft: Draft, preposition: str) -> bool:
    """ "In the cabinet" may mean on top of it; inside it is a drawer, and it is not said which."""
    return preposition == "on" or preposition == "in" and not draft.inside


def put(draft: Draft, preposition: str, place: Entity | None, side: str) -> None:
    """Everything that was named goes there."""
    pushed = draft.mode == "push" or preposition == "to the front of" and not draft.verbs.isdisjoint(_MOVING)
    action = "push" if pushed and preposition.startswith("to the") else "put"
    things = draft.pending
    if len(things) == 1:
        things = several(things[0], draft.number, place)
    if draft.heated and place is not None and place.affordances.switches:
        operate(draft, "turn on", place)
    for thing in things:
        draft.steps.append(replace(thing, action=action, preposition=preposition, place=place, place_side=side))
    draft.pending, draft.number, draft.heated, draft.mode, draft.verbs = [], 1, False, "put", set()


def _moved_on(draft: Draft, preposition: str, place: Entity | None, side: str) -> None:
    """ "take the bowl on the stove and put it on the plate": the place before is where it stands."""
    before = draft.steps[-1]
    relation = {"in": "in", "on": "on", "on top of": "on"}.get(before.preposition, "next to")
    where = {} if before.relation else {"relation": relation, "anchors": (before.place,)}
    draft.steps[-1] = replace(before, **where, preposition=preposition, place=place, place_side=side)


def put_there(draft: Draft, side: str) -> None:
    """What was named goes to what was operated just before, or to the place before. Raises: UnclearError: none was."""
    operated = draft.steps[-1].thing if draft.steps and draft.steps[-1].action in OPERATIONS else None
    place = operated or draft.place
    if place is None and _is_held_by_the_first(draft):
        return without_a_place(draft)
    if place is None:
        raise UnclearError
    if draft.pending:
        placed(draft, place, side, ())


def stands_where_it_should(draft: Draft, side: str = "") -> None:
    """ "Make sure the bottle is resting on the rack": what was read as where it stands is where it goes."""
    (thing,) = draft.pending
    draft.pending = [replace(thing, relation="", anchors=())]
    draft.preposition = "" if thing.relation == "next to" else thing.relation
    placed(draft, thing.anchors[0], side, ())


def without_a_place(draft: Draft) -> None:
    """What was named, and nowhere to put it, may be asked for in other ways."""
    first = draft.pending[0]
    if len(draft.pending) == 1 and draft.mode == "put" and first.relation in ("on", "in"):
        if draft.comes_from:
            raise UnclearError  # "take the bowl off the stove": where to is not said
        stands_where_it_should(draft)
    elif (
        len(draft.pending) == 1 and can(first.thing, "turn on") and not draft.said.isdisjoint(("on", "off", "heating"))
    ):
        draft.pending = []
        operate(draft, "turn off" if "off" in draft.said else "turn on", first.thing)
    elif _is_held_by_the_first(draft):
        draft.pending, draft.preposition = draft.pending[1:], "in"
        placed(draft, first.thing, "", ())


def _is_held_by_the_first(draft: Draft) -> bool:
    """ "The basket contains both …"."""
    first = draft.pending[0].thing if len(draft.pending) > 1 else None
    return first is not None and first.affordances.container and not draft.said.isdisjoint(_HOLDING)
