"""Conversions between ROS messages and the core types. Everything that arrives is checked here, at the edge.

Every error is a ``ValueError`` that names the offending value and what would be right.
"""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from substep_interfaces.msg import ActionChunk, ChunkRequest, SceneState

from substep_policy.chunk import Chunk
from substep_policy.observation import Observation, proprioception
from substep_policy.scene_messages import pose_from_message, scene_from_message

NANOSECONDS = 1_000_000_000
FINGER_JOINT_SUFFIXES = ("finger_joint1", "finger_joint2")


def optical_frame(camera: str) -> str:
    """Name of the frame (x right, y down, z forward) that a camera's images are in."""
    return f"{camera}_optical_frame"


def to_nanoseconds(stamp: Time) -> int:
    return stamp.sec * NANOSECONDS + stamp.nanosec


def to_time(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def image_to_message(image: np.ndarray, stamp: Time, frame_id: str) -> Image:
    """(H, W, 3) uint8 RGB -> rgb8 Image."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())  # assigning an ndarray is 1000 times slower
    return message


def image_from_message(message: Image, camera: str = "") -> np.ndarray:
    """rgb8 or bgr8 Image, rows possibly padded -> (H, W, 3) uint8 RGB, contiguous.

    Raises:
        ValueError: another encoding, an empty image, or sizes that contradict each other.
    """
    where = f"image of camera {camera!r}"
    if message.encoding not in ("rgb8", "bgr8"):
        raise ValueError(f"{where} has encoding {message.encoding!r}, expected 'rgb8' or 'bgr8'")
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ValueError(f"{where} is empty: {height} rows, {width} columns")
    if step < 3 * width:
        raise ValueError(f"{where} has step {step}, expected at least {3 * width} bytes for {width} columns")
    if len(message.data) != step * height:
        raise ValueError(f"{where} has {len(message.data)} bytes, expected {step * height} ({height} rows of {step})")
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(height, step)
    pixels = rows[:, : 3 * width].reshape(height, width, 3)
    return np.ascontiguousarray(pixels if message.encoding == "rgb8" else pixels[:, :, ::-1])


def joint_state_to_message(names: Sequence[str], positions: Sequence[float], stamp: Time) -> JointState:
    """Joint positions (rad, fingers m) by name."""
    message = JointState(name=list(names), position=[float(position) for position in positions])
    message.header.stamp = stamp
    return message


def finger_positions(message: JointState) -> np.ndarray:
    """(2,) positions (m) of the joints whose names end in ``finger_joint1`` and ``finger_joint2``.

    Raises:
        ValueError: a finger is missing or ambiguous, or there are not as many positions as names.
    """
    if len(message.position) != len(message.name):
        raise ValueError(f"joint_states has {len(message.name)} names but {len(message.position)} positions")
    fingers = []
    for suffix in FINGER_JOINT_SUFFIXES:
        found = [index for index, name in enumerate(message.name) if name.endswith(suffix)]
        if len(found) != 1:
            raise ValueError(
                f"joint_states has {len(found)} joints named …{suffix}, expected one; names: {list(message.name)}"
            )
        fingers.append(message.position[found[0]])
    return np.array(fingers)


def proprioception_from_messages(joint_states: JointState, eef_pose: PoseStamped) -> np.ndarray:
    """(8,) float32 proprioception vector, see ``Observation.proprio``.

    Raises:
        ValueError: a finger joint is missing, the quaternion is not a unit one, or a value is not finite.
    """
    position, quaternion = pose_from_message(eef_pose.pose)
    norm = float(np.linalg.norm(quaternion))
    if not abs(norm - 1.0) < 1e-3:
        raise ValueError(f"eef_pose has a quaternion of norm {norm}, expected 1: {quaternion}")
    proprio = proprioception(position, quaternion, finger_positions(joint_states))
    if not np.isfinite(proprio).all():
        raise ValueError(f"eef_pose and joint_states give proprioception that is not finite: {proprio}")
    return proprio


def observation_from_messages(
    images: Mapping[str, Image], joint_states: JointState, eef_pose: PoseStamped, scene: SceneState | None = None
) -> Observation:
    """Messages of one instant -> Observation.

    Args:
        images: camera name -> its image.

    Raises:
        ValueError: the messages do not carry one stamp, or one of them is malformed.
    """
    named = {**{f"image of {name!r}": image for name, image in images.items()}, "eef_pose": eef_pose}
    if scene is not None:
        named["scene_state"] = scene
    stamp = to_nanoseconds(joint_states.header.stamp)
    for name, message in named.items():
        if (other := to_nanoseconds(message.header.stamp)) != stamp:
            raise ValueError(f"{name} has stamp {other} ns, but joint_states has {stamp} ns: not one observation")
    return Observation(
        images={name: image_from_message(image, name) for name, image in images.items()},
        proprio=proprioception_from_messages(joint_states, eef_pose),
        stamp=stamp,
        scene=None if scene is None else scene_from_message(scene),
    )


def chunk_to_message(chunk: Chunk, request: ChunkRequest, model: str, inference_time: float) -> ActionChunk:
    """The answer to ``request``, identified as it is; ``inference_time`` in s."""
    horizon, action_dim = chunk.actions.shape
    message = ActionChunk(
        episode=request.episode,
        plan_id=request.plan_id,
        substep_index=request.substep_index,
        attempt=request.attempt,
        horizon=horizon,
        action_dim=action_dim,
        eos_index=int(chunk.eos_index),
        model=model,
        inference_time=float(inference_time),
    )
    message.header.stamp = request.header.stamp
    message.actions = array.array("f", chunk.actions.astype(np.float32).tobytes())
    message.eos_probabilities = array.array("f", chunk.eos_probabilities.astype(np.float32).tobytes())
    return message


def chunk_from_message(message: ActionChunk) -> Chunk:
    """Layout only: whether the values are finite and safe to play is the safety guard's question.

    Raises:
        ValueError: the sizes contradict each other, or ``eos_index`` is not the last action.
    """
    expected = message.horizon * message.action_dim
    if len(message.actions) != expected:
        raise ValueError(
            f"chunk has {len(message.actions)} values, expected {expected} "
            f"(horizon {message.horizon} x action_dim {message.action_dim})"
        )
    return Chunk(
        actions=np.array(message.actions, dtype=np.float32).reshape(message.horizon, message.action_dim),
        eos_probabilities=np.array(message.eos_probabilities, dtype=np.float32),
        eos_index=message.eos_index,
    )
