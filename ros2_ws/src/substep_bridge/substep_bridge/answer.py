"""A policy's answers to chunk requests, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

from substep_bridge.moment import FINE
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.keys import RequestKey
from substep_core.protocol import ChunkReason, Reason

NO_EOS_PROBABILITY = -1.0


@dataclass(frozen=True)
class ChunkAnswer:
    """A chunk as it came in. ``chunk`` is None where it could not be read; ``malformed`` says why."""

    request: RequestKey
    chunk: Chunk | None
    eos_probability: float = NO_EOS_PROBABILITY
    inference_time: float = 0.0
    malformed: str = ""


@dataclass(frozen=True)
class ChunkReport:
    """What became of one answer."""

    answer: ChunkAnswer
    outcome: ChunkOutcome
    steps_played: int = 0
    reason: Reason[ChunkReason] = FINE
    latched: bool = False


@dataclass(frozen=True)
class Playing:
    """The chunk being played, the newest one. Args: skipped: its first actions, whose steps had passed when it came."""

    answer: ChunkAnswer
    skipped: int

    @property
    def chunk(self) -> Chunk:
        return self.answer.chunk
