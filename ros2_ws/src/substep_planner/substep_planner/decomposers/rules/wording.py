"""How motions are written: what the policy is told, and what a camera sees when it is done."""

from __future__ import annotations

import re

from substep_planner.decomposers.rules.planner import Motion
from substep_planner.decomposers.rules.sentence import Verb
from substep_planner.plan import Substep


def substep(motion: Motion) -> Substep:
    """A motion in the words of the substep vocabulary."""
    instruction, effect = _WORDINGS[motion.verb](motion)
    return Substep(_restored(instruction), _restored(effect))


def _pick(motion: Motion) -> tuple[str, str]:
    thing = motion.thing
    above = _left_behind(thing.relation)
    shown = f"{thing.side} {thing.name}".strip()
    return f"pick up the {thing.phrase}", f"the gripper holds the {shown} {above}"


def _put(motion: Motion) -> tuple[str, str]:
    thing, place = motion.thing.phrase, motion.place.phrase
    stacked = "stacked " if motion.place.preposition == "on" and motion.place.thing.head == motion.thing.head else ""
    return f"place the {thing} {place}", f"the {thing} is {stacked}{_seen(place)} and the open gripper has moved away"


def _open(motion: Motion) -> tuple[str, str]:
    thing = motion.thing
    effect = "is pulled out of" if thing.head == "drawer" else "is open"
    if thing.head == "drawer":
        part, _, owner = thing.name.partition(" of the ")
        return f"open the {thing.phrase}", f"the {part} {effect} the {owner}"
    return f"open the {thing.phrase}", f"the door of the {thing.phrase} {effect}"


def _close(motion: Motion) -> tuple[str, str]:
    thing = motion.thing
    if thing.head == "drawer":
        part, _, owner = thing.name.partition(" of the ")
        return f"close the {thing.phrase}", f"the {part} is pushed all the way into the {owner}"
    return f"close the {thing.phrase}", f"the door of the {thing.phrase} is closed"


def _turn_on(motion: Motion) -> tuple[str, str]:
    phrase = motion.thing.phrase
    return f"turn on the {phrase}", f"the knob of the {phrase} is turned and its burner glows red"


def _turn_off(motion: Motion) -> tuple[str, str]:
    phrase = motion.thing.phrase
    return f"turn off the {phrase}", f"the knob of the {phrase} is turned back and its burner is dark"


def _push(motion: Motion) -> tuple[str, str]:
    thing, place = motion.thing.phrase, motion.place.phrase
    return f"push the {thing} {place}", f"the {thing} is {_seen(place)} and the gripper has moved away from it"


def _left_behind(relation: str) -> str:
    """Where a thing hangs once it is lifted from where ``relation`` says it was."""
    preposition, _, other = relation.partition(" the ")
    if preposition in ("on", "in") and other and other.split()[0] not in ("left", "right", "middle"):
        return f"above the {other}"
    if preposition == "in" and other:
        return f"above the {other}" if " of " in other else "in the air"
    return "in the air"


def _seen(place: str) -> str:
    place = place.replace("to the front of", "in front of").replace("to the back of", "behind")
    return re.sub(r"^in the (\w+ drawer)", r"in the open \1", place)


def _restored(text: str) -> str:
    return text.replace(" & ", " and ")


_WORDINGS = {
    Verb.PICK: _pick,
    Verb.PUT: _put,
    Verb.OPEN: _open,
    Verb.CLOSE: _close,
    Verb.TURN_ON: _turn_on,
    Verb.TURN_OFF: _turn_off,
    Verb.PUSH: _push,
}
