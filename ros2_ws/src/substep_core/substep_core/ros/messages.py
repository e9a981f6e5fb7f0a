"""Conversions between ROS messages and the core types. Everything that arrives is checked here, at the edge.

Every error is a ``ValueError`` that names the offending value and what would be right.
"""

from __future__ import annotations

import array
import struct

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import Image, JointState
from substep_interfaces.msg import ActionChunk, ChunkRefusal, ChunkRequest

from substep_core.chunk import Chunk
from substep_core.contract import Joints
from substep_core.protocol import Reason, RefusalKind
from substep_core.units import NANOSECONDS

CDR_HEADER_SIZE = 4  # bytes; the second says whether numbers are little-endian


def to_nanoseconds(stamp: Time) -> int:
    return stamp.sec * NANOSECONDS + stamp.nanosec


def to_time(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def to_duration(seconds: float) -> Duration:
    nanoseconds = round(seconds * NANOSECONDS)
    return Duration(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def stamp_of_serialized(data: bytes) -> int:
    """ns of the stamp of a serialised message (CDR) that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, CDR_HEADER_SIZE)
    return seconds * NANOSECONDS + nanoseconds


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


def joint_state_to_message(joints: Joints, stamp: Time) -> JointState:
    """Joint positions, and velocities where any are known, by name; NaN for those that are not."""
    message = JointState(name=list(joints.position), position=[float(value) for value in joints.position.values()])
    message.velocity = [float(joints.velocity.get(name, np.nan)) for name in message.name] if joints.velocity else []
    message.header.stamp = stamp
    return message


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


def refusal_to_message(request: ChunkRequest, reason: Reason[RefusalKind]) -> ChunkRefusal:
    """That there is no answer to ``request``, identified as it is."""
    message = ChunkRefusal(
        episode=request.episode,
        plan_id=request.plan_id,
        substep_index=request.substep_index,
        attempt=request.attempt,
        kind=reason.kind,
        reason=reason.detail,
    )
    message.header.stamp = request.header.stamp
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
