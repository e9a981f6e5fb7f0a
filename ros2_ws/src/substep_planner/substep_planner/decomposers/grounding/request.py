"""What a sentence asks for: steps that name entities of the scene, and the motions they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from substep_core.language.motions import CLOSE, OPEN, PICK_UP, PLACE, PUSH, TURN_OFF, TURN_ON, Motion
from substep_core.language.nouns import OPEN_PERHAPS, can_be_reached, has_room
from substep_core.language.phrases import Relation, Thing, make_place
from substep_planner.decomposers.grounding.scene import NO_NOUNS, Entity, noun_for

CANNOT = "cannot"  # the action of what is no motion of the table, or no request at all
_OPERATE = {"open": OPEN, "close": CLOSE, "turn on": TURN_ON, "turn off": TURN_OFF}
OPERATIONS = tuple(_OPERATE)
_MOVES = ("put", "push", "pick up")
GOES_SOMEWHERE = ("put", "push")
RELATED_TO = {"next to": 1, "on": 1, "in": 1, "between": 2, "outside": 1}  # how many things


class UnclearError(Exception):
    """What was said does not add up to a request."""


@dataclass(frozen=True)
class Step:
    """One thing that is asked for. ``None`` for an entity: something that the scene does not have.

    Attributes:
        action: "put", "push", "pick up", one of ``OPERATIONS``, or ``CANNOT``.
        thing: what is moved or operated.
        side: which of several: "left", "right", "front", "back" or "middle"; empty: there is one.
        relation: where it stands to ``anchors``, one of ``RELATED_TO``, or "table center"; empty: it is not said.
        preposition: where it goes: "on", "in", "under", "on top of", "to the left of" and its like.
        place, place_side: what it goes to, and which of several that is.
    """

    action: str
    thing: Entity | None = None
    side: str = ""
    relation: str = ""
    anchors: tuple[Entity | None, ...] = ()
    preposition: str = ""
    place: Entity | None = None
    place_side: str = ""

    @property
    def entities(self) -> tuple[Entity | None, ...]:
        """All that it names."""
        places = (self.place,) if self.action in GOES_SOMEWHERE else ()
        return (self.thing, *self.anchors, *places)


def can(entity: Entity | None, operation: str) -> bool:
    """Whether a thing is there and can be operated so. Args: operation: one of ``OPERATIONS``."""
    if entity is None:
        return False
    return entity.affordances.opens if operation in ("open", "close") else entity.affordances.switches


def is_possible(step: Step) -> bool:
    """Whether the things named, where they are there, are good for that."""
    thing, place = step.thing, step.place
    if thing is not None:
        if step.action in _MOVES and (thing.affordances.fixed or thing.part):
            return False
        if step.action in OPERATIONS and not can(thing, step.action):
            return False
        if step.action in GOES_SOMEWHERE and thing == place:
            return step.side != step.place_side  # "the left bowl on the right bowl"
    return has_room_for(step)


def has_room_for(step: Step) -> bool:
    """Whether something can be put there so, as far as the place is there."""
    place = step.place
    if step.action not in GOES_SOMEWHERE or place is None:
        return True
    if place.kind.endswith("cabinet") and not place.part:  # the noun may mean a shelf, the kind does not
        return step.preposition not in ("in", "under")
    is_shut = step.preposition == "in" and place.head in OPEN_PERHAPS and not place.holds_perhaps
    return not is_shut and has_room(step.preposition, place.head)


def can_be_put(step: Step) -> bool:
    """Whether there is room for it, and an arm gets there."""
    goes = step.action in GOES_SOMEWHERE and step.place is not None
    head = "cabinet" if goes and step.place.kind.endswith("cabinet") and not step.place.part else ""
    return has_room_for(step) and (not goes or can_be_reached(step.preposition, head or step.place.head))


def is_likely(step: Step) -> bool:
    """Whether it is possible, and what goes in something goes in a thing that holds others."""
    place = step.place
    return is_possible(step) and (step.preposition != "in" or place is None or place.holds_perhaps)


def motions_of(
    steps: tuple[Step, ...],
    categories: frozenset[str],
    said: str,
    vague: frozenset[str] = frozenset(),
    usual: Mapping[str, str] = NO_NOUNS,
) -> list[Motion]:
    """The motions, in the order of the steps. Every entity must be there.

    Args:
        categories: of the scene.
        said: the sentence, whose nouns are used where plans know them.
        vague: kinds that were called by a noun that others here have too, and told apart by where they stand.
        usual: kind -> the noun that plans use where the policy was trained.
    """

    def thing_of(entity: Entity, side: str = "") -> Thing:
        return _thing(entity, noun_for(entity.kind, categories, said, vague=entity.kind in vague, usual=usual), side)

    motions: list[Motion] = []
    moved = Counter(step.thing for step in steps if step.action == "put")
    for step in steps:
        thing = thing_of(step.thing, step.side)
        if step.relation:
            anchors = tuple(thing_of(anchor) for anchor in step.anchors)
            in_part = step.relation == "on" and bool(step.anchors[0].part)  # "on the top drawer"
            thing = Thing(thing.name, thing.side, Relation("in" if in_part else step.relation, anchors))
        if step.action in _OPERATE:
            motions.append(Motion(_OPERATE[step.action], thing))
            continue
        place = None
        if step.action in GOES_SOMEWHERE:
            place = make_place(step.preposition, thing_of(step.place, step.place_side))
        if step.action == "push":
            motions.append(Motion(PUSH, thing, place))
            continue
        motions.append(Motion(PICK_UP, thing))
        if place is not None:
            is_one_of_both = moved[step.thing] > 1 and not step.relation
            motions.append(Motion(PLACE, Thing(thing.name, thing.side) if is_one_of_both else thing.plain, place))
    return motions


def _thing(entity: Entity, name: str, side: str) -> Thing:
    if entity.part:
        return Thing(f"{entity.part} of the {name}")
    if side in ("front", "back", "middle"):
        return Thing(name, relation=Relation(side))
    return Thing(name, side)
