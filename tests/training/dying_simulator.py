"""Stands in for a simulator on a cluster. Its module imports little, so that its processes start at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from training.evaluation.cluster.played import Played
from training.evaluation.episodes import EpisodeKey

ONCE, ALWAYS, RAISES = 1, 2, 99  # numbers of episodes that are no ordinary ones


class DyingSimulator:
    """The first process that comes to episode ``ONCE`` is killed there, and every one that comes to ``ALWAYS``.

    Args:
        marks: folder of the marks that processes leave.
    """

    def __init__(self, marks: Path) -> None:
        self._marks = marks

    def ready(self) -> None: ...

    def play(self, key: EpisodeKey, filmed: bool) -> Played:
        is_first = not list(self._marks.glob(f"{key.name}_*"))
        (self._marks / f"{key.name}_{os.getpid()}").touch()
        if key.number == ALWAYS or key.number == ONCE and is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        if key.number == RAISES:
            raise FloatingPointError("an episode cannot go on")
        return Played({"number": key.number}, {}, 0, frozenset())
