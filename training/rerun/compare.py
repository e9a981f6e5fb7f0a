"""How far two chunks for one observation lie apart, in the units of the robot contract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import ActionGroup, RobotContract


@dataclass(frozen=True)
class GroupDistance:
    """Of one action group.

    Attributes:
        steps: of each action that both chunks have, the length of the difference; of a gripper in its own values.
        unit: of these; empty for a gripper.
        share: the largest of them as a part of the group's range, which is 1 from its least to its largest command.
    """

    group: str
    unit: str
    steps: tuple[float, ...]
    share: float

    @property
    def largest(self) -> float:
        return max(self.steps)


@dataclass(frozen=True)
class EosView:
    """What a chunk says of its substep's end. index: the action after which it ends; -1: none."""

    probability: float | None
    index: int


@dataclass(frozen=True)
class Comparison:
    """Two chunks. same: bit for bit, EOS probabilities included."""

    groups: tuple[GroupDistance, ...]
    recorded_eos: EosView
    new_eos: EosView
    same: bool

    @property
    def share(self) -> float:
        """The largest of the groups'."""
        return max(group.share for group in self.groups)


def compare(robot: RobotContract, recorded: Chunk, new: Chunk) -> Comparison:
    """Both are chunks for ``robot``, perhaps cut at their EOS after different numbers of actions."""
    length = min(len(recorded.actions), len(new.actions))
    difference = new.actions[:length].astype(np.float64) - recorded.actions[:length]
    groups = tuple(_distance(group, difference[:, robot.action_slice(group)]) for group in robot.action)
    return Comparison(groups, _eos(recorded), _eos(new), _same(recorded, new))


def _distance(group: ActionGroup, difference: np.ndarray) -> GroupDistance:
    lengths = np.linalg.norm(difference, axis=1)
    share = float(lengths.max()) / (group.high - group.low)
    return GroupDistance(group.name, group.unit, tuple((lengths * group.scale).tolist()), share)


def _eos(chunk: Chunk) -> EosView:
    probabilities = chunk.eos_probabilities
    return EosView(float(probabilities.max()) if len(probabilities) else None, int(chunk.eos_index))


def _same(one: Chunk, other: Chunk) -> bool:
    arrays = ((one.actions, other.actions), (one.eos_probabilities, other.eos_probabilities))
    return one.eos_index == other.eos_index and all(np.array_equal(first, second) for first, second in arrays)


def eos_words(view: EosView) -> str:
    """ "0.03, none", "0.91, after action 4"."""
    probability = "–" if view.probability is None else f"{view.probability:.2f}"
    return f"{probability}, {'none' if view.index == NO_EOS else f'after action {view.index + 1}'}"
