"""The interface every policy has: the demonstrator, the compact model, OpenVLA-OFT."""

from __future__ import annotations

from typing import Protocol

from substep_policy.chunk import Chunk
from substep_policy.observation import Observation


class Policy(Protocol):
    """Turns the newest observation and the active substep into one chunk. It never touches the world."""

    name: str  # policy and checkpoint, as reported in ActionChunk.model
    requires_scene: bool  # needs Observation.scene, so it runs in simulation only
    device: str  # where it runs and in which number type, as diagnostics show them
    dtype: str

    def start_substep(self, instruction: str, task: str) -> None:
        """A substep begins (or begins again): forget what belonged to the last one.

        Args:
            instruction: the substep, e.g. "pick up the alphabet soup".
            task: the whole task's instruction.

        Raises:
            ValueError: the policy cannot carry out such an instruction; the message says why.
        """

    def predict(self, observation: Observation) -> Chunk:
        """One chunk for this observation under the substep that ``start_substep`` named.

        Raises:
            ValueError: the observation lacks something the policy needs, named in the message.
        """
