"""A policy at work: told of every new substep before it is asked for a chunk, and helped where it is stuck."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from substep_policy.chunk import Chunk
from substep_policy.configuration import configuration
from substep_policy.gripper_commitment import GRIPPER, GripperCommitment
from substep_policy.observation import ACTION_DIM, Observation
from substep_policy.policy import Policy
from substep_policy.request_desk import SubstepKey

OFF = -1
BACK_OFF_SPEED = 0.6  # of the largest step up, which is 0.05 m


@configuration
class StuckSettings:
    """What helps a learned policy that is stuck; one that sees the scene's truth gets no such help."""

    gripper_patience: int = Field(
        default=1,
        ge=OFF,
        le=1000,
        description="chunks in a row that may put off closing or opening the gripper; -1: any number",
    )
    back_off_steps: int = Field(
        default=6,
        ge=0,
        le=100,
        description="control steps of 3 cm straight up before a substep is tried again; 0: none",
    )


class PolicySession:
    """Asks one policy for chunks.

    An attempt after a substep's first begins with backing off: straight up, the gripper as it is. A policy without
    memory that is stuck would else be asked the same in the same place again.
    """

    def __init__(self, policy: Policy, settings: StuckSettings) -> None:
        helped = not policy.requires_scene
        self._policy = (
            GripperCommitment(policy, settings.gripper_patience)
            if helped and settings.gripper_patience != OFF
            else policy
        )
        self._back_off_steps = settings.back_off_steps if helped else 0
        self._started: tuple[int, SubstepKey] | None = None
        self._gripper: float | None = None  # as last commanded in this episode

    def chunk(self, episode: int, substep: SubstepKey, instruction: str, task: str, observation: Observation) -> Chunk:
        """The answer to a request.

        Args:
            episode: counts resets of the world.
            instruction, task: as ``Policy.start_substep`` takes them; of the substep that ``substep`` identifies.

        Raises:
            ValueError: the policy cannot carry out such an instruction, or the observation lacks something.
        """
        chunk = None
        if (episode, substep) != self._started:
            if self._started is None or self._started[0] != episode:
                self._gripper = None
            self._started = None  # stays so when the policy refuses
            self._policy.start_substep(instruction, task)
            self._started = episode, substep
            chunk = self._back_off() if substep.attempt > 0 else None
        chunk = chunk or self._policy.predict(observation)
        self._gripper = float(chunk.actions[-1, GRIPPER])
        return chunk

    def _back_off(self) -> Chunk | None:
        """Nothing where there is nothing to back off from."""
        if self._gripper is None or self._back_off_steps == 0:
            return None
        action = np.zeros(ACTION_DIM, np.float32)
        action[2], action[GRIPPER] = BACK_OFF_SPEED, self._gripper
        return Chunk(np.tile(action, (self._back_off_steps, 1)))
