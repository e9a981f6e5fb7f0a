"""Training pairs of the completion model: a frame, a substep's words, and whether that substep is done in it.

Negatives are chosen to be hard: frames shortly before an end, the same motion without its effect (``failed``), other
substeps of the task, and the same motion with another thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from substep_core.configuration import configuration
from substep_core.language.motions import PICK_UP, PLACE, Motion
from substep_core.language.phrases import PhraseError
from substep_core.language.reader import parse
from substep_core.plan import Substep
from substep_planner.completion.compact_model import BETWEEN_TEXTS, CompletionInputs, substep_text
from training.completion.frame_selection import NEAR
from training.completion.frames import ShownEpisode
from training.data.augmentation import Augmentation
from training.data.paraphrases import training_wordings


@configuration
class PairShares:
    """How a batch is made up. Shares of what the data lack go to the positives.

    Attributes:
        positive: just done.
        near, before: the active substep, shortly before its end and earlier.
        failed: the motion was made without its effect.
        other: another substep of the task.
        foreign: just done, but with another thing or at another place.
    """

    positive: float = 0.45
    near: float = 0.22
    before: float = 0.08
    failed: float = 0.12
    other: float = 0.06
    foreign: float = 0.07

    def __post_init__(self) -> None:
        total = sum(vars(self).values())
        if any(share < 0 for share in vars(self).values()) or abs(total - 1.0) > 1e-6:
            raise ValueError(f"{self}: shares must be 0 or more and sum to 1, not to {total:g}")


@configuration
class TextVariation:
    """How a substep is worded in training: ``paraphrase`` is the chance of other words for the motion; then the motion
    alone, the effect alone, or both are read."""

    paraphrase: float = 0.5
    motion_alone: float = 0.2
    effect_alone: float = 0.1


@dataclass(frozen=True)
class Shown:
    """A frame of an episode and the substep that is asked about: numbers of all three."""

    episode: int
    position: int
    substep: int


class PairTable:
    """All pairs of the data by kind. Tasks count alike, however many episodes they have."""

    def __init__(self, episodes: Sequence[ShownEpisode]) -> None:
        """Raises: ValueError: no substep comes to its end in them."""
        self.episodes = episodes
        self.kinds: dict[str, list[Shown]] = {kind: [] for kind in vars(PairShares())}
        self._tasks: dict[str, list[list[Shown]]] = {}
        for number, episode in enumerate(episodes):
            for kind, shown in _pairs(number, episode):
                self.kinds[kind].append(shown)
        self.kinds["foreign"] = [shown for shown in self.kinds["positive"] if self._foreign_to(shown)]
        if not self.kinds["positive"]:
            raise ValueError("there is nothing to train on: no frame shows the end of a substep")
        for kind, found in self.kinds.items():
            tasks: dict[tuple[str, str], list[Shown]] = {}
            for shown in found:
                outline = episodes[shown.episode].outline
                tasks.setdefault((outline.suite, outline.task), []).append(shown)
            self._tasks[kind] = list(tasks.values())

    def __str__(self) -> str:
        return ", ".join(f"{len(found)} {kind}" for kind, found in self.kinds.items())

    def draw(self, kind: str, random: np.random.Generator) -> tuple[Shown, Substep, float]:
        """A pair of that kind: the frame, the substep it is asked about, and whether that is done."""
        task = self._tasks[kind][random.integers(len(self._tasks[kind]))]
        shown = task[random.integers(len(task))]
        outline = self.episodes[shown.episode].outline
        if kind == "foreign":
            choices = self._foreign_to(shown)
            return shown, choices[random.integers(len(choices))], 0.0
        truth = outline.truth(int(self.episodes[shown.episode].numbers[shown.position]), shown.substep)
        return shown, outline.substeps[shown.substep], truth

    def _foreign_to(self, shown: Shown) -> tuple[Substep, ...]:
        outline = self.episodes[shown.episode].outline
        return foreign_substeps(outline.substeps[shown.substep], outline.substeps, self._substeps(outline.suite))

    @cache  # noqa: B019  one table lives as long as its run
    def _substeps(self, suite: str) -> tuple[Substep, ...]:
        found = {substep: None for e in self.episodes if e.outline.suite == suite for substep in e.outline.substeps}
        return tuple(found)


def _pairs(number: int, episode: ShownEpisode) -> Iterator[tuple[str, Shown]]:
    outline = episode.outline
    for position, frame in enumerate(map(int, episode.numbers)):
        for substep in range(len(outline.substeps)):
            truth = outline.truth(frame, substep)
            if truth is None:
                continue
            shown = Shown(number, position, substep)
            if outline.failed is not None:
                yield "failed", shown
            elif truth == 1.0:
                yield "positive", shown
            elif substep == outline.active(frame):
                yield "near" if outline.offset(frame, substep) >= -NEAR else "before", shown
            elif truth == 0.0 and is_other(outline.substeps[substep], outline.substeps[outline.active(frame)]):
                yield "other", shown


def motion_of(instruction: str) -> Motion | None:
    """None where the words are not those of the shared vocabulary."""
    try:
        return parse(instruction)
    except PhraseError:
        return None


def is_other(asked: Substep, active: Substep) -> bool:
    """Whether the end of ``active`` says nothing for ``asked``: another motion, or a thing that is surely another."""
    a, b = motion_of(asked.instruction), motion_of(active.instruction)
    return a is not None and b is not None and (a.kind is not b.kind or not _related(a.thing.name, b.thing.name))


@cache
def foreign_substeps(done: Substep, plan: tuple[Substep, ...], choices: tuple[Substep, ...]) -> tuple[Substep, ...]:
    """Those ``choices`` that are surely not done just after ``done``, though the gripper has done the like."""
    own, things = motion_of(done.instruction), [motion_of(substep.instruction) for substep in plan]
    if own is None or None in things:
        return ()
    names = [motion.thing.name for motion in things]
    found = []
    for choice in choices:
        other = motion_of(choice.instruction)
        if other is None or other.kind is not own.kind or other.kind not in (PICK_UP, PLACE):
            continue
        is_another_thing = not any(_related(other.thing.name, name) for name in names)
        if is_another_thing or _is_another_place(own, other):
            found.append(choice)
    return tuple(found)


def _is_another_place(own: Motion, other: Motion) -> bool:
    if own.place is None or other.place is None or own.thing.name != other.thing.name:
        return False
    return not _related(own.place.thing.name, other.place.thing.name)


def _related(a: str, b: str) -> bool:
    """ "white mug" may be said of a "yellow and white mug"."""
    return a.endswith(b) or b.endswith(a)


@dataclass(frozen=True)
class PairStream:
    """Endless batches; ``batch(n)`` is the same whenever it is asked for."""

    table: PairTable
    inputs: CompletionInputs
    batch_size: int
    seed: int
    shares: PairShares
    texts: TextVariation
    augmentation: Augmentation

    def batch(self, number: int) -> Mapping[str, Tensor]:
        """``images`` (B, cameras, S, S, 3) uint8, ``input_ids`` and ``attention_mask`` (B, L), ``done`` (B,)."""
        random = np.random.default_rng((self.seed, number))
        kinds, shares = self._shares()
        drawn = [self.table.draw(kinds[kind], random) for kind in random.choice(len(kinds), self.batch_size, p=shares)]
        views = [self.table.episodes[shown.episode].views(shown.position) for shown, _, _ in drawn]
        images = np.stack([self.inputs.images(view) for view in views])
        ids, mask = self.inputs.texts([self._words(substep, random) for _, substep, _ in drawn])
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        return {
            "images": self.augmentation.apply(torch.from_numpy(images), generator),
            "input_ids": ids,
            "attention_mask": mask,
            "done": torch.tensor([done for _, _, done in drawn]),
        }

    def _words(self, substep: Substep, random: np.random.Generator) -> str:
        """A wording; the plan's own where the model could not read that one whole."""
        words = wording(substep, self.texts, random)
        return words if self.inputs.tokenizer.fits(words) else substep_text(substep)

    def _shares(self) -> tuple[list[str], np.ndarray]:
        found = {kind: share if self.table.kinds[kind] else 0.0 for kind, share in vars(self.shares).items()}
        found["positive"] += 1.0 - sum(found.values())
        shares = np.array(list(found.values()))
        return list(found), shares / shares.sum()


def wording(substep: Substep, variation: TextVariation, random: np.random.Generator) -> str:
    """What is read of a substep this time."""
    motion = substep.instruction
    if random.random() < variation.paraphrase:
        choices = training_wordings(motion)
        motion = choices[random.integers(len(choices))]
    what = random.random()
    if what < variation.motion_alone:
        return motion
    if what < variation.motion_alone + variation.effect_alone:
        return substep.expected_effect
    return motion + BETWEEN_TEXTS + substep.expected_effect
