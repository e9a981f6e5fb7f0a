"""A policy over the substeps of an episode: it is told of each, asked for chunks, and helped where it is stuck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from substep_core.chunk import Chunk
from substep_core.configuration import configuration
from substep_core.contract import ActionQuantity, RobotContract
from substep_core.keys import IssuedSubstep, SubstepKey
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_policy.policy import LeftOver, Policy, why_not_guided
from substep_policy.session.gripper_commitment import GripperCommitment

OFF = -1
BACK_OFF_SPEED = 0.6  # of the largest step up that can be commanded


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


NO_HELP = StuckSettings(gripper_patience=OFF, back_off_steps=0)


class PolicySession:
    """Asks one policy for chunks for one robot.

    What failed and is tried again begins with backing off: straight up, the gripper as it is. A policy without memory
    that is stuck would else be asked the same in the same place again. A robot that is not moved by differences of its
    hand's position does not back off.
    """

    def __init__(self, policy: Policy, robot: RobotContract, settings: StuckSettings) -> None:
        is_helped = not policy.requires_scene
        has_patience = is_helped and settings.gripper_patience != OFF
        grippers = robot.action_groups(ActionQuantity.GRIPPER) if has_patience else ()
        lifts = robot.action_groups(ActionQuantity.DELTA_POSITION)
        self._policy = policy
        self._commitments = [
            GripperCommitment(settings.gripper_patience, group, robot.action_slice(group)) for group in grippers
        ]
        self._up = [(robot.action_slice(group).stop - 1, BACK_OFF_SPEED * group.high) for group in lifts]  # z is last
        self._back_off_steps = settings.back_off_steps if is_helped and lifts else 0
        self._started: tuple[int, SubstepKey] | None = None

    def chunk(
        self,
        episode: int,
        substep: IssuedSubstep,
        held: np.ndarray,
        observation: Observation,
        left_over: LeftOver | None = None,
        goes_on: bool = False,
    ) -> Chunk:
        """The answer to a request.

        Args:
            episode: counts resets of the world.
            held: (A,) what the robot is told while nothing is played.
            left_over: what the chunk goes on from; None: it need not.
            goes_on: the world does not wait for the chunk, so that the last answer may be under way.

        Raises:
            ChunkRefused: the policy cannot carry out such an instruction, the observation lacks something, or the like.
        """
        if (episode, substep.key) != self._started:
            self._start(episode, substep)
            if substep.back_off and self._back_off_steps:
                return self._back_off(held)
        chunk = self._predict(observation, left_over)
        for commitment in self._commitments:
            chunk = commitment.hold(chunk, held, goes_on)
        return chunk

    def _predict(self, observation: Observation, left_over: LeftOver | None) -> Chunk:
        if left_over is not None and (why := why_not_guided(self._policy)):
            raise ChunkRefused(RefusalKind.GUIDANCE, f"policy {self._policy.name} cannot go on from a chunk: {why}")
        with refusing(RefusalKind.OBSERVATION):
            if left_over is not None:
                return self._policy.go_on(observation, left_over)
            return self._policy.predict(observation)

    def _start(self, episode: int, substep: IssuedSubstep) -> None:
        before, self._started = self._started, None  # stays so when the policy refuses
        with refusing(RefusalKind.INSTRUCTION):
            self._policy.start_substep(substep.instruction, substep.task)
        self._started = episode, substep.key
        if substep.back_off or not _is_same(before, self._started):
            for commitment in self._commitments:
                commitment.begin()

    def _back_off(self, held: np.ndarray) -> Chunk:
        action = np.array(held, np.float32)
        for place, value in self._up:
            action[place] = value
        return Chunk(np.tile(action, (self._back_off_steps, 1)))


def _is_same(before: tuple[int, SubstepKey] | None, now: tuple[int, SubstepKey]) -> bool:
    """Whether it is the same substep of the same plan, perhaps issued again."""
    return before is not None and replace(before[1], attempt=now[1].attempt) == now[1] and before[0] == now[0]
