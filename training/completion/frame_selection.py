"""Frame selection: which frames of an episode the completion model sees, and their labels.

Frame ``t`` is what the cameras see before action ``t``; a substep whose last action is ``end`` is done from frame
``end + 1`` on. After the last action the arm holds still for ``AFTER`` steps, so that every end has frames after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from substep_core.contract import ActionQuantity, RobotContract
from substep_core.language.motions import is_pick, is_place
from substep_core.plan import Substep
from training.checkpoints.calibrate import TOLERANCE
from training.data.grippers import gripper_commands

AFTER = 20  # steps after a substep's end in which its end may still be noticed
SHOWN_AFTER = 8  # steps after a substep's end in which its effect is surely still there
NEAR = 12  # steps before an end that are looked at closely

Density = Literal["sparse", "every"]


@dataclass(frozen=True)
class EpisodeOutline:
    """Substeps of an episode and the last action of each.

    Attributes:
        failed: the substep whose effect was prevented: its gripper command stayed as it was. The outline ends with it.
    """

    suite: str
    task: str
    episode: str
    substeps: tuple[Substep, ...]
    ends: tuple[int, ...]
    failed: int | None = None

    def first_frame(self, index: int) -> int:
        """The first frame in which substep ``index`` is the active one."""
        return 0 if index == 0 else self.ends[index - 1] + 1

    def offset(self, frame: int, index: int) -> int:
        """Steps from the first frame in which substep ``index`` is done; negative before."""
        return frame - (self.ends[index] + 1)

    def active(self, frame: int) -> int:
        """The substep that a frame belongs to; the last one's after it."""
        return min(int(np.searchsorted(self.ends, frame)), len(self.ends) - 1)

    def truth(self, frame: int, index: int) -> float | None:
        """Whether substep ``index`` is done in a frame: 0, 1, between them shortly before the end; None: hard to say.

        Long after its end an effect may hold or be undone, so nothing is said; but what was picked up is not held any
        more once the next substep has put it down.
        """
        if self.failed is not None:
            return 0.0 if index == self.failed and frame >= self.first_frame(index) else None
        offset = self.offset(frame, index)
        if offset < 0:
            return max(0.0, 1.0 + offset / (TOLERANCE + 1))
        if offset <= SHOWN_AFTER:
            return 1.0
        puts_down = index + 1 < len(self.ends) and frame > self.ends[index + 1]
        return 0.0 if is_pick(self.substeps[index].instruction) and puts_down else None


def frames_to_show(outline: EpisodeOutline, density: Density) -> list[int]:
    """Frames to be rendered, in order: all of them, or some of every substep and more around its end."""
    last = outline.ends[-1] + 1 + AFTER
    if density == "every":
        first = 0 if outline.failed is None else outline.first_frame(outline.failed)
        return list(range(first, last + 1))
    chosen: set[int] = set()
    for index in range(len(outline.ends)):
        done = outline.ends[index] + 1
        near = range(max(done - NEAR, outline.first_frame(index)), min(done + SHOWN_AFTER, last) + 1, 2)
        chosen.update(range(outline.first_frame(index), done, 8), near)
    if outline.failed is not None:
        chosen = {frame for frame in chosen if outline.offset(frame, outline.failed) >= -NEAR}
    return sorted(chosen)


def substep_to_fail(robot: RobotContract, outline: EpisodeOutline, actions: np.ndarray, draw: int) -> int | None:
    """A substep that needs the gripper to open or close, the ``draw``-th of them; None: there is none.

    Args:
        actions: (T, A) as carried out.
    """
    commands = np.sign(gripper_commands(robot, actions))
    fit = [
        index
        for index, substep in enumerate(outline.substeps)
        if (is_pick(substep.instruction) or is_place(substep.instruction))
        and (_before(commands, outline.first_frame(index)) != commands[outline.ends[index]]).any()
    ]
    return fit[draw % len(fit)] if fit else None


def failing_actions(robot: RobotContract, outline: EpisodeOutline, actions: np.ndarray, index: int) -> np.ndarray:
    """(T', A): the episode up to the end of substep ``index``, in which the grippers stay as they were."""
    changed = actions[: outline.ends[index] + 1].copy()
    first = outline.first_frame(index)
    before = _before(np.sign(gripper_commands(robot, actions)), first)
    for group, command in zip(robot.action_groups(ActionQuantity.GRIPPER), before, strict=True):
        changed[first:, robot.action_slice(group)] = group.closed if command > 0 else group.opened
    return changed


def _before(commands: np.ndarray, frame: int) -> np.ndarray:
    """Of commands to each gripper (T, G), those in force at a frame (G,); episodes begin with grippers open."""
    return np.full(commands.shape[1], -1.0) if frame == 0 else commands[frame - 1]


def cut(outline: EpisodeOutline, index: int) -> EpisodeOutline:
    """The outline of the episode in which substep ``index`` fails."""
    return EpisodeOutline(
        outline.suite, outline.task, outline.episode, outline.substeps[: index + 1], outline.ends[: index + 1], index
    )


def find(outlines: Sequence[EpisodeOutline], suite: str) -> list[int]:
    """Numbers of the outlines of a suite."""
    return [number for number, outline in enumerate(outlines) if outline.suite == suite]
