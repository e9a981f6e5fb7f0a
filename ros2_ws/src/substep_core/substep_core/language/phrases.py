"""Noun phrases and places: "the black bowl next to the ramekin", "in the top drawer of the cabinet"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from substep_core.language.nouns import PARTS, Affordances, affordances_of, can_be_reached, has_room

PRONOUNS = frozenset({"it", "them", "this", "that", "these", "those", "both", "each", "both of them"})
SIDES = {
    "left": "left", "leftmost": "left", "left-hand": "left", "right": "right", "rightmost": "right",
    "right-hand": "right", "middle": "middle", "central": "middle", "center": "middle", "centre": "middle",
    "front": "front", "frontmost": "front", "back": "back", "rear": "back", "rearmost": "back", "top": "top",
    "topmost": "top", "uppermost": "top", "upper": "top", "bottom": "bottom", "lower": "bottom", "lowest": "bottom",
    "bottommost": "bottom", "lowermost": "bottom",
}  # fmt: skip
_DETERMINERS = re.compile(r"^(?:(?:the|a|an|my|your|one|some)\s+)+")
_PARTS = "|".join(PARTS)
_SIDE = "|".join(sorted(SIDES, key=len, reverse=True))
_PART = re.compile(
    rf"^(?:(?P<owner1>(?:\w+ )?\w+?)(?:'s|s')\s+)?(?:(?P<side1>{_SIDE})\s+)?(?P<owner2>cabinet |caddy )?"
    rf"(?:(?P<side2>{_SIDE})\s+)?(?P<part>{_PARTS})"
    rf"(?: (?:on|at|in) the (?P<side3>{_SIDE}))?(?: (?:of|in|on) the (?P<owner3>[\w ]+?))?$"
)

_PARTICIPLE = "(?:that is|that's|which is|standing|sitting|lying|located|placed|resting)"
# A relation chooses among several things of one kind. Pattern -> what it is; groups are other things, or a side.
_RELATIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\s(?:{_PARTICIPLE}\s+)*(?:{pattern})$"), word)
    for pattern, word in (
        (r"(?:in )?between (.+)", "between"),
        (r"(?:from|at|in) (?:the )?(?:table cent(?:er|re)|(?:cent(?:er|re)|middle) of the table)", "table center"),
        (r"(?:next to|beside|near to|near|close to|adjacent to|by|by the side of) (.+)", "next to"),
        (rf"(?:on|at|to|in) the ({_SIDE})(?: side)?", "side"),
        (r"(?:out of|from inside|from within|inside of|inside|in|within) (.+)", "in"),
        (r"(?:from )?(?:on )?(?:the )?top of (.+)", "on"),
        (r"(?:from )?(?:on|off of|off|atop|upon|from) (.+)", "on"),
        (r"outside(?: of)? (.+)", "outside"),
    )
)
# How plans write them.
_FORMS = {
    "left": "on the left", "right": "on the right", "front": "at the front", "back": "at the back",
    "middle": "in the middle", "table center": "from table center", "between": "between {} and {}",
    "next to": "next to {}", "in": "in {}", "on": "on {}", "outside": "outside {}",
}  # fmt: skip

# Prepositions of a destination -> the one that plans use, longest first. "to" is decided by what is there.
_DESTINATIONS: tuple[tuple[str, str], ...] = (
    (r"(?:on|onto|to|at) the (left|right|front|back)(?: hand)?(?: side)? of", "to the {0} of"),
    (r"(?:just )?(left|right) of", "to the {0} of"),
    (r"in front of", "to the front of"),
    (r"behind", "to the back of"),
    (r"(?:on|onto|to) (?:the )?top of|atop", "on top of"),
    (r"(?:on|onto|in|into) the (?:bottom|lower) (?:layer|level|part|shelf) of", "under"),
    (r"underneath|under|beneath|below", "under"),
    (r"inside of|inside|into|in|within", "in"),
    (r"onto|upon|over to|on", "on"),
    (r"to", "to"),
)
_BESIDE = r"next to|beside|near to|near|close to|adjacent to"
_HINT = re.compile(r"(.*?)\s*\b(inside|in there|on there|there|(?:to|on) its (left|right)(?: side)?)$")
# Words that cannot be part of a thing's name: meeting one there means that the phrase was not understood.
_NOT_IN_NAMES = frozenset(
    "to onto into with from of its next then and the on in under at by for so that which who this there up down "
    "together them it is are out off over against around where".split()
)
_OF_A_PART = re.compile(rf"(?:on|at|in) the (?:{_SIDE}) of\b")
_POSITION = re.compile(
    rf"^(?:on|at|in|to) the (?:{_SIDE})(?: side)?(?=$|\s(?:on|onto|in|into|inside|to|under|next|of the)\s)(?! of)"
)


class PhraseError(ValueError):
    """A phrase cannot be read; the message says why."""


@dataclass(frozen=True)
class Relation:
    """Attributes:

    word: "left", "right", "front", "back", "middle", "table center", "between", "next to", "in", "on" or "outside".
    things: to which; two for "between", none for the first six.
    """

    word: str
    things: tuple[Thing, ...] = ()

    @property
    def phrase(self) -> str:
        return _FORMS[self.word].format(*(f"the {thing.phrase}" for thing in self.things))


@dataclass(frozen=True)
class Part:
    """For example the "top" "drawer" of the "cabinet"."""

    side: str
    noun: str
    owner: str


@dataclass(frozen=True)
class Thing:
    """What a noun phrase names: ``side`` and ``relation`` choose among several things called ``name``."""

    name: str
    side: str = ""
    relation: Relation | None = None

    @property
    def part(self) -> Part | None:
        """None for a whole thing."""
        what, of, owner = self.name.partition(" of the ")
        return Part(*what.split(), owner) if of else None

    @property
    def whole(self) -> str:
        """The name without what is only a part: "cabinet" for its top drawer."""
        return self.part.owner if self.part else self.name

    @property
    def head(self) -> str:
        """The noun that says what it is: "drawer" for the top drawer of the cabinet."""
        return self.part.noun if self.part else self.name.split()[-1]

    @property
    def affordances(self) -> Affordances:
        return affordances_of(self.head)

    @property
    def phrase(self) -> str:
        return " ".join(word for word in (self.side, self.name, self.relation and self.relation.phrase) if word)

    @property
    def plain(self) -> Thing:
        """Without what may no longer be true once it is held."""
        return Thing(self.name)


@dataclass(frozen=True)
class Place:
    """A destination. ``preposition``: "on", "in", "under", "on top of", "next to" or "to the left of" and its like."""

    preposition: str
    thing: Thing

    @property
    def side(self) -> str:
        """The side of the thing, "left", "right", "front" or "back"; empty where it is none."""
        found = re.fullmatch("to the (.+) of", self.preposition)
        return found[1] if found else ""

    @property
    def phrase(self) -> str:
        return f"{self.preposition} the {self.thing.phrase}"


def read_thing(text: str) -> Thing:
    """A noun phrase, not a pronoun.

    Raises:
        PhraseError: there is no noun in it.
    """
    text = _DETERMINERS.sub("", text.strip())
    if not text or text in PRONOUNS:
        raise PhraseError(f"{text!r} does not name a thing" if text else "a thing is missing")
    if part := _read_part(text):
        return part
    matches = [(found, word) for pattern, word in _RELATIONS if (found := pattern.search(text))]
    if matches:
        found, word = min(matches, key=lambda match: match[0].start())
        return replace(read_thing(text[: found.start()]), relation=_relation(word, found))
    words = text.split()
    side = SIDES.get(words[0], "") if len(words) > 1 else ""
    name = " ".join(words[1:] if side else words)
    if not re.fullmatch(r"[a-z][a-z0-9' &-]*", name) or name in SIDES or not _NOT_IN_NAMES.isdisjoint(name.split()):
        raise PhraseError(f"{text!r} cannot be read as the name of a thing")
    return Thing(name.replace(" & ", " and "), side)


def split_destination(text: str, *, first: bool = False) -> tuple[str, str, str]:
    """For example "the bowl on the stove on the plate" -> ("the bowl on the stove", "on", "the plate").

    The last destination wins, what stands before it belongs to the thing; or the first does, and what follows belongs
    to the place. The rest is empty when the place is only hinted at ("inside", "there").

    Raises:
        PhraseError: there is no destination.
    """
    if found := _HINT.match(text):
        if found[3]:
            return found[1], f"to the {found[3]} of", ""
        return found[1], "on" if found[2] == "on there" else "in" if "in" in found[2] else "to", ""
    best: tuple[int, int, str] | None = None
    position = 0
    while word := re.compile(r"\b\w").search(text, position):
        rest = text[word.start() :]
        if skipped := _POSITION.match(rest) or re.match(rf"(?:{_BESIDE})\s", rest):
            position = word.start() + skipped.end()
        elif re.search(rf"\b(?:{_PARTS})\s$", text[: word.start()]) and _OF_A_PART.match(rest):
            position = word.start() + 2  # "the compartment at the back of the caddy" is one thing
        elif found := _destination_at(rest):
            if best is None or not first:
                best = (word.start(), word.start() + found[0], found[1])
            position = word.start() + found[0]
        else:
            position = word.start() + len(re.match(r"[\w'-]+", rest)[0])
    if best is None:
        if found := re.search(rf"\s(?:{_BESIDE})\s", f" {text}"):
            return text[: found.start()].strip(), "next to", text[found.end() - 1 :].strip()
        raise PhraseError(f"{text!r} does not say where to put it")
    return text[: best[0]].strip(), best[2], text[best[1] :].strip()


def make_place(preposition: str, thing: Thing) -> Place:
    """Chooses between "on" and "in" where the sentence said "to".

    Raises:
        PhraseError: nothing can be put there.
    """
    if preposition == "to":
        preposition = "in" if thing.affordances.container else "on"
    if preposition == "on top of" and thing.head == "drawer":  # the top of a drawer is the cabinet's
        thing = Thing(thing.whole)
    elif preposition == "on top of" and not thing.affordances.has_top:
        preposition = "on"
    if preposition == "on" and thing.affordances.is_open_box:
        preposition = "in"
    if not (has_room(preposition, thing.head) and can_be_reached(preposition, thing.head)):
        raise PhraseError(f"nothing can be put {preposition} the {thing.name}")
    return Place(preposition, thing)


def _destination_at(text: str) -> tuple[int, str] | None:
    """Length of the destination preposition that the text begins with, and the form that plans use."""
    for pattern, form in _DESTINATIONS:
        if found := re.match(rf"(?:{pattern})(?=\s)", text):
            return found.end(), form.format(*found.groups())
    return None


def _read_part(text: str) -> Thing | None:
    """Reads parts: "bottom drawer", "cabinet's bottom drawer", "drawer at the bottom of the cabinet" are one thing."""
    if not (found := _PART.match(text)):
        return None
    sides = [SIDES[side] for side in (found["side1"], found["side2"], found["side3"]) if side]
    owner = found["owner1"] or found["owner2"] or found["owner3"] or affordances_of(found["part"]).part_of
    owner = _DETERMINERS.sub("", owner.strip())
    if owner == found["part"]:  # "top drawer of the drawer": LIBERO calls the cabinet so now and then
        owner = affordances_of(found["part"]).part_of
    if len(sides) != 1:
        raise PhraseError(f"{text!r} does not say which {found['part']}: top, middle, bottom, left, …")
    return Thing(f"{sides[0]} {found['part']} of the {owner}")


def _relation(word: str, found: re.Match[str]) -> Relation:
    if word == "side":
        side = SIDES[found[1]]
        if side not in _FORMS:
            raise PhraseError(f"{found[0].strip()!r} does not say which of several things stands where")
        return Relation(side)
    if word == "between":
        others = re.split(r"\s(?:and|&)\s", found[1])
        if len(others) != 2:
            raise PhraseError(f"'between' needs two things, got {found[1]!r}")
        return Relation(word, tuple(map(read_thing, others)))
    return Relation(word, tuple(map(read_thing, found.groups())))
