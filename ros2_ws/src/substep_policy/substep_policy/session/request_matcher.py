"""Matches a chunk request with its active substep and its observation; answers what is still missing."""

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
    """Holds the newest request until its observation and its substep's text are there, then hands it out once."""

    def __init__(self, sync: ObservationSync) -> None:
        self._sync = sync
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
        return ", ".join(lacks)

    def _has_substep(self) -> bool:
        return self._substep is not None and self._newest is not None and self._substep.key == self._newest.substep

    def _hand_out(self) -> Work | None:
        if self._pending is None or not self._has_substep():
            return None
        messages = self._sync.messages(self._newest.stamp)
        if messages is None:
            return None
        request, self._pending = self._pending, None
        return Work(self._newest, request, messages, self._substep)
