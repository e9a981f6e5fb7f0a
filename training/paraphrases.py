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
        ["pick up {thing}", "pick {thing} up", "grasp {thing}", "grab {thing}", "take {thing}", "lift {thing}"],
        ["get hold of {thing}", "grab hold of {thing} and lift it", "lift up {thing}", "raise {thing}"],
    ),
    _motion(
        rf"place (?P<thing>.+?) (?P<place>(?:{PLACES}) .+)",
        ["place {thing} {place}", "put {thing} {place}", "set {thing} {place}", "put {thing} down {place}"],
        ["set {thing} down {place}", "place {thing} down {place}", "lay {thing} {place}", "release {thing} {place}"],
    ),
    _motion(
        r"push (?P<thing>.+?) (?P<place>to .+)",
        ["push {thing} {place}", "slide {thing} {place}", "move {thing} {place}"],
        ["push {thing} over {place}", "slide {thing} along {place}", "shift {thing} {place}"],
    ),
    _motion(
        r"open (?P<thing>.+)",
        ["open {thing}", "pull {thing} open", "pull open {thing}"],
        ["open up {thing}", "draw {thing} open", "get {thing} open"],
    ),
    _motion(
        r"close (?P<thing>.+)",
        ["close {thing}", "shut {thing}", "push {thing} shut", "push {thing} closed"],
        ["close up {thing}", "push shut {thing}", "get {thing} closed"],
    ),
    _motion(
        r"turn on (?P<thing>.+)",
        ["turn on {thing}", "turn {thing} on", "switch on {thing}"],
        ["switch {thing} on", "power on {thing}", "get {thing} turned on"],
    ),
    _motion(
        r"turn off (?P<thing>.+)",
        ["turn off {thing}", "turn {thing} off", "switch off {thing}"],
        ["switch {thing} off", "power off {thing}", "get {thing} turned off"],
    ),
)
OPENINGS = ("", "", "", "now ", "please ", "next, ")


def training_wordings(instruction: str) -> list[str]:
    """Wordings to train on, the plan's own first; that one alone when no motion fits."""
    return _wordings(instruction, lambda motion: motion.training) or [instruction]


def held_out_wordings(instruction: str) -> list[str]:
    """Wordings never trained on; none when no motion fits."""
    return _wordings(instruction, lambda motion: motion.held_out)


def _wordings(instruction: str, choose) -> list[str]:
    for motion in MOTIONS:
        match = motion.pattern.fullmatch(instruction)
        if match:
            return [wording.format(**match.groupdict()) for wording in choose(motion)]
    return []


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
        return OPENINGS[random.integers(len(OPENINGS))] + wordings[random.integers(len(wordings))]
