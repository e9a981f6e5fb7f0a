"""From the messages of a request to its chunk, or to words: what the policy node does, and what a rerun does again."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from rclpy.serialization import deserialize_message
from substep_interfaces.msg import ChunkRequest

from substep_core.chunk import Chunk
from substep_core.contract import RobotContract, misfit, state_selection
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_core.ros.observation_messages import observation_from_messages, observation_topics
from substep_policy.policy import LeftOver, Policy, as_namer
from substep_policy.session.policy_session import PolicySession, StuckSettings
from substep_policy.session.request_matcher import Work
from substep_policy.session.substep_naming import NamingAnswer


class RequestAnswering:
    """Answers the requests of one robot, one at a time, from any thread.

    Attributes:
        topics: by name: what an observation consists of.
    """

    def __init__(self, policy: Policy, robot: RobotContract, stuck: StuckSettings) -> None:
        """Raises: ValueError: the policy does not fit the robot."""
        if why := misfit(policy.robot, policy.cameras, policy.horizon, robot):
            raise ValueError(f"policy {policy.name} does not fit: {why}")
        self._policy, self._robot = policy, robot
        self._session = PolicySession(policy, robot, stuck)
        self._lock = threading.Lock()
        self._selection = state_selection(policy.robot, robot)
        self.topics = {item.name: item for item in observation_topics(robot, policy.cameras, policy.requires_scene)}

    def chunk(self, work: Work) -> Chunk:
        """The answer to a request whose messages are serialised.

        Raises:
            ChunkRefused: a message is malformed, the policy cannot carry out the substep, or the like.
        """
        seen = self._observation(work.messages)
        held = np.array(work.request.held_action, np.float32)
        if len(held) != self._robot.action_width:
            robot = self._robot
            why = f"chunk_request holds {len(held)} values, robot {robot.name} has {robot.action_width}"
            raise ChunkRefused(RefusalKind.CONTRACT, why)
        left_over = self._left_over(work.request)
        with self._lock:
            goes_on = work.request.delay > 0
            return self._session.chunk(work.key.episode, work.substep, held, seen, left_over, goes_on)

    def _left_over(self, request: ChunkRequest) -> LeftOver | None:
        """Raises: ChunkRefused: it has no whole actions, or values that are none."""
        values, width = np.array(request.left_over, np.float32), self._robot.action_width
        if not len(values):
            return None
        if len(values) % width or not np.isfinite(values).all():
            told = f"{len(values)} values" if len(values) % width else "values that are not finite"
            why = f"chunk_request's left_over has {told}, expected finite ones, {width} an action"
            raise ChunkRefused(RefusalKind.CONTRACT, why)
        return LeftOver(values.reshape(-1, width), int(request.delay))

    def words(self, task: str, messages: Mapping[str, bytes]) -> NamingAnswer:
        """What the policy itself says comes next, by an observation's serialised messages.

        Raises:
            ValueError: a message is malformed, or the policy has no words or lacks something.
        """
        seen = self._observation(messages)
        with self._lock:
            return NamingAnswer(as_namer(self._policy).next_substep(seen, task), seen.stamp)

    def _observation(self, serialised: Mapping[str, bytes]) -> Observation:
        """Raises: ChunkRefused: a message is malformed."""
        messages = {name: deserialize_message(data, self.topics[name].type) for name, data in serialised.items()}
        with refusing(RefusalKind.OBSERVATION):
            seen = observation_from_messages(self._robot, self._policy.cameras, messages)
        return Observation(seen.images, seen.proprio[self._selection], seen.stamp, seen.scene)
