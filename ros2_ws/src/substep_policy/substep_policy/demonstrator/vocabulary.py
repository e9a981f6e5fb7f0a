"""Reads a substep's text: which motion, of what, to where. What the words stand for is for ``grounding``."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PickUp:
    target: str


@dataclass(frozen=True)
class Place:
    """``splits``: every way to read the text as (object, preposition, place), the likeliest first."""

    splits: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Push:
    splits: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Open:
    target: str


@dataclass(frozen=True)
class Close:
    target: str


@dataclass(frozen=True)
class TurnOn:
    target: str


@dataclass(frozen=True)
class TurnOff:
    target: str


Command = PickUp | Place | Push | Open | Close | TurnOn | TurnOff

PREPOSITIONS = (
    "to the left of", "to the right of", "to the front of", "to the back of", "in front of", "behind",
    "next to", "on top of", "on to", "onto", "on", "inside of", "inside", "into", "in", "under", "below",
)  # fmt: skip

_VERBS: tuple[tuple[str, type], ...] = (
    (r"(?:pick up|grasp|grab|take|lift) (.+)", PickUp),
    (r"(?:place|put|set|move|stack) (.+)", Place),
    (r"(?:push|slide) (.+)", Push),
    (r"(?:open|pull open) (.+)", Open),
    (r"(?:close|shut) (.+)", Close),
    (r"(?:turn|switch) on (.+)", TurnOn),
    (r"(?:turn|switch) off (.+)", TurnOff),
)


def parse_command(instruction: str) -> Command:
    """Raises ValueError for text that is not one of the motions above, naming it and what is understood."""
    text = normalise(instruction)
    for pattern, command in _VERBS:
        match = re.fullmatch(pattern, text)
        if match:
            return command(_splits(match[1], text)) if command in (Place, Push) else command(match[1])
    raise ValueError(
        f"substep {instruction!r} is not understood: expected one of 'pick up …', "
        "'place … on|in|under|to the left of …', 'push … to …', 'open …', 'close …', 'turn on …', 'turn off …'"
    )


def normalise(text: str) -> str:
    """Lower case, single spaces, no punctuation."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def _splits(rest: str, text: str) -> tuple[tuple[str, str, str], ...]:
    """The last preposition is the likeliest ("the bowl on the left on the plate"), the longest one first."""
    words = rest.split()
    found = []
    for start in range(len(words) - 1, 0, -1):
        for preposition in PREPOSITIONS:
            length = len(preposition.split())
            if words[start : start + length] == preposition.split() and start + length < len(words):
                found.append((" ".join(words[:start]), preposition, " ".join(words[start + length :])))
    if not found:
        raise ValueError(f"substep {text!r} names no place: expected '… {' | '.join(PREPOSITIONS)} …'")
    return tuple(found)
