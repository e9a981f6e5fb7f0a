"""A policy at work: told of every new substep before it is asked for a chunk, and helped where it is stuck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from substep_policy.chunk import Chunk
from substep_policy.configuration import configuration
from substep_policy.gripper_commitment import GRIPPER, GripperCommitment
from substep_policy.observation import ACTION_DIM, Observation
from substep_policy.policy import Policy
from substep_policy.request_desk import IssuedSubstep, SubstepKey

OFF = -1
BACK_OFF_SPEED = 0.6  # of the largest step up that can be commanded, 0.05 m


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
        default=20,
        ge=0,
        le=100,
        description="control steps straight up before what failed is tried again, about 15 cm in 20 steps; 0: none",
    )


class PolicySession:
    """Asks one policy for chunks.

    What failed and is tried again begins with backing off: straight up, the gripper as it is. A policy without memory
    that is stuck would else be asked the same in the same place again.
    """

    def __init__(self, policy: Policy, settings: StuckSettings) -> None:
        is_helped = not policy.requires_scene
        has_patience = is_helped and settings.gripper_patience != OFF
        self._policy = policy
        self._commitment = GripperCommitment(settings.gripper_patience) if has_patience else None
        self._back_off_steps = settings.back_off_steps if is_helped else 0
        self._started: tuple[int, SubstepKey] | None = None

    def chunk(self, episode: int, substep: IssuedSubstep, gripper: float, observation: Observation) -> Chunk:
        """The answer to a request.

        Args:
            episode: counts resets of the world.
            gripper: as last commanded, 1 closed.

        Raises:
            ValueError: the policy cannot carry out such an instruction, or the observation lacks something.
        """
        if (episode, substep.key) != self._started:
            self._start(episode, substep)
            if substep.back_off and self._back_off_steps:
                return self._back_off(gripper)
        chunk = self._policy.predict(observation)
        return chunk if self._commitment is None else self._commitment.hold(chunk, gripper)

    def _start(self, episode: int, substep: IssuedSubstep) -> None:
        before, self._started = self._started, None  # stays so when the policy refuses
        self._policy.start_substep(substep.instruction, substep.task)
        self._started = episode, substep.key
        if self._commitment is not None and (substep.back_off or not _is_same(before, self._started)):
            self._commitment.begin()

    def _back_off(self, gripper: float) -> Chunk:
        action = np.zeros(ACTION_DIM, np.float32)
        action[2], action[GRIPPER] = BACK_OFF_SPEED, gripper
        return Chunk(np.tile(action, (self._back_off_steps, 1)))


def _is_same(before: tuple[int, SubstepKey] | None, now: tuple[int, SubstepKey]) -> bool:
    """Whether it is the same substep of the same plan, perhaps issued again."""
    return before is not None and replace(before[1], attempt=now[1].attempt) == now[1] and before[0] == now[0]
