"""A policy played by the test: answers chunk requests with given chunks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from substep_interfaces.msg import ActionChunk, ChunkRequest

from substep_core.chunk import Chunk
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.ros.messages import chunk_to_message
from tests.probe import Probe

STILL = np.array([[0, 0, 0, 0, 0, 0, -1]], np.float32)


def chunk_for(request: ChunkRequest, actions: np.ndarray, *, eos: bool = False) -> ActionChunk:
    """A well-formed answer: (horizon, 7) actions, the last of which ends the substep if ``eos``."""
    probabilities = np.zeros(len(actions), np.float32)
    probabilities[-1] = float(eos)
    chunk = Chunk(actions.astype(np.float32), probabilities, len(actions) - 1 if eos else -1)
    return chunk_to_message(chunk, request, "stand-in", 0.01)


def still(request: ChunkRequest) -> ActionChunk:
    """Four steps of doing nothing."""
    return chunk_for(request, np.repeat(STILL, 4, axis=0))


def reach(direction: tuple[float, float, float], steps: int) -> np.ndarray:
    """(steps, 7): move the hand, gripper open."""
    actions = np.zeros((steps, load_robot(LIBERO_PANDA).action_width), np.float32)
    actions[:, :3] = direction
    actions[:, -1] = -1.0
    return actions


class StandInPolicy:
    """Answers every request by ``answer``, which a test may exchange at any time."""

    def __init__(self, probe: Probe) -> None:
        self.answer: Callable[[ChunkRequest], ActionChunk | None] = lambda request: None
        probe.answer_requests(lambda request: self.answer(request))
