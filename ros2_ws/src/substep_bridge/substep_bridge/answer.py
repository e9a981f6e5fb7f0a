"""A policy's answers to chunk requests, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True, eq=False)
class PlayedPart:
    """What was played of a chunk.

    Attributes:
        first: index in it of the first action that was played.
        stamp: ns of world time at which the step of that one began.
        commands: (N, A) what the robot was told in that step and those after it; where chunks were joined it is not
            what this chunk says.
    """

    first: int
    stamp: int
    commands: np.ndarray


NOTHING = PlayedPart(0, 0, np.zeros((0, 0)))


@dataclass(frozen=True)
class ChunkReport:
    """What became of one answer."""

    answer: ChunkAnswer
    outcome: ChunkOutcome
    part: PlayedPart = NOTHING
    reason: Reason[ChunkReason] = FINE
    latched: bool = False

    @property
    def steps_played(self) -> int:
        return len(self.part.commands)


@dataclass(frozen=True)
class Playing:
    """The chunk being played, the newest one. Args: skipped: its first actions, whose steps had passed when it came."""

    answer: ChunkAnswer
    skipped: int

    @property
    def chunk(self) -> Chunk:
        return self.answer.chunk
