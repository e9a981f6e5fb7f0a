"""Follows the episode of one task: its step count, its end, a reset in between."""

from __future__ import annotations

from types import MappingProxyType

from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind, Reason
from substep_planner.manager.events import EpisodeProgress

SETTLING = 3.0  # s of wall time in which the verdict of an episode before the task may still be heard
PATIENCE = 3.0  # s of wall time in which a robot that is halted, or not observed, may become ready again
NOT_READY = MappingProxyType(
    {
        HoldKind.ROBOT_DISABLED: ErrorCode.ROBOT_DISABLED,
        HoldKind.OBSERVATION_LOST: ErrorCode.OBSERVATION_LOST,
        HoldKind.ROBOT_HALTED: ErrorCode.ROBOT_HALTED,
        HoldKind.ROBOT_FAULT: ErrorCode.ROBOT_FAULT,
    }
)
AT_ONCE = (HoldKind.ROBOT_DISABLED, HoldKind.ROBOT_FAULT)  # nothing but a person ends these


class EpisodeWatch:
    """Which episode the task runs in, and whether the world has ended it.

    An episode that is over, or whose guard has latched, when the task begins is most likely the one before a reset
    whose news has not come yet, so its verdict counts only after a while. A reset is taken for the task's own beginning
    until a chunk was played.

    Another instruction than the episode's own can follow when the episode's goal has come true: that it has is then no
    verdict on it.

    Args:
        is_own: the task is the episode's own instruction.
    """

    def __init__(self, known: EpisodeProgress | None, is_own: bool, now: float) -> None:
        self._begun = now
        self._is_own = is_own
        self._episode: int | None = None
        self.played = False
        self._found: EpisodeProgress | None = None  # over when the task began
        self._over: str | None = None
        self._is_second = self._goes_on = False  # the goal had come true before; the episode goes on all the same
        self._latched = ""
        self._hold, self._held_since = Reason(HoldKind.NONE), now
        self.step = 0
        self._success = False
        if known is not None:
            self.update(known, now)

    def update(self, progress: EpisodeProgress, now: float) -> None:
        """The world has spoken."""
        if progress.episode != self._episode:
            if self.played:
                self._over = f"the world was reset: episode {self._episode} gave way to {progress.episode}"
                return
            if progress.done and not (progress.success and not self._is_own):
                self._found = progress
                return
            self._episode, self._is_second = progress.episode, progress.success
        self.step, self._latched = progress.step, progress.latched
        if progress.hold.kind is not self._hold.kind:
            self._held_since = now
        self._hold = progress.hold
        self._success = self._success or (progress.success and not self._is_second)
        self._goes_on = self._goes_on or not progress.done
        if progress.done and (not progress.success or (self._is_second and self._goes_on)):
            self._over = f"the episode ended without success at step {progress.step}"

    @property
    def known(self) -> bool:
        """Whether the task's episode has been heard of."""
        return self._episode is not None

    def chunk_played(self) -> None:
        """A chunk of this task was played: from now on another episode is a reset in the middle of it."""
        self.played = True

    def succeeded(self, now: float) -> bool:
        """Whether the world says that the task's goal holds."""
        return self._success or (self._was_over(now) and self._found.success)

    def _was_over(self, now: float) -> bool:
        return self._episode is None and self._found is not None and now - self._begun > SETTLING

    @property
    def _patience(self) -> float:
        """s that the robot may take no commands."""
        return 0.0 if self.played and self._hold.kind in AT_ONCE else PATIENCE

    def over(self, now: float) -> tuple[ErrorCode, str] | None:
        """Error code and message where nothing can come of the task any more; None while something can."""
        if self._was_over(now):
            why = "the episode was over before the task began; reset it first (service reset_episode)"
            return ErrorCode.EPISODE_ENDED, why
        if self._latched and (self.played or now - self._begun > SETTLING):
            return ErrorCode.GUARD_LATCHED, f"the safety guard holds the arm: {self._latched}"
        if self._hold and now - self._held_since > self._patience:
            return NOT_READY[self._hold.kind], f"the robot takes no commands: {self._hold.text}"
        return None if self._over is None else (ErrorCode.EPISODE_ENDED, self._over)
