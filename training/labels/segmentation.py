"""Where the substeps of a demonstration end, from the gripper and the end effector alone.

The plan says which substeps to expect; the gripper's closings and openings, taken relative to the episode's own
range, say when objects are grasped and let go; the height and the speed of the end effector say whether a grasp has
held, when it has become a lift, and when the hand has gone from what it let go. Blocks follow each other without gap or
overlap. Of several grippers and end effectors the first count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from substep_core.contract import RobotContract
from substep_core.language.motions import PICK_UP, PLACE, MotionKind, kind_of
from substep_core.plan import Substep
from training.data.grippers import gripper_commands, has_keyframes, keyframes_missing
from training.labels.file import EpisodeLabels, labels_from_boundaries


class SegmentationError(ValueError):
    """The demonstration does not show what the plan says; the message says what is missing."""


@dataclass(frozen=True)
class SegmentationRules:
    """Attributes:

    lift: height gained after a grasp, in metres, that makes a pick complete.
    carry: way on the level between closing and opening, in metres, of a hand that held something. One that went
        neither so far nor as high as ``lift`` missed, and the pick is still to come.
    retreat: distance from where the object was let go, in metres, that makes a place complete.
    hold: seconds that the gripper must stay closed or open to count; shorter ones are chatter.
    patience: seconds after a closing or opening within which lift or retreat must come; else the block ends there.
    """

    lift: float = 0.07
    carry: float = 0.08
    retreat: float = 0.06
    hold: float = 0.2
    patience: float = 2.0


def gripper_closed(command: np.ndarray, hold: int) -> np.ndarray:
    """Gripper command (T,) -> (T,) bool, relative to the episode's own range and without chatter.

    A gripper that never moves counts as open throughout.

    Args:
        command: larger values close, as of ``gripper_commands``.
        hold: timesteps that are no chatter.
    """
    low, high = command.min(), command.max()
    if high - low < 1e-6:
        return np.zeros(len(command), bool)
    closed = (command - low) / (high - low) > 0.5
    starts = np.flatnonzero(np.diff(closed, prepend=~closed[:1]))
    for start, end in zip(starts, [*starts[1:], len(closed)], strict=True):
        if end - start < hold and 0 < start:
            closed[start:end] = closed[start - 1]
    return closed


def segment(
    robot: RobotContract,
    actions: np.ndarray,
    proprio: np.ndarray,
    instruction: str,
    substeps: Sequence[Substep],
    rules: SegmentationRules | None = None,
) -> EpisodeLabels:
    """Labels of an episode: actions (T, A), proprio (T, S) and the plan it follows.

    Raises:
        SegmentationError: there are fewer grasps or releases than the plan needs; or the robot has no gripper or no
            end effector position, and its substeps are to be labelled in another way.
    """
    if not has_keyframes(robot):
        raise SegmentationError(f"{keyframes_missing(robot)}: where its substeps end must be labelled in another way")
    rules = rules or SegmentationRules()
    closed = gripper_closed(gripper_commands(robot, actions)[:, 0], round(rules.hold * robot.rate))
    episode = _Episode(proprio[:, robot.state_slice(robot.position)], closed, rules, robot.rate)
    kinds = [kind_of(substep.instruction) for substep in substeps]
    ends: list[int] = []
    start = 0
    for number, kind in enumerate(kinds):
        if number == len(kinds) - 1:
            end = len(actions) - 1
        else:
            end = episode.end_of(kind, start, kinds[number + 1 :])
        if end < start:
            raise SegmentationError(f"substep {number + 1} {substeps[number].instruction!r} has no timesteps left")
        ends.append(end)
        start = end + 1
    return labels_from_boundaries(instruction, substeps, ends, np.cumsum(episode.closings_mask) - closed)


class _Episode:
    """Gripper events and end-effector motion of one episode."""

    def __init__(self, position: np.ndarray, closed: np.ndarray, rules: SegmentationRules, rate: float) -> None:
        self.position, self.rules, self.length = position, rules, len(position)
        self.patience = round(rules.patience * rate)
        change = np.diff(closed.astype(int), prepend=0)
        self.closings_mask = change == 1
        self.closings, self.openings = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
        self.holds = np.array([closing for closing in self.closings if self._held(int(closing))], int)

    def end_of(self, kind: MotionKind | None, start: int, following: Sequence[MotionKind | None]) -> int:
        """Last timestep of a substep that begins at ``start`` and has others behind it."""
        if kind is PICK_UP:
            return self._lifted(self._next(self.holds, start, "grasp"))
        if kind is PLACE:
            return self._retreated(self._next(self.openings, start, "release"))
        return self._end_of_manipulation(start, following)

    def _end_of_manipulation(self, start: int, following: Sequence[MotionKind | None]) -> int:
        """Opening, closing, pushing, turning: a grasp of its own if there are more grasps than picks to come."""
        grasps = self.closings[self.closings >= start]
        picks = following.count(PICK_UP)
        if len(grasps) > picks:
            return self._retreated(self._next(self.openings, int(grasps[0]), "release"))
        limit = int(grasps[0]) if len(grasps) else self.length - 1
        return self._turning_point(start, limit)

    def _turning_point(self, start: int, limit: int) -> int:
        """Where the hand, having done its work, sets out for the next thing: its slowest moment in the middle part."""
        speed = np.linalg.norm(np.diff(self.position, axis=0, append=self.position[-1:]), axis=1)
        smooth = np.convolve(speed, np.full(5, 0.2), mode="same")
        first, last = start + (limit - start) // 4, start + 3 * (limit - start) // 4
        return first + int(np.argmin(smooth[first : last + 1]))

    def _held(self, closing: int) -> bool:
        """Whether the hand went anywhere before it opened again."""
        later = self.openings[self.openings > closing]
        way = self.position[closing : int(later[0]) + 1 if len(later) else self.length] - self.position[closing]
        return bool(way[:, 2].max() >= self.rules.lift or np.linalg.norm(way[-1, :2]) >= self.rules.carry)

    def _lifted(self, closing: int) -> int:
        """Of a hand that rises less than a lift before it sets out, where it is nearly as high as it gets."""
        height = self.position[:, 2] - self.position[closing, 2]
        limit = self._limit(closing, self.openings)
        highest = 0.95 * height[closing : limit + 1].max(initial=0)
        return self._first(height >= min(self.rules.lift, highest), closing, limit)

    def _retreated(self, opening: int) -> int:
        distance = np.linalg.norm(self.position - self.position[opening], axis=1)
        return self._first(distance >= self.rules.retreat, opening, self._limit(opening, self.closings))

    def _limit(self, event: int, next_events: np.ndarray) -> int:
        """Last timestep to look at after ``event``: patience or the next event ends it."""
        later = next_events[next_events > event]
        return min(event + self.patience, int(later[0]) - 1 if len(later) else self.length - 2, self.length - 2)

    def _first(self, reached: np.ndarray, event: int, limit: int) -> int:
        """First timestep from ``event`` to ``limit`` where ``reached`` holds, or the last of them."""
        hits = np.flatnonzero(reached[event : limit + 1])
        return event + int(hits[0]) if len(hits) else limit

    def _next(self, events: np.ndarray, start: int, name: str) -> int:
        later = events[events >= start]
        if len(later) == 0:
            raise SegmentationError(f"no {name} after timestep {start}")
        return int(later[0])
