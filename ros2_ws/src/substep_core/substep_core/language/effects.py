"""Expected effects: what a camera sees when a motion is done, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from substep_core.language.motions import CLOSE, OPEN, PICK_UP, PLACE, PUSH, TURN_OFF, TURN_ON, Motion, MotionKind
from substep_core.language.phrases import Place, Relation
from substep_core.plan import Substep


def substep(motion: Motion) -> Substep:
    """A motion as a step of a plan."""
    return Substep(motion.text, _EFFECTS[motion.kind](motion))


def _picked_up(motion: Motion) -> str:
    thing = motion.thing
    shown = f"{thing.side} {thing.name}".strip()
    return f"the gripper holds the {shown} {_left_behind(thing.relation)}"


def _placed(motion: Motion) -> str:
    place = motion.place
    stacked = "stacked " if place.preposition == "on" and place.thing.head == motion.thing.head else ""
    return f"the {motion.thing.phrase} is {stacked}{_seen(place)} and the open gripper has moved away"


def _pushed(motion: Motion) -> str:
    return f"the {motion.thing.phrase} is {_seen(motion.place)} and the gripper has moved away from it"


def _opened(motion: Motion) -> str:
    if part := motion.thing.part:
        return f"the {part.side} {part.noun} is pulled out of the {part.owner}"
    return f"the door of the {motion.thing.phrase} is open"


def _closed(motion: Motion) -> str:
    if part := motion.thing.part:
        return f"the {part.side} {part.noun} is pushed all the way into the {part.owner}"
    return f"the door of the {motion.thing.phrase} is closed"


def _turned_on(motion: Motion) -> str:
    return f"the knob of the {motion.thing.phrase} is turned and its burner glows red"


def _turned_off(motion: Motion) -> str:
    return f"the knob of the {motion.thing.phrase} is turned back and its burner is dark"


def _left_behind(relation: Relation | None) -> str:
    """Where a thing hangs once it is lifted from where ``relation`` says it was."""
    if relation is not None and relation.word in ("on", "in"):
        return f"above the {relation.things[0].phrase}"
    return "in the air"


def _seen(place: Place) -> str:
    if place.side in ("front", "back"):
        return f"{'in front of' if place.side == 'front' else 'behind'} the {place.thing.phrase}"
    if place.preposition == "in" and place.thing.head == "drawer":
        return f"in the open {place.thing.phrase}"
    return place.phrase


_EFFECTS: Mapping[MotionKind, Callable[[Motion], str]] = {
    PICK_UP: _picked_up,
    PLACE: _placed,
    PUSH: _pushed,
    OPEN: _opened,
    CLOSE: _closed,
    TURN_ON: _turned_on,
    TURN_OFF: _turned_off,
}
