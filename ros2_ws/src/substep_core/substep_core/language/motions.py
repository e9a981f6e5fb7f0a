"""The motions that a substep may ask for, and the ways to say each.

A new motion is a new row of ``MOTIONS``; who carries motions out says for each row how (the demonstrator's skills), and
``effects`` what a camera sees when it is done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Flag, auto

from substep_core.language.phrases import Place, Thing
from substep_core.plan import normalise_instruction


class Use(Flag):
    """What a wording is for. What is held out of training shows whether a policy understands words it never heard."""

    PARSED = auto()
    TRAINING = auto()
    HELD_OUT = auto()


P, T, H = Use.PARSED, Use.TRAINING, Use.HELD_OUT


@dataclass(frozen=True)
class MotionKind:
    """One row of the table.

    Attributes:
        name: how the text of a substep begins.
        said: uses and templates; ``{thing}`` and ``{place}`` stand for phrases such as "the mug", "on the plate".
    """

    name: str
    said: tuple[tuple[Use, tuple[str, ...]], ...]

    def wordings(self, use: Use) -> list[str]:
        """The templates for that use, in the order of the table."""
        return [template for uses, templates in self.said if use in uses for template in templates]

    @property
    def has_place(self) -> bool:
        """Whether it ends somewhere that has to be said."""
        return "{place}" in self.said[0][1][0]


PICK_UP = MotionKind(
    "pick up",
    (
        (
            P | T,
            ("pick up {thing}", "pick {thing} up", "grasp {thing}", "grab {thing}", "take {thing}", "lift {thing}"),
        ),
        (P | T, ("get {thing}", "fetch {thing}", "collect {thing}")),
        (T, ("seize {thing}", "hold {thing}", "hoist {thing}")),
        (P | T, ("retrieve {thing}",)),
        (T, ("scoop up {thing}", "bring {thing} up", "take {thing} into the gripper")),
        (T, ("grasp {thing} and pick it up", "reach for {thing} and take it", "go to {thing} and pick it up")),
        (T, ("close the gripper on {thing}", "close the fingers around {thing} and go up")),
        (H, ("get hold of {thing}", "grab hold of {thing} and lift it")),
        (P | H, ("lift up {thing}",)),
        (H, ("raise {thing}",)),
        (P, ("lift {thing} up", "take hold of {thing}", "pick {thing}", "remove {thing}")),
    ),
)
PLACE = MotionKind(
    "place",
    (
        (P | T, ("place {thing} {place}", "put {thing} {place}", "set {thing} {place}")),
        (T, ("put {thing} down {place}",)),
        (P | T, ("drop {thing} {place}", "leave {thing} {place}", "rest {thing} {place}", "lower {thing} {place}")),
        (P | T, ("position {thing} {place}", "deposit {thing} {place}")),
        (T, ("deliver {thing} {place}",)),
        (P | T, ("bring {thing} {place}", "carry {thing} {place}", "stand {thing} {place}")),
        (T, ("let go of {thing} {place}", "let {thing} go {place}", "take {thing} and put it {place}")),
        (T, ("{place}, place {thing}",)),
        (H, ("set {thing} down {place}", "place {thing} down {place}")),
        (P | H, ("lay {thing} {place}", "release {thing} {place}")),
        (P, ("put {thing} {place} away", "set down {thing} {place}", "put down {thing} {place}")),
        (P, ("move {thing} {place}", "transfer {thing} {place}", "insert {thing} {place}", "store {thing} {place}")),
        (P, ("return {thing} {place}", "stow {thing} {place}", "relocate {thing} {place}", "slip {thing} {place}")),
        (P, ("tuck {thing} {place}",)),
    ),
)
PUSH = MotionKind(
    "push",
    (
        (P | T, ("push {thing} {place}", "slide {thing} {place}")),
        (T, ("move {thing} {place}",)),
        (P | T, ("shove {thing} {place}", "nudge {thing} {place}")),
        (T, ("press {thing} {place}", "guide {thing} {place}", "make {thing} go {place}")),
        (T, ("push {thing} all the way {place}", "push against {thing} until it comes {place}")),
        (H, ("push {thing} over {place}", "slide {thing} along {place}", "shift {thing} {place}")),
    ),
)
OPEN = MotionKind(
    "open",
    (
        (P | T, ("open {thing}", "pull {thing} open", "pull open {thing}", "slide {thing} open")),
        (T, ("tug {thing} open", "bring {thing} open", "pull {thing} towards you", "pull on {thing} to open it")),
        (P | H, ("open up {thing}",)),
        (H, ("draw {thing} open", "get {thing} open")),
        (P, ("slide open {thing}", "pull out {thing}", "pull {thing} out")),
    ),
)
CLOSE = MotionKind(
    "close",
    (
        (P | T, ("close {thing}", "shut {thing}", "push {thing} shut", "push {thing} closed", "slide {thing} shut")),
        (T, ("press {thing} closed", "bring {thing} shut", "make {thing} closed", "push against {thing} to close it")),
        (H, ("close up {thing}",)),
        (P | H, ("push shut {thing}",)),
        (H, ("get {thing} closed",)),
        (
            P,
            ("push closed {thing}", "push {thing} in", "push in {thing}", "slide {thing} closed", "slide shut {thing}"),
        ),
    ),
)
TURN_ON = MotionKind(
    "turn on",
    (
        (P | T, ("turn on {thing}", "turn {thing} on", "switch on {thing}")),
        (T, ("start {thing}",)),
        (P | T, ("light {thing}", "activate {thing}")),
        (T, ("put {thing} on", "turn the knob of {thing} on")),
        (P | H, ("switch {thing} on", "power on {thing}")),
        (H, ("get {thing} turned on",)),
        (P, ("power {thing} on", "ignite {thing}")),
    ),
)
TURN_OFF = MotionKind(
    "turn off",
    (
        (P | T, ("turn off {thing}", "turn {thing} off", "switch off {thing}")),
        (T, ("stop {thing}",)),
        (P | T, ("deactivate {thing}",)),
        (T, ("put {thing} out", "turn the knob of {thing} off")),
        (P | H, ("switch {thing} off", "power off {thing}")),
        (H, ("get {thing} turned off",)),
        (P, ("power {thing} off", "shut off {thing}", "shut {thing} off", "extinguish {thing}")),
    ),
)
# Asked for in sentences, but no substep's own word: placing one thing on another of its kind.
STACK = MotionKind("stack", ((P, ("stack {thing} {place} up", "stack {thing} {place}", "pile {thing} {place}")),))
MOTIONS = (PICK_UP, PLACE, PUSH, OPEN, CLOSE, TURN_ON, TURN_OFF)


@dataclass(frozen=True)
class Motion:
    """One atomic motion; ``place`` for those that end somewhere."""

    kind: MotionKind
    thing: Thing
    place: Place | None = None

    @property
    def text(self) -> str:
        """What the policy is told; ``reader.parse`` is the inverse."""
        return f"{self.kind.name} the {self.thing.phrase}" + (f" {self.place.phrase}" if self.place else "")


def in_liberos_manner(motions: Sequence[Motion]) -> str:
    """What is asked for in one sentence: "pick up the mug and place it on the plate, then turn on the stove"."""
    texts: list[str] = []
    for motion, before in zip(motions, (None, *motions), strict=False):
        if motion.kind is PLACE and before is not None and before.kind is PICK_UP:
            texts[-1] += f" and place it {motion.place.phrase}"
        else:
            texts.append(motion.text)
    return ", then ".join(texts)


def _pattern(template: str) -> re.Pattern[str]:
    words = template.replace("{thing} {place}", "{thing}").split()
    return re.compile("^" + r"\s+".join("(.+)" if word == "{thing}" else word for word in words) + "$")


_TEMPLATES = [(template, kind) for kind in (*MOTIONS, STACK) for template in kind.wordings(Use.PARSED)]
# The wordier templates first: "push the drawer closed" is not a push.
_PATTERNS = [
    (_pattern(template), kind)
    for template, kind in sorted(_TEMPLATES, key=lambda entry: entry[0].count(" ") - entry[0].count("{"), reverse=True)
]
VERBS = tuple(sorted({template.split()[0] for template, _ in _TEMPLATES}))


def split_verb(text: str) -> tuple[MotionKind, str] | None:
    """For example "set the mug on the plate" -> (PLACE, "the mug on the plate"); None: no motion begins so."""
    for pattern, kind in _PATTERNS:
        if found := pattern.match(text):
            return kind, found[1]
    return None


def kind_of(text: str) -> MotionKind | None:
    """The motion that a text begins with, whatever follows; None: none."""
    found = split_verb(normalise_instruction(text))
    return found and found[0]


def is_pick(text: str) -> bool:
    """Whether a substep's words say that something is to be picked up."""
    return kind_of(text) is PICK_UP


def is_place(text: str) -> bool:
    """Whether a substep's words say that what is held is to be put somewhere, and so let go."""
    return kind_of(text) in (PLACE, STACK)
