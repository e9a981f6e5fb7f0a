"""A simulator as an actor: plays one episode after the other."""

from __future__ import annotations

import gc
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from substep_policy.policy import Policy
from substep_policy.registry import PolicySettings
from substep_policy.session.shared_policy import PolicyCard, SharedPolicy
from training.evaluation.cluster.checkout import Checkout, check_alike
from training.evaluation.cluster.played import Played
from training.evaluation.cluster.policies import AskedServer
from training.evaluation.episodes import EpisodeKey
from training.evaluation.in_process import InProcessPlayer, load_policy
from training.evaluation.records import VIDEOS_FOLDER
from training.evaluation.settings import EpisodeSettings
from training.evaluation.task_kind import kind_of
from training.evaluation.workers import memory_growth


@dataclass(frozen=True)
class Shared:
    """A policy that simulators share: what it says of itself, and the actor that has it."""

    card: PolicyCard
    server: Any


class Simulator:
    """Keeps the world of a task for the next episode of it.

    Args:
        shared: the policy; None: each simulator loads it itself.
    """

    def __init__(self, settings: EpisodeSettings, shared: Shared | None) -> None:
        torch.set_num_threads(1)
        gc.freeze()  # what is loaded stays: Python need not look through it whenever a world ends
        self._settings, self._shared = settings, shared
        self._folder = Path(tempfile.gettempdir()) / f"substep-simulator-{uuid.uuid4().hex}"  # made by the first film
        self._servers: dict[str | None, AskedServer] = {}
        self._place: tuple[str, int] | None = None
        self._player: InProcessPlayer | None = None

    def ready(self, expected: Checkout) -> None:
        """Raises: ValueError: this machine differs from the one where the command was given."""
        check_alike(expected, self._settings.policy)

    def play(self, key: EpisodeKey, filmed: bool) -> Played:
        """Raises: whatever the episode raised."""
        if self._place != (key.suite, key.task):
            self._change_place(key.suite, key.task)
        record = self._player.play(key, filmed) | kind_of(self._settings, key.suite, key.task)
        files = self._files(record.get("video"))
        answered = frozenset(process for server in self._servers.values() for process in server.processes)
        return Played(record, files, memory_growth(), answered)

    def _files(self, video: str | None) -> dict[str, bytes]:
        """Read and taken away: a simulator may be ended at any time."""
        if not video:
            return {}
        content = (self._folder / video).read_bytes()
        shutil.rmtree(self._folder)
        return {video: content}

    def _change_place(self, suite: str, task: int) -> None:
        if self._player is not None:
            self._player.close()
        self._place = None
        self._player = InProcessPlayer(self._settings, suite, task, self._folder / VIDEOS_FOLDER, self._load_policy)
        self._place = suite, task

    def _load_policy(self, policy: str, settings: PolicySettings) -> Policy:
        if self._shared is None:
            return load_policy(policy, settings)
        server = self._servers.setdefault(settings.dataset, AskedServer(self._shared.server, settings.dataset))
        return SharedPolicy(self._shared.card, server)
