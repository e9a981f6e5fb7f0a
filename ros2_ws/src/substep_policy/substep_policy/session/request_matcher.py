"""Matches a chunk request with its episode, active substep and observation; answers what is still missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from substep_core.keys import IssuedSubstep, RequestKey
from substep_core.observation_sync import ObservationSync


@dataclass(frozen=True)
class Work:
    """A request with all that is needed to answer it.

    Attributes:
        messages: topic -> message of the observation.
    """

    key: RequestKey
    request: Any
    messages: Mapping[str, Any]
    substep: IssuedSubstep


class RequestMatcher:
    """Holds the newest request until its observation and its substep's text are there, then hands it out once.

    Nor is it handed out before it is known which task its episode is of: topics overtake each other.

    Args:
        episode: as heard last; None: nothing of episodes was heard yet, and no request waits for that.
    """

    def __init__(self, sync: ObservationSync, episode: int | None = None) -> None:
        self._sync, self._episode = sync, episode
        self._newest: RequestKey | None = None
        self._pending: Any = None  # the newest request's message, until it is handed out
        self._substep: IssuedSubstep | None = None

    def observe(self, topic: str, stamp: int, message: Any) -> Work | None:
        """One message of an observation; returns the work that it completed."""
        self._sync.add(topic, stamp, message)
        return self._hand_out()

    def set_substep(self, substep: IssuedSubstep) -> Work | None:
        """The active substep, as the planner says; returns the work that it completed."""
        self._substep = substep
        return self._hand_out()

    def set_episode(self, episode: int) -> Work | None:
        """The world's newest episode; returns the work that it completed."""
        self._episode = episode
        return self._hand_out()

    def request(self, key: RequestKey, request: Any) -> Work | None:
        """A request, which replaces older ones; returns it as work when all is there.

        The request handed out last is not handed out again: it is in the works, answered, or has failed.
        """
        if key == self._newest:
            return None if self._pending is None else self._hand_out()
        self._newest, self._pending = key, request
        return self._hand_out()

    def is_newest(self, key: RequestKey) -> bool:
        """Whether an answer to this request is still wanted."""
        return key == self._newest

    def waiting_for(self) -> str:
        """What the pending request still lacks, in words; empty when nothing is pending."""
        if self._pending is None or self._newest is None:
            return ""
        lacks = self._sync.missing(self._newest.stamp)
        if not self._has_substep():
            lacks = [*lacks, "active_substep"]
        if not self._has_episode():
            lacks = [*lacks, "episode_status"]
        return ", ".join(lacks)

    def _has_substep(self) -> bool:
        return self._substep is not None and self._newest is not None and self._substep.key == self._newest.substep

    def _has_episode(self) -> bool:
        return self._episode is None or self._newest is None or self._episode == self._newest.episode

    def _hand_out(self) -> Work | None:
        if self._pending is None or not self._has_substep() or not self._has_episode():
            return None
        messages = self._sync.messages(self._newest.stamp)
        if messages is None:
            return None
        request, self._pending = self._pending, None
        return Work(self._newest, request, messages, self._substep)
