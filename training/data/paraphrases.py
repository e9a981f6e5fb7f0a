"""Other wordings of substeps: some for training, others held out to see whether unseen words are understood.

The object's and the place's own words are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from substep_core.language.motions import MotionKind, Use, split_verb
from substep_core.language.phrases import PhraseError, split_destination

if TYPE_CHECKING:
    from training.data.dataset import Sample

OPENINGS = ("", "", "", "now ", "please ", "next, ", "then ", "carefully ", "go on and ", "you should ")
CLOSINGS = ("", "", "", "", " now", " please", " carefully", " again", ".")
# Share of rewordings with a verb that does not exist, which looks to the tokenizer as an unknown one does. What is to
# be done then follows from the thing, the place and what there is to see.
MADE_UP_VERBS = 0.15


def training_wordings(instruction: str) -> list[str]:
    """Wordings to train on, the plan's own first; that one alone when no motion fits."""
    return _wordings(instruction, Use.TRAINING) or [instruction]


def held_out_wordings(instruction: str) -> list[str]:
    """Wordings never trained on; none when no motion fits."""
    return _wordings(instruction, Use.HELD_OUT)


def made_up_wording(instruction: str, random: np.random.Generator) -> str:
    """The thing and the place with a verb that does not exist; the instruction itself when no motion fits."""
    verb = "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), size=random.integers(3, 8)))
    _, words = _taken_apart(instruction)
    return " ".join([verb, *words.values()]) if words else instruction


def _wordings(instruction: str, use: Use) -> list[str]:
    kind, words = _taken_apart(instruction)
    return [wording.format(**words) for wording in kind.wordings(use)] if kind else []


def _taken_apart(instruction: str) -> tuple[MotionKind | None, dict[str, str]]:
    """The motion and the words as they are for ``{thing}`` and ``{place}``; None unless it begins as plans do."""
    kind, rest = split_verb(instruction) or (None, "")
    if kind is None or not instruction.startswith(f"{kind.name} "):
        return None, {}
    if not kind.has_place:
        return kind, {"thing": rest}
    try:
        thing, _, _ = split_destination(rest, first=True)
    except PhraseError:
        return None, {}
    return kind, {"thing": thing, "place": rest.removeprefix(thing).strip()}


@dataclass(frozen=True)
class Paraphrases:
    """Rewords a share of the samples, ``probability`` of them."""

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"paraphrase probability is {self.probability}, must be in [0, 1]")

    def reword(
        self, samples: Sequence[Sample], random: np.random.Generator, fits: Callable[[str], bool]
    ) -> list[Sample]:
        """The samples, some with other words of the same meaning.

        Args:
            fits: whether the model can read a text whole; one that it cannot is left as it was.
        """
        words = [
            self._wording(sample.instruction, random) if random.random() < self.probability else sample.instruction
            for sample in samples
        ]
        return [
            replace(sample, instruction=text) if text != sample.instruction and fits(text) else sample
            for sample, text in zip(samples, words, strict=True)
        ]

    def _wording(self, instruction: str, random: np.random.Generator) -> str:
        wordings = training_wordings(instruction)
        if random.random() < MADE_UP_VERBS:
            wordings = [made_up_wording(instruction, random)]
        return _draw(OPENINGS, random) + _draw(wordings, random) + _draw(CLOSINGS, random)


def _draw(choices: Sequence[str], random: np.random.Generator) -> str:
    return choices[random.integers(len(choices))]
