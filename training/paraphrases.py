"""Other wordings of substeps: some for training, others held out to see whether unseen words are understood.

A wording is a pattern of the plans' atomic motions with the object's and the place's own words kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.dataset import Sample

PLACES = r"on top of|on|in|into|inside|under|to|next to|between|behind|in front of"


@dataclass(frozen=True)
class Motion:
    """How one atomic motion is said. ``{thing}`` and ``{place}`` stand for the words the plan uses."""

    pattern: re.Pattern[str]
    training: tuple[str, ...]
    held_out: tuple[str, ...]


def _motion(pattern: str, training: Sequence[str], held_out: Sequence[str]) -> Motion:
    return Motion(re.compile(pattern), tuple(training), tuple(held_out))


MOTIONS = (
    _motion(
        r"pick up (?P<thing>.+)",
        [
            "pick up {thing}",
            "pick {thing} up",
            "grasp {thing}",
            "grab {thing}",
            "take {thing}",
            "lift {thing}",
            "get {thing}",
            "fetch {thing}",
            "collect {thing}",
            "seize {thing}",
            "hold {thing}",
            "hoist {thing}",
            "retrieve {thing}",
            "scoop up {thing}",
            "bring {thing} up",
            "take {thing} into the gripper",
            "grasp {thing} and pick it up",
            "reach for {thing} and take it",
            "go to {thing} and pick it up",
            "close the gripper on {thing}",
            "close the fingers around {thing} and go up",
        ],
        ["get hold of {thing}", "grab hold of {thing} and lift it", "lift up {thing}", "raise {thing}"],
    ),
    _motion(
        rf"place (?P<thing>.+?) (?P<place>(?:{PLACES}) .+)",
        [
            "place {thing} {place}",
            "put {thing} {place}",
            "set {thing} {place}",
            "put {thing} down {place}",
            "drop {thing} {place}",
            "leave {thing} {place}",
            "rest {thing} {place}",
            "lower {thing} {place}",
            "position {thing} {place}",
            "deposit {thing} {place}",
            "deliver {thing} {place}",
            "bring {thing} {place}",
            "carry {thing} {place}",
            "stand {thing} {place}",
            "let go of {thing} {place}",
            "let {thing} go {place}",
            "take {thing} and put it {place}",
            "{place}, place {thing}",
        ],
        ["set {thing} down {place}", "place {thing} down {place}", "lay {thing} {place}", "release {thing} {place}"],
    ),
    _motion(
        r"push (?P<thing>.+?) (?P<place>to .+)",
        [
            "push {thing} {place}",
            "slide {thing} {place}",
            "move {thing} {place}",
            "shove {thing} {place}",
            "nudge {thing} {place}",
            "press {thing} {place}",
            "guide {thing} {place}",
            "make {thing} go {place}",
            "push {thing} all the way {place}",
            "push against {thing} until it comes {place}",
        ],
        ["push {thing} over {place}", "slide {thing} along {place}", "shift {thing} {place}"],
    ),
    _motion(
        r"open (?P<thing>.+)",
        [
            "open {thing}",
            "pull {thing} open",
            "pull open {thing}",
            "slide {thing} open",
            "tug {thing} open",
            "bring {thing} open",
            "pull {thing} towards you",
            "pull on {thing} to open it",
        ],
        ["open up {thing}", "draw {thing} open", "get {thing} open"],
    ),
    _motion(
        r"close (?P<thing>.+)",
        [
            "close {thing}",
            "shut {thing}",
            "push {thing} shut",
            "push {thing} closed",
            "slide {thing} shut",
            "press {thing} closed",
            "bring {thing} shut",
            "make {thing} closed",
            "push against {thing} to close it",
        ],
        ["close up {thing}", "push shut {thing}", "get {thing} closed"],
    ),
    _motion(
        r"turn on (?P<thing>.+)",
        [
            "turn on {thing}",
            "turn {thing} on",
            "switch on {thing}",
            "start {thing}",
            "light {thing}",
            "activate {thing}",
            "put {thing} on",
            "turn the knob of {thing} on",
        ],
        ["switch {thing} on", "power on {thing}", "get {thing} turned on"],
    ),
    _motion(
        r"turn off (?P<thing>.+)",
        [
            "turn off {thing}",
            "turn {thing} off",
            "switch off {thing}",
            "stop {thing}",
            "deactivate {thing}",
            "put {thing} out",
            "turn the knob of {thing} off",
        ],
        ["switch {thing} off", "power off {thing}", "get {thing} turned off"],
    ),
)
OPENINGS = ("", "", "", "now ", "please ", "next, ", "then ", "carefully ", "go on and ", "you should ")
CLOSINGS = ("", "", "", "", " now", " please", " carefully", " again", ".")
# Share of rewordings with a verb that does not exist, which looks to the tokenizer as an unknown one does. What is to
# be done then follows from the thing, the place and what there is to see.
MADE_UP_VERBS = 0.15


def training_wordings(instruction: str) -> list[str]:
    """Wordings to train on, the plan's own first; that one alone when no motion fits."""
    return _wordings(instruction, lambda motion: motion.training) or [instruction]


def held_out_wordings(instruction: str) -> list[str]:
    """Wordings never trained on; none when no motion fits."""
    return _wordings(instruction, lambda motion: motion.held_out)


def made_up_wording(instruction: str, random: np.random.Generator) -> str:
    """The thing and the place with a verb that does not exist; the instruction itself when no motion fits."""
    verb = "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), size=random.integers(3, 8)))
    _, words = _motion_of(instruction)
    return " ".join([verb, *words.values()]) if words else instruction


def _wordings(instruction: str, choose) -> list[str]:
    motion, words = _motion_of(instruction)
    return [wording.format(**words) for wording in choose(motion)] if motion else []


def _motion_of(instruction: str) -> tuple[Motion | None, dict[str, str]]:
    """The motion that the instruction asks for and its words for thing and place; None and no words when none fits."""
    for motion in MOTIONS:
        match = motion.pattern.fullmatch(instruction)
        if match:
            return motion, match.groupdict()
    return None, {}


@dataclass(frozen=True)
class Paraphrases:
    """Rewords a share of the samples, ``probability`` of them."""

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"paraphrase probability is {self.probability}, must be in [0, 1]")

    def reword(self, samples: Sequence[Sample], random: np.random.Generator) -> list[Sample]:
        """The samples, some with other words of the same meaning."""
        return [
            replace(sample, instruction=self._wording(sample.instruction, random))
            if random.random() < self.probability
            else sample
            for sample in samples
        ]

    def _wording(self, instruction: str, random: np.random.Generator) -> str:
        wordings = training_wordings(instruction)
        if random.random() < MADE_UP_VERBS:
            wordings = [made_up_wording(instruction, random)]
        return _draw(OPENINGS, random) + _draw(wordings, random) + _draw(CLOSINGS, random)


def _draw(choices: Sequence[str], random: np.random.Generator) -> str:
    return choices[random.integers(len(choices))]
