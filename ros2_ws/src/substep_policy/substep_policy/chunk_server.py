"""Answers requests with a policy: messages in, message out, and the figures about it. Knows no node."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from substep_interfaces.msg import ActionChunk

from substep_policy.messages import chunk_to_message, observation_from_messages
from substep_policy.observation import PROPRIO_DIM, Observation
from substep_policy.policy import Policy
from substep_policy.policy_session import PolicySession, StuckSettings
from substep_policy.request_desk import Work

LATENCIES_KEPT = 1000
WARM_UP_IMAGE_SIZE = (128, 128)
CAMERA_PREFIX = "camera/"
JOINT_STATES, EEF_POSE, SCENE_STATE = "joint_states", "eef_pose", "scene_state"


def image_topic(camera: str) -> str:
    return f"{CAMERA_PREFIX}{camera}/image_raw"


def observation_topics(policy: Policy, cameras: tuple[str, ...]) -> tuple[str, ...]:
    """Topics that one observation for this policy consists of."""
    scene = (SCENE_STATE,) if policy.requires_scene else ()
    return (*(image_topic(camera) for camera in cameras), JOINT_STATES, EEF_POSE, *scene)


class ChunkServer:
    """One policy, told of each new substep before it is asked for a chunk under it.

    Args:
        policy: a loaded policy.
        cameras: names of the cameras whose images are part of the work it is given.
        stuck: what helps the policy where it is stuck.
    """

    def __init__(self, policy: Policy, cameras: tuple[str, ...], stuck: StuckSettings) -> None:
        self.policy = policy
        self.chunks = 0
        self._cameras = cameras
        self._session = PolicySession(policy, stuck)
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def warm_up(self) -> None:
        """One chunk for an empty picture, so that the first real one is not the slow one.

        A policy that needs the scene's ground truth has no network to warm up and is left alone.

        Raises:
            ValueError: the policy cannot do with these cameras.
        """
        if self.policy.requires_scene:
            return
        blank = np.zeros((*WARM_UP_IMAGE_SIZE, 3), np.uint8)
        observation = Observation(dict.fromkeys(self._cameras, blank), np.zeros(PROPRIO_DIM, np.float32))
        self.policy.start_substep("warm up", "warm up")
        self.policy.predict(observation)

    def answer(self, work: Work) -> ActionChunk:
        """The chunk that answers one request.

        Raises:
            ValueError: a message is malformed, or the policy cannot carry out the substep.
        """
        begin = time.perf_counter()
        observation = observation_from_messages(
            {camera: work.messages[image_topic(camera)] for camera in self._cameras},
            work.messages[JOINT_STATES],
            work.messages[EEF_POSE],
            work.messages.get(SCENE_STATE),
        )
        chunk = self._session.chunk(work.key.episode, work.substep, work.request.gripper, observation)
        latency = time.perf_counter() - begin
        self._latencies.append(latency)
        self.chunks += 1
        return chunk_to_message(chunk, work.request, self.policy.name, latency)

    def latency(self) -> tuple[float, float]:
        """Median and 99th percentile (s) of the last chunks' inference time; NaN before the first."""
        if not self._latencies:
            return float("nan"), float("nan")
        median, p99 = np.percentile(list(self._latencies), [50, 99])
        return float(median), float(p99)
