"""From sentences to atomic motions in a workable order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from substep_core.language.motions import (
    CLOSE,
    OPEN,
    PICK_UP,
    PLACE,
    PUSH,
    STACK,
    TURN_OFF,
    TURN_ON,
    Motion,
    MotionKind,
)
from substep_core.language.nouns import HEADS, singular
from substep_core.language.phrases import (
    PRONOUNS,
    PhraseError,
    Place,
    Relation,
    Thing,
    make_place,
    read_thing,
    split_destination,
)
from substep_core.language.sentence import Clause, clauses, conjuncts, protect_conjunctions

_OPPOSITE = {"left": "right", "right": "left"}


_OPENABLE_PRONOUNS = frozenset(
    {"door", "the door", "its door", "drawer", "the drawer", "that drawer", "the same drawer"}
)


@dataclass
class _Reader:
    """Reads clauses one after the other and remembers what "it" may mean.

    ``in_hand``: what is put somewhere is in the hand already, so nothing but its name is said of it.
    """

    in_hand: bool = False
    motions: list[Motion] = field(default_factory=list)
    held: list[Thing] = field(default_factory=list)  # to be picked up; their pick is written when they are placed
    deferred: list[Motion] = field(default_factory=list)  # need a free hand
    moved: list[Thing] = field(default_factory=list)  # what "it" means to a put
    place: Thing | None = None  # what "on it" means
    openable: Thing | None = None
    stacked: tuple[Thing, Thing] | None = None

    def read(self, clause: Clause) -> None:
        {
            PICK_UP: self._pick,
            PLACE: self._put,
            STACK: self._stack,
            OPEN: self._operate,
            CLOSE: self._operate,
            TURN_ON: self._operate,
            TURN_OFF: self._operate,
            PUSH: self._push,
        }[clause.kind](clause)

    def finish(self) -> list[Motion]:
        if len(self.held) > 1:
            names = " and ".join(thing.phrase for thing in self.held)
            raise PhraseError(f"one gripper cannot hold {names}: the sentence does not say where to put them")
        for thing in self.held:
            self._write(PICK_UP, thing)
        if self.held and self.deferred:
            raise PhraseError(f"'{self.deferred[0].kind.name}' needs a free hand, but the {self.held[0].name} is held")
        return self.motions + self.deferred

    def _pick(self, clause: Clause) -> None:
        if re.search(r"(?<!next )(?<!close )(?<!near )(?<!adjacent )\b(?:onto|into|to)\b", clause.rest):
            return self._put(clause)  # "get the bowl onto the plate"
        things = self._things(clause.rest)
        if self.held:
            raise PhraseError(f"the {self.held[0].name} is still held when the {things[0].name} is to be picked up")
        self.held = self.moved = things

    def _put(self, clause: Clause) -> None:
        for what, preposition, where in self._placements(clause.rest):
            things = self._objects(what)
            place = self._place(preposition, where)
            if self._places_a_stack(what, things):
                self._place_stack(place)
            else:
                self._carry(things, place)
            if len(things) == 1 and place.preposition == "on" and not place.thing.affordances.fixed:
                self.stacked = (things[0], place.thing)
        self._write_deferred()

    def _stack(self, clause: Clause) -> None:
        try:
            what, preposition, where = split_destination(clause.rest, first=self.in_hand)
        except PhraseError:  # "stack the left bowl and the right bowl", "stack both bowls"
            things = self._things(clause.rest)
            if len(things) != 2:
                raise
            lower, upper = things
        else:
            upper = self._object(what)
            lower = self._place(preposition, where).thing
        self._carry([upper], Place("on", lower))
        self.stacked = (upper, lower)

    def _operate(self, clause: Clause) -> None:
        opening = clause.kind in (OPEN, CLOSE)
        for text in conjuncts(clause.rest):
            thing = self._operated(text, opening)
            if thing.head in HEADS and not (thing.affordances.opens if opening else thing.affordances.switches):
                raise PhraseError(f"the {thing.phrase} has nothing to {clause.kind.name}")
            if self.held and clause.kind in (CLOSE, TURN_OFF):
                self.deferred.append(Motion(clause.kind, thing))
            else:
                self._write(clause.kind, thing)
            self.place = thing
            if opening:
                self.openable = thing

    def _push(self, clause: Clause) -> None:
        what, preposition, where = split_destination(clause.rest)
        if not preposition.startswith("to"):  # "slide the pan under the shelf" is no push along the table
            return self._put(clause)
        thing = self._object(what)
        self._write(PUSH, thing, self._place(preposition, where))
        self.moved = [thing]

    def _placements(self, text: str) -> list[tuple[str, str, str]]:
        """(things, preposition, place) of a put; "A on B and C on D" are two, "A and B in C" is one."""
        groups: list[list[str]] = [[]]
        for part in conjuncts(text):
            if groups[-1] and _has_destination(groups[-1][-1]):
                groups.append([])
            groups[-1].append(part)
        placements: list[tuple[str, str, str]] = []
        for group in groups:
            if placements and not _has_destination(group[-1]):  # "the left mug on the plate and then the right one"
                placements.append((" and ".join(group), *placements[-1][1:]))
                continue
            what, preposition, where = split_destination(group[-1], first=self.in_hand)
            placements.append((" and ".join([*group[:-1], what]), preposition, where))
        return placements

    def _objects(self, text: str) -> list[Thing]:
        """Things to be moved; a pronoun, or nothing at all, means those last picked up or moved."""
        if text in PRONOUNS or not text:
            if not (self.held or self.moved):
                raise PhraseError(f"{text or 'it'!r} refers to nothing")
            return self.held or self.moved
        return self._things(text)

    def _object(self, text: str) -> Thing:
        things = self._objects(text)
        if len(things) != 1:
            raise PhraseError(f"{text!r} names {len(things)} things, expected one")
        return things[0]

    def _things(self, text: str) -> list[Thing]:
        things: list[Thing] = []
        for part in conjuncts(text):
            things += self._pair(part) or [self._thing(part)]
        if not things:
            raise PhraseError("it is not said what to act on")
        return things

    def _pair(self, text: str) -> list[Thing] | None:
        """For example "both mugs", "the two mugs" -> left and right mug."""
        found = re.match(r"^(?:(?:both|two|the|of)\s+)+(.+)$", text)
        noun = singular(found[1] if found else text)
        if noun is None:
            return None
        if not re.match(r"^(?:the\s+)?(?:both|two)\b", text):
            raise PhraseError(f"{text!r} does not say how many: write 'both', or name them one by one")
        return [replace(read_thing(noun), side="left"), replace(read_thing(noun), side="right")]

    def _thing(self, text: str) -> Thing:
        last = self.moved or self.held
        thing = read_thing(_completed(text, last[-1] if last else None))
        if thing.affordances.fixed:
            raise PhraseError(f"the {thing.phrase} cannot be moved")
        if thing.relation and thing.relation.word == "in" and thing.relation.things[0].head == "drawer":
            self.openable = thing.relation.things[0]
        return thing

    def _place(self, preposition: str, text: str) -> Place:
        if text in PRONOUNS or not text:
            known = self.openable if preposition == "in" and self.openable else self.place
            if known is None:
                raise PhraseError(f"{preposition!r} {text or 'there'!r} refers to nothing")
            return make_place(preposition, known)
        state = re.match(r"^(?:the\s+)?(open|opened|closed|shut)\s+", text)
        place = make_place(preposition, self._place_thing(text[state.end() :] if state else text))
        if state and state[1] in ("closed", "shut"):
            self._write(OPEN, place.thing)
        self.place = place.thing
        if place.thing.affordances.opens:
            self.openable = place.thing
        return place

    def _place_thing(self, text: str) -> Thing:
        if self.openable is not None and text in _OPENABLE_PRONOUNS:
            return self.openable
        return read_thing(_completed(text, self.place))

    def _operated(self, text: str, opening: bool) -> Thing:
        if opening and self.openable is not None and text in _OPENABLE_PRONOUNS:
            return self.openable
        if opening and self.openable is not None:  # "the top one"
            text = re.sub(r"\b(?:other )?one$", self.openable.head, text)
        if text not in PRONOUNS:
            return read_thing(text)
        thing = self.openable if opening else self.place
        if thing is None:
            raise PhraseError(f"{text!r} refers to nothing")
        return thing

    def _carry(self, things: list[Thing], place: Place) -> None:
        if self.held and not _same_things(things, self.held):
            raise PhraseError(f"the {self.held[0].name} is still held when the {things[0].name} is to be placed")
        for thing in self.held or things:
            if thing == place.thing:
                raise PhraseError(f"the {thing.phrase} cannot be placed on or in itself")
            self._write(PICK_UP, thing)
            self._write(PLACE, thing.plain, place)
        self.held, self.moved = [], things

    def _places_a_stack(self, what: str, things: list[Thing]) -> bool:
        named = {thing.name for thing in things}
        return self.stacked is not None and (what in ("them", "both", "both of them") or named == {"stack"})

    def _place_stack(self, place: Place) -> None:
        """A stack cannot be lifted as one: what is below goes to the place first, then the other onto it."""
        upper, lower = self.stacked
        del self.motions[-2:]
        self._carry([lower], place)
        there, away = ("in", "outside") if place.preposition == "in" else ("on", "next to")
        self._write(PICK_UP, Thing(upper.name, relation=Relation(away, (place.thing,))))
        self._write(PLACE, upper.plain, Place("on", Thing(lower.name, relation=Relation(there, (place.thing,)))))

    def _write(self, kind: MotionKind, thing: Thing, place: Place | None = None) -> None:
        self.motions.append(Motion(kind, thing, place))

    def _write_deferred(self) -> None:
        if not self.held:
            self.motions += self.deferred
            self.deferred = []


def read(sentence: str) -> list[Motion]:
    """Atomic motions that a sentence asks for, in a workable order.

    Raises:
        PhraseError: what is asked for cannot be read, or cannot be done by one gripper.
    """
    reader = _Reader()
    for clause in clauses(sentence):
        reader.read(clause)
    return _told_apart(reader.finish())


@lru_cache(maxsize=4096)
def parse(text: str) -> Motion:
    """The one motion of a substep such as "place the mug on the plate", whose object is in the hand already.

    The inverse of ``Motion.text``; other words for the same are understood too.

    Raises:
        PhraseError: it cannot be read, or is more than one motion.
    """
    found = clauses(text)
    if len(found) != 1:
        raise PhraseError(f"it is {len(found)} motions, expected one")
    reader = _Reader(in_hand=True)
    reader.read(found[0])
    motions = reader.finish()
    if [motion.kind for motion in motions] == [PICK_UP, PLACE]:
        return replace(motions[1], thing=replace(motions[1].thing, side=motions[0].thing.side))
    if len(motions) != 1:
        raise PhraseError(f"it is {len(motions)} motions, expected one")
    return motions[0]


def _completed(text: str, last: Thing | None) -> str:
    """What is meant by "the right one", "the other plate" or "the other" after the last thing of that kind."""
    found = re.match(r"^(?:the\s+)?(?:(other)\s*)?(.*?)\s*(?:\b(one))?$", text)
    other, rest, one = found.groups()
    if not other and not one:
        return text
    if last is None:
        raise PhraseError(f"{text!r} refers to nothing")
    name = protect_conjunctions(last.name)
    if other and rest in ("", name):
        if last.side not in _OPPOSITE:
            raise PhraseError(f"{text!r} does not say which: the one before was not called left or right")
        return f"{_OPPOSITE[last.side]} {name}"
    return f"{rest} {name}" if one else text


def _told_apart(motions: list[Motion]) -> list[Motion]:
    """Motions that would read the same ("place the mug on the plate") keep the side that tells their things apart."""
    sides = [before.thing.side if before.kind is PICK_UP else "" for before in motions]
    return [
        replace(motion, thing=replace(motion.thing, side=sides[index - 1]))
        if motion.kind is PLACE and motions.count(motion) > 1
        else motion
        for index, motion in enumerate(motions)
    ]


def _same_things(named: list[Thing], held: list[Thing]) -> bool:
    """Whether they may be the same: "the bowl" may name again what was picked up as "the black bowl"."""
    return len(named) == len(held) and all(
        set(one.name.split()) <= set(other.name.split()) or set(other.name.split()) <= set(one.name.split())
        for one, other in zip(named, held, strict=True)
    )


def _has_destination(text: str) -> bool:
    try:
        split_destination(text)
    except PhraseError:
        return False
    return True
