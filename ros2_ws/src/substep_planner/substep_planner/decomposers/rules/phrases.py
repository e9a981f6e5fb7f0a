"""Noun phrases and places: "the black bowl next to the ramekin", "in the top drawer of the cabinet"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from substep_planner.decomposers.rules.lexicon import CONTAINERS, KNOWN_NOUNS, PRONOUNS, SIDES

_DETERMINERS = re.compile(r"^(?:(?:the|a|an|my|your|one|some)\s+)+")
_SIDE = "|".join(sorted(SIDES, key=len, reverse=True))
_PART = re.compile(
    rf"^(?:(?P<owner1>(?:\w+ )?\w+?)(?:'s|s')\s+)?(?:(?P<side1>{_SIDE})\s+)?(?P<owner2>cabinet |caddy )?"
    rf"(?:(?P<side2>{_SIDE})\s+)?(?P<part>drawer|compartment)"
    rf"(?: (?:on|at|in) the (?P<side3>{_SIDE}))?(?: (?:of|in|on) the (?P<owner3>[\w ]+?))?$"
)
_PART_OWNER = {"drawer": "cabinet", "compartment": "caddy"}

_PARTICIPLE = "(?:that is|that's|which is|standing|sitting|lying|located|placed|resting)"
# A relation chooses among several things of one kind. Pattern -> the form that plans use; {0} is another thing.
_RELATIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\s(?:{_PARTICIPLE}\s+)*(?:{pattern})$"), form)
    for pattern, form in (
        (r"(?:in )?between (.+)", "between {0}"),
        (r"(?:from|at|in) (?:the )?(?:table cent(?:er|re)|(?:cent(?:er|re)|middle) of the table)", "from table center"),
        (r"(?:next to|beside|near to|near|close to|adjacent to|by|by the side of) (.+)", "next to {0}"),
        (rf"(?:on|at|to|in) the ({_SIDE})(?: side)?", "<side>"),
        (r"(?:out of|from inside|from within|inside of|inside|in|within) (.+)", "in {0}"),
        (r"(?:from )?(?:on )?(?:the )?top of (.+)", "on {0}"),
        (r"(?:from )?(?:on|off of|off|atop|upon|from) (.+)", "on {0}"),
        (r"outside(?: of)? (.+)", "outside {0}"),
    )
)  # fmt: skip
_SIDE_RELATIONS = {"left": "on the left", "right": "on the right", "front": "at the front", "back": "at the back",
                   "middle": "in the middle"}  # fmt: skip

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
class Thing:
    """What a noun phrase names: ``side`` and ``relation`` choose among several things called ``name``."""

    name: str
    side: str = ""
    relation: str = ""

    @property
    def head(self) -> str:
        """The noun that says what it is: "drawer" of "top drawer of the cabinet"."""
        return self.name.split(" of ")[0].split()[-1]

    @property
    def phrase(self) -> str:
        return " ".join(word for word in (self.side, self.name, self.relation) if word)

    @property
    def plain(self) -> Thing:
        """Without what may no longer be true once it is held."""
        return Thing(self.name)


@dataclass(frozen=True)
class Place:
    """A destination: preposition and thing, e.g. "on top of" the cabinet."""

    preposition: str
    thing: Thing

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
    matches = [(found, form) for pattern, form in _RELATIONS if (found := pattern.search(text))]
    if matches:
        found, form = min(matches, key=lambda match: match[0].start())
        return replace(read_thing(text[: found.start()]), relation=_relation(form, found))
    words = text.split()
    side = SIDES.get(words[0], "") if len(words) > 1 else ""
    name = " ".join(words[1:] if side else words)
    if not re.fullmatch(r"[a-z][a-z0-9' &-]*", name) or name in SIDES or not _NOT_IN_NAMES.isdisjoint(name.split()):
        raise PhraseError(f"{text!r} cannot be read as the name of a thing")
    return Thing(name, side)


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
        elif re.search(r"\b(?:drawer|compartment)\s$", text[: word.start()]) and _OF_A_PART.match(rest):
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
    """Chooses between "on" and "in" where the sentence said "to"."""
    if preposition == "to":
        preposition = "in" if thing.head in CONTAINERS else "on"
    if preposition == "on" and thing.head in CONTAINERS - {"bowl", "microwave"}:
        preposition = "in"
    if preposition == "on top of" and thing.head == "drawer":  # the top of a drawer is the cabinet's
        thing = Thing(thing.name.split(" of the ")[-1])
    elif preposition == "on top of" and thing.head not in ("cabinet", "shelf", "microwave"):
        preposition = "on"
    return Place(preposition, thing)


def singular(text: str) -> str | None:
    """For example "mugs" -> "mug"; None when the phrase is not a known noun's plural."""
    words = text.split()
    for ending, replacement in (("shelves", "shelf"), ("boxes", "box"), ("s", "")):
        if words and words[-1].endswith(ending) and words[-1] not in KNOWN_NOUNS:
            noun = words[-1].removesuffix(ending) + replacement
            if noun in KNOWN_NOUNS:
                return " ".join([*words[:-1], noun])
    return None


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
    owner = found["owner1"] or found["owner2"] or found["owner3"] or _PART_OWNER[found["part"]]
    owner = _DETERMINERS.sub("", owner.strip())
    if owner == found["part"]:  # "top drawer of the drawer": LIBERO calls the cabinet so now and then
        owner = _PART_OWNER[found["part"]]
    if len(sides) != 1:
        raise PhraseError(f"{text!r} does not say which {found['part']}: top, middle, bottom, left, …")
    return Thing(f"{sides[0]} {found['part']} of the {owner}")


def _relation(form: str, found: re.Match[str]) -> str:
    if form == "<side>":
        side = SIDES[found[1]]
        if side not in _SIDE_RELATIONS:
            raise PhraseError(f"{found[0].strip()!r} does not say which of several things stands where")
        return _SIDE_RELATIONS[side]
    if form.startswith("between"):
        others = [read_thing(other) for other in re.split(r"\s(?:and|&)\s", found[1])]
        if len(others) != 2:
            raise PhraseError(f"'between' needs two things, got {found[1]!r}")
        return f"between the {others[0].phrase} and the {others[1].phrase}"
    return form.format(*(f"the {read_thing(other).phrase}" for other in found.groups()))
