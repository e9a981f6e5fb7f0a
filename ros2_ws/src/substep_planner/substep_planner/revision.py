"""Words that change a running task: "stop", "and then close it", "no, the other mug", "instead put it in the drawer".

What is done is kept, and so is what the words do not speak of. Every phrase is understood by the decomposers: a
correction is put into a whole sentence that they plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.effects import substep
from substep_core.language.motions import PICK_UP, PLACE, VERBS, Motion, in_liberos_manner
from substep_core.language.nouns import NOUNS
from substep_core.language.phrases import PhraseError, Thing, make_place
from substep_core.language.reader import parse
from substep_core.plan import MAX_SUBSTEPS, Plan, Substep
from substep_planner.manager.recovery import needs_what_was_picked_up

PlanOf = Callable[[str], Plan]  # raises PlanningError

# Wrongly stopped costs less than wrongly going on.
_STOP = re.compile(
    r"(?:(?:please|now|no|ok|wait|robot|hey)\s+)*"
    r"(?:stop|halt|cancel|abort|quit|freeze|enough|never ?mind|forget it|forget about it|dont|do not|wait|pause|"
    r"hold on|hold it|stand still)"
    r"(?:\s+(?:it|that|this|now|there|here|please|everything|move|moving|right now|the task|the robot|the arm|robot|"
    r"at once|immediately|doing that|a (?:moment|minute|second)))*"
    r"|(?:bitte\s+)?(?:stopp|stop|halt an|halt|anhalten|aufhören|hör auf|abbrechen|nicht bewegen|warte)"
    r"(?:\s+(?:bitte|sofort))*"
    r"|(?:por favor\s+)?(?:para|alto|detente|basta|espera|cancela|no te muevas|no lo hagas)"
    r"(?:\s+(?:ya|ahora|por favor))*"
    r"|请?(?:停|停下|停下来|停止|别动|不要动|住手|取消|等一下|等等)"
)
_MORE = re.compile(r"(?:(?:and|then|also|afterwards|after that|when (?:you are|youre) done|next|finally|please)\s+)+")
_OTHERWISE = re.compile(
    r"(?:(?:no|nope|wait|sorry|oh|actually|instead|rather|not that(?: one)?|i meant|i mean|make that|make it|please|"
    r"better|on second thought)\s+)+"
)
_INSTEAD = re.compile(r"\s+(?:instead|rather|please)$")
_WHERE = re.compile(
    r"(?:on|onto|in|into|inside|under|underneath|below|behind|atop|next to|to the (?:left|right|front|back) of|"
    r"in front of|on top of)\s"
)
_OTHER = re.compile(r"(?:the\s+)?other(?:\s+(?P<noun>.+?))?(?:\s+one)?")
_ONE = re.compile(r"(?:the\s+)?(?P<which>\w+(?:\s\w+)?)\s+one")
_OPPOSITE = {"left": "right", "right": "left"}
_TABLE = Thing("table")


@dataclass(frozen=True)
class Running:
    """A task under way.

    Attributes:
        done: its substeps that were completed.
        remaining: those that were not; the first is the active one.
        objects, counts: as in ``PlanRequest``.
    """

    done: tuple[Substep, ...]
    remaining: tuple[Substep, ...]
    objects: frozenset[str] = frozenset()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Revision:
    """What the words ask for.

    Attributes:
        remaining: what is left to do now, the active substep first; none where the task is to be ended.
        taken_as: how the words were taken, for people.
        is_stop: the words ask for the end of the task.
    """

    remaining: tuple[Substep, ...]
    taken_as: str
    is_stop: bool = False


def says_stop(words: str) -> bool:
    """Whether words ask for the end of the task and nothing else."""
    return _STOP.fullmatch(_plain(words)) is not None


def revise(words: str, running: Running, plan_of: PlanOf) -> Revision:
    """The rest of the task after words.

    Args:
        plan_of: the decomposers, in the scene as it is.

    Raises:
        PlanningError: the words cannot be understood, or speak of what is done; the task is to go on as it was.
    """
    said = _plain(words)
    if not said:
        raise PlanningError(ErrorCode.EMPTY_INSTRUCTION, f"nothing was said: {words!r}")
    if says_stop(words):
        return Revision((), "the task ends", is_stop=True)
    if found := _OTHERWISE.match(said + " "):
        rest = said[found.end() :].strip()
        return _corrected(_INSTEAD.sub("", rest), running, plan_of, words)
    if found := _MORE.match(said):
        return _appended(said[found.end() :], running, plan_of)
    if _INSTEAD.search(said):
        return _corrected(_INSTEAD.sub("", said), running, plan_of, words)
    why = "to add something begin with 'and', to change something with 'no', to end it say 'stop'"
    raise PlanningError(ErrorCode.NO_PLAN, f"{words!r} does not say how the task is to change: {why}")


def task_text(done: Sequence[Substep], remaining: Sequence[Substep]) -> str:
    """A task in words that are planned as these substeps again."""
    return in_liberos_manner(_motions((*done, *remaining)))


def _plain(words: str) -> str:
    """Lower case, without marks."""
    return " ".join(re.sub(r"[^\w\s]", " ", re.sub(r"['’]", "", words.lower())).split())


# --- more of the same ---


def _appended(rest: str, running: Running, plan_of: PlanOf) -> Revision:
    """ "close it" means what the task has moved or filled last, so it is read as the end of the whole task."""
    whole = (*running.done, *running.remaining)
    try:
        motions = _motions(plan_of(f"{task_text(running.done, running.remaining)}, then {rest}").substeps)
        more = motions[len(whole) :] if motions[: len(whole)] == _motions(whole) else []
    except PlanningError:
        more = []
    if not more:
        more = _motions(plan_of(rest).substeps)
    return _revision((*running.remaining, *map(substep, more)), f"after the rest: {in_liberos_manner(more)}")


# --- something else instead ---


@dataclass(frozen=True)
class _Unit:
    """Motions that belong together, a pick up and its place, or one alone.

    Attributes:
        begin, end: where they stand in the remaining substeps.
        thing, motion: what is moved or operated, and the motion that says where to.
        is_held: the thing is in the gripper.
    """

    begin: int
    end: int
    thing: Thing
    motion: Motion
    is_held: bool = False

    def sentence(self, thing: str = "", where: str = "") -> str:
        """The request in words, with another thing or place."""
        thing = thing or f"the {self.thing.phrase}"
        place = where or (self.motion.place.phrase if self.motion.place else "")
        verb = "put" if self.motion.kind is PLACE else self.motion.kind.name
        return f"{verb} {thing} {place}".strip()


def _units(running: Running) -> list[_Unit]:
    motions = _motions(running.remaining)
    units, index = [], 0
    if needs_what_was_picked_up(running.done, running.remaining[0]) and motions[0].kind is PLACE:
        held = parse(running.done[-1].instruction).thing
        units.append(_Unit(0, 1, held, motions[0], is_held=True))
        index = 1
    while index < len(motions):
        is_pair = motions[index].kind is PICK_UP and motions[index + 1 : index + 2]
        is_pair = bool(is_pair) and motions[index + 1].kind is PLACE
        end = index + (2 if is_pair else 1)
        units.append(_Unit(index, end, motions[index].thing, motions[end - 1]))
        index = end
    return units


def _corrected(rest: str, running: Running, plan_of: PlanOf, words: str) -> Revision:
    if not rest:
        raise PlanningError(
            ErrorCode.NO_PLAN, f"{words!r} does not say what is meant instead", "what is to be done instead?"
        )
    units = _units(running)
    unit, sentence = _as_sentence(rest, units, running)
    motions = _motions(plan_of(sentence).substeps)
    return _revision(_with(motions, unit, running), f"instead of {unit.sentence()!r}: {in_liberos_manner(motions)}")


def _as_sentence(rest: str, units: list[_Unit], running: Running) -> tuple[_Unit, str]:
    """What is corrected, and the whole request that is meant."""
    unit = units[0]
    if _WHERE.match(rest + " "):
        unit = next((one for one in units if one.motion.place is not None), unit)
        return unit, unit.sentence(where=rest)
    if rest.split()[0] in VERBS:
        return unit, re.sub(r"\b(?:it|that)\b", f"the {unit.thing.phrase}", rest, count=1)
    noun = _noun_of(rest)
    for unit in units:
        place = unit.motion.place
        if place is not None and noun and noun == place.thing.head and noun != unit.thing.head:
            return unit, unit.sentence(where=f"{place.preposition} {_phrase(rest, place.thing, running)}")
        if not noun or noun == unit.thing.head or unit.motion.kind is not PLACE and noun in unit.thing.name.split():
            return unit, unit.sentence(thing=_phrase(rest, unit.thing, running))
    finished = {thing.head for motion in _motions(running.done) for thing in [motion.thing]}
    if noun in finished:
        raise PlanningError(ErrorCode.NO_PLAN, f"{rest!r} speaks of what is done already")
    return units[0], units[0].sentence(thing=f"the {rest.removeprefix('the ')}")


def _noun_of(rest: str) -> str:
    """ "mug" of "the other mug"; empty for "the other one"."""
    word = rest.split()[-1]
    return "" if word in ("one", "other") else word


def _phrase(rest: str, thing: Thing, running: Running) -> str:
    """The thing that is meant: "the other mug" and "the left one" after one of them."""
    if _OTHER.fullmatch(rest):
        return f"the {_other(thing, running)}"
    if found := _ONE.fullmatch(rest):
        return f"the {found['which']} {thing.name.split()[-1]}"
    return f"the {rest.removeprefix('the ')}"


def _other(thing: Thing, running: Running) -> str:
    """Raises: PlanningError: there is no other one, or several."""
    if thing.side in _OPPOSITE:
        return f"{_OPPOSITE[thing.side]} {thing.name}"
    if thing.part is not None:
        raise _which(thing, ())
    own = NOUNS[thing.name].categories if thing.name in NOUNS else ()
    kinds = {kind for kind in own if kind in running.objects}
    others = [
        name
        for kind in sorted(running.objects - kinds)
        if (name := next((name for name, noun in NOUNS.items() if noun.categories == (kind,)), ""))
        and name.split()[-1] == thing.head
    ]
    if len(others) == 1:
        return others[0]
    raise _which(thing, others)


def _which(thing: Thing, others: Sequence[str]) -> PlanningError:
    if not others:
        why = f"it is not known which other {thing.head} there is than the {thing.phrase}"
        return PlanningError(ErrorCode.NO_PLAN, why, f"which {thing.head}: the left or the right one?")
    names = " or ".join(f"the {name}" for name in others)
    return PlanningError(ErrorCode.NO_PLAN, f"the other {thing.head} may be {names}", f"which one: {names}?")


def _with(motions: list[Motion], unit: _Unit, running: Running) -> tuple[Substep, ...]:
    """The remaining substeps with these motions in place of a unit; what is held is used, or put down first."""
    if unit.is_held and motions[0].kind is PICK_UP and motions[0].thing.name == unit.thing.name:
        if motions[0].thing.side in ("", unit.thing.side):
            motions = motions[1:]
            if not motions:
                why = f"the {unit.thing.phrase} is held already"
                raise PlanningError(ErrorCode.NO_PLAN, why, f"where is the {unit.thing.phrase} to go?")
        else:
            motions = [_put_down(unit), *motions]
    elif unit.is_held:
        motions = [_put_down(unit), *motions]
    before, after = running.remaining[: unit.begin], running.remaining[unit.end :]
    return (*before, *map(substep, motions), *after)


def _put_down(unit: _Unit) -> Motion:
    return Motion(PLACE, unit.thing.plain, make_place("on", _TABLE))


# --- both ---


def _revision(remaining: tuple[Substep, ...], taken_as: str) -> Revision:
    if len(remaining) > MAX_SUBSTEPS:
        why = f"{len(remaining)} substeps would be left, expected at most {MAX_SUBSTEPS}"
        raise PlanningError(ErrorCode.INVALID_PLAN, why)
    return Revision(remaining, taken_as)


def _motions(substeps: Sequence[Substep]) -> list[Motion]:
    try:
        return [parse(step.instruction) for step in substeps]
    except PhraseError as error:
        raise PlanningError(ErrorCode.NO_PLAN, f"the plan is not in words that can be corrected: {error}") from error
