"""Follows the episode of one task: its step count, its end, a reset in between."""

from __future__ import annotations

from substep_planner.task_events import EpisodeProgress

SETTLING = 3.0  # s of wall time in which the verdict of an episode before the task may still be heard


class EpisodeWatch:
    """Which episode the task runs in, and whether the world has ended it.

    An episode that is over when the task begins is most likely the one before a reset whose news has not come yet, so
    its verdict counts only after a while. A reset is taken for the task's own beginning until a chunk was played.
    """

    def __init__(self, known: EpisodeProgress | None, now: float) -> None:
        self._begun = now
        self._episode: int | None = None
        self.played = False
        self._found_over = False
        self._over = ""
        self.step = 0
        self.success = False
        if known is not None:
            self.update(known, now)

    def update(self, progress: EpisodeProgress, now: float) -> None:
        """The world has spoken."""
        if progress.episode != self._episode:
            if self.played:
                self._over = f"the world was reset: episode {self._episode} gave way to {progress.episode}"
                return
            if progress.done:
                self._found_over = True
                return
            self._episode = progress.episode
        self.step = progress.step
        self.success = self.success or progress.success
        if progress.done and not progress.success:
            self._over = f"the episode ended without success at step {progress.step}"

    @property
    def known(self) -> bool:
        """Whether the task's episode has been heard of."""
        return self._episode is not None

    def chunk_played(self) -> None:
        """A chunk of this task was played: from now on another episode is a reset in the middle of it."""
        self.played = True

    def over(self, now: float) -> str:
        """Why the episode is over without success; empty while it is not."""
        if self._episode is None and self._found_over and now - self._begun > SETTLING:
            return "the episode was over before the task began; reset it first (service reset_episode)"
        return self._over
