"""Which moments of an episode the completion model is shown, and what is true at each of them.

Frame ``t`` is what the cameras see before action ``t``; a substep whose last action is ``end`` is done from frame
``end + 1`` on. After the last action the arm holds still for ``AFTER`` steps, so that every end has frames after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from substep_planner.plan import Substep, is_pick
from training.calibrate import TOLERANCE

AFTER = 20  # steps after a substep's end in which its end may still be noticed
SHOWN_AFTER = 8  # steps after a substep's end in which its effect is surely still there
NEAR = 12  # steps before an end that are looked at closely
GRIPPER = -1  # place of the gripper in an action
FAILING_VERBS = ("pick", "place")

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


def substep_to_fail(outline: EpisodeOutline, actions: np.ndarray, draw: int) -> int | None:
    """A substep that needs the gripper to open or close, the ``draw``-th of them; None: there is none.

    Args:
        actions: (T, 7) as carried out.
    """
    fit = [
        index
        for index, substep in enumerate(outline.substeps)
        if substep.instruction.split(maxsplit=1)[0] in FAILING_VERBS
        and gripper_before(actions, outline.first_frame(index)) != np.sign(actions[outline.ends[index], GRIPPER])
    ]
    return fit[draw % len(fit)] if fit else None


def gripper_before(actions: np.ndarray, frame: int) -> float:
    """The sign of the gripper command in force at a frame; episodes begin with the gripper open."""
    return -1.0 if frame == 0 else float(np.sign(actions[frame - 1, GRIPPER]))


def failing_actions(outline: EpisodeOutline, actions: np.ndarray, index: int) -> np.ndarray:
    """(T', 7): the episode up to the end of substep ``index``, in which the gripper stays as it was."""
    changed = actions[: outline.ends[index] + 1].copy()
    first = outline.first_frame(index)
    changed[first:, GRIPPER] = gripper_before(actions, first)
    return changed


def cut(outline: EpisodeOutline, index: int) -> EpisodeOutline:
    """The outline of the episode in which substep ``index`` fails."""
    return EpisodeOutline(
        outline.suite, outline.task, outline.episode, outline.substeps[: index + 1], outline.ends[: index + 1], index
    )


def hold(actions: np.ndarray) -> np.ndarray:
    """(7,): stand still with the gripper as it is."""
    still = np.zeros(actions.shape[1], actions.dtype)
    still[GRIPPER] = actions[-1, GRIPPER]
    return still


def find(outlines: Sequence[EpisodeOutline], suite: str) -> list[int]:
    """Numbers of the outlines of a suite."""
    return [number for number, outline in enumerate(outlines) if outline.suite == suite]
