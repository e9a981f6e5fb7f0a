"""What is opened, closed and switched, and by which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.request import CANNOT, OPERATIONS, Step, UnclearError, can
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import Segment

_FAMILIES = (("open", "close"), ("turn on", "turn off"))
_AGAIN = frozenset(("and", "then", "it"))  # of a verb that begins the next step
_DOOR = frozenset("the its door drawer".split())
_CLOSING = frozenset("close closed closing shut shutting seal secure lock left stay".split())
_OPENING = frozenset("open opened opening".split())
_FILLERS = frozenset("just now only please also so then first next".split())
# Last words of a verb that is said on both sides of its thing; German is so too.
_SWITCHED = {
    "going": "turn on",
    "on": "turn on",
    "heating": "turn on",
    "ein": "turn on",
    "an": "turn on",
    "off": "turn off",
    "aus": "turn off",
}


def changes_the_last(draft: Draft, detail: str, words: tuple[str, ...]) -> bool:
    """ "… the microwave's door", "power the stove off", "mach den Herd aus": what comes after a thing changes the
    step, or nothing. Raises: UnclearError: it cannot be done."""
    last = draft.steps[-1] if draft.steps else None
    if last is None or draft.pending:
        return False
    if last.action in ("open", "close") and _DOOR.issuperset(words):
        return True
    family = next((pair for pair in _FAMILIES if last.action in pair), ())
    if detail in family and draft.after_thing and _AGAIN.isdisjoint(words):
        draft.steps[-1] = replace(last, action=detail)
        return True
    if last.action in ("turn on", "turn off") and words in (("down",), ("up",)):
        raise UnclearError  # how much is beyond it
    if last.action in ("turn on", "turn off") and words in (("on",), ("off",)):
        draft.steps[-1] = replace(last, action=f"turn {words[0]}")
        return True
    return False


def take_action(draft: Draft, action: str, words: tuple[str, ...], rest: Sequence[Segment]) -> None:
    """What a verb asks for. Args: rest: the segments after it. Raises: UnclearError: it cannot be done."""
    if action == CANNOT:
        raise UnclearError
    if action in OPERATIONS:
        _take_operation(draft, action, words, rest)
    elif not draft.waiting or not _FILLERS.issuperset(words):  # "open just the top drawer"
        draft.mode, draft.waiting = action, ""


def _take_operation(draft: Draft, action: str, words: tuple[str, ...], rest: Sequence[Segment]) -> None:
    """Its thing was named before it, is named after it, or is what was operated last."""
    if action == "close" and not draft.verbs.isdisjoint(_OPENING) and draft.verbs.isdisjoint(_CLOSING):
        action = "open"
    if draft.pending and can(draft.pending[-1].thing, action):
        return operate(draft, action, draft.pending.pop().thing)
    following = _following(rest)
    is_named = following is not None and following.label == "thing"
    if is_named and can(following.entity, "open") and not _CLOSING.isdisjoint(words):
        action = "close"  # "shut" is said of stoves as well
    if action == "turn on" and is_named and following.entity and not following.entity.affordances.fixed:
        draft.heated, draft.mode = True, "put"  # "heat up the pot on the stove"
        return
    is_good_for_it = is_named and (following.entity is None or can(following.entity, action))
    if is_good_for_it or _is_named_otherwise(draft, action, rest):
        draft.waiting = action
        return
    last = draft.openable if action in ("open", "close") else draft.switched
    if last is None and is_named:
        # "I need the stove turned on": what is to be done with it comes after it
        draft.waiting, draft.unmet = "", True
    else:
        operate(draft, action, last)


def _following(rest: Sequence[Segment]) -> Segment | None:
    """What a verb may be about: the next thing, or what shows that none comes."""
    after = (s for s in rest if not (s.label.startswith("verb") and _FILLERS.issuperset(s.words)))
    return next((s for s in after if s.label in ("thing", "it") or s.label.startswith(("verb", "to"))), None)


def _is_named_otherwise(draft: Draft, action: str, rest: Sequence[Segment]) -> bool:
    """Whether the first thing named before the next verb was read as a place, and can be operated: "cierra la
    puerta del microondas"."""
    for segment in rest:
        if segment.label in ("thing", "it", "there") or segment.label.startswith("verb"):
            return False
        if segment.label in ("place", "anchor"):
            return not draft.pending and can(segment.entity, action)
    return False


def operate(draft: Draft, action: str, thing: Entity | None) -> None:
    """Open, close or switch a thing, once. Raises: UnclearError: there is nothing that may be meant."""
    if thing is None and draft.waiting != action:
        raise UnclearError
    draft.waiting, draft.verbs, draft.unmet = "", set(), False
    if not any(step.action == action and step.thing == thing for step in draft.steps):
        draft.steps.append(Step(action, thing))
    draft.remember(thing)


def open_first(draft: Draft) -> None:
    """ "… you have to open it first". Raises: UnclearError: nothing is put in anything that opens."""
    put = next((step for step in reversed(draft.steps) if step.action == "put"), None)
    if put is None or put.place is None or not put.place.affordances.opens:
        raise UnclearError
    draft.steps.insert(draft.steps.index(put), Step("open", put.place))


def switch_by_last_word(draft: Draft, segment: Segment) -> bool:
    """ "Get the burner going", "schalte den Herd ein"; whether it is said so."""
    action = _SWITCHED.get(segment.words[-1], "")
    if len(segment.words) == 1 or not action or not can(segment.entity, action):
        return False
    operate(draft, action, segment.entity)
    return True


def switch_there(draft: Draft, words: tuple[str, ...]) -> bool:
    """ "Switch the stove on": what was read as a place says which way; whether it does."""
    action = _SWITCHED.get(words[-1], "") if len(words) == 1 else ""
    if not action or not draft.after_thing:
        return False
    if draft.pending and can(draft.pending[-1].thing, action):
        operate(draft, action, draft.pending.pop().thing)
        return True
    last = draft.steps[-1] if draft.steps and not draft.pending else None
    if last is None or last.action not in ("turn on", "turn off"):
        return False
    draft.steps[-1] = replace(last, action=action)
    return True
