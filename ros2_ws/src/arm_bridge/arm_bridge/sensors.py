"""Messages of sensors -> samples of the intake, and samples -> what the bridge publishes."""

from __future__ import annotations

import zlib
from collections.abc import Set
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, JointState

from arm_bridge.images import fitted, rgb
from arm_bridge.intake import SensorSample
from arm_bridge.settings import CameraInput, PoseInput
from substep_core.contract import Camera, Joints, Pose
from substep_core.ros.messages import to_nanoseconds

NORM_TOLERANCE = 1e-2


def image_sample(message: Any) -> SensorSample:
    """It is decoded when it is looked at."""
    return SensorSample(to_nanoseconds(message.header.stamp), zlib.crc32(memoryview(message.data)), message)


def joint_sample(message: JointState, wanted: Set[str] | None = None) -> SensorSample:
    """A joint of ``wanted`` must be measured; of another one (None: of none) that is not finite, nothing is known.

    Raises:
        ValueError: not as many positions as names, a name twice, or a joint that is wanted is not finite.
    """
    if len(message.position) != len(message.name):
        raise ValueError(f"{len(message.name)} names but {len(message.position)} positions")
    said = dict(zip(message.name, message.position, strict=True))
    if len(said) != len(message.name):
        raise ValueError(f"a joint is named twice: {', '.join(message.name)}")
    position = {name: value for name, value in said.items() if np.isfinite(value)}
    bad = [name for name in said if name not in position and (wanted is None or name in wanted)]
    if bad:
        raise ValueError(f"joint {bad[0]} is at {said[bad[0]]}")
    has_velocity = len(message.velocity) == len(message.name)
    speeds = dict(zip(message.name, message.velocity, strict=True)) if has_velocity else {}
    velocity = {name: value for name, value in speeds.items() if np.isfinite(value)}  # NaN: ros2_control measures none
    content = hash((*position.values(), *velocity.values()))
    return SensorSample(to_nanoseconds(message.header.stamp), content, Joints(position, velocity))


class PoseReader:
    """Reads poses, whose quaternion goes on without a jump in sign."""

    def __init__(self, settings: PoseInput, base_frame: str) -> None:
        self._frame = settings.frame or base_frame
        self._like = np.array(settings.sign_like)

    def sample(self, message: PoseStamped) -> SensorSample:
        """Raises: ValueError: another frame, or no pose."""
        if message.header.frame_id != self._frame:
            raise ValueError(f"a pose in frame {message.header.frame_id!r}, expected {self._frame!r}")
        place, turn = message.pose.position, message.pose.orientation
        position = np.array([place.x, place.y, place.z])
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        norm = float(np.linalg.norm(quaternion))
        if not np.isfinite(position).all() or not abs(norm - 1) < NORM_TOLERANCE:
            raise ValueError(f"a pose at {position} with a quaternion of norm {norm}")
        quaternion /= norm if quaternion @ self._like >= 0 else -norm
        self._like = quaternion
        content = hash((*position.tolist(), *quaternion.tolist()))
        return SensorSample(to_nanoseconds(message.header.stamp), content, Pose(position, quaternion))


class Pictures:
    """Images as the contract has them; each is decoded once."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[SensorSample, np.ndarray]] = {}

    def picture(self, camera: Camera, settings: CameraInput, sample: SensorSample) -> np.ndarray:
        """(H, W, 3) uint8. Raises: ValueError: it is no image."""
        made = self._made.get(camera.name)
        if made is None or made[0] is not sample:
            image = fitted(rgb(sample.value), camera.height, camera.width, settings.fit, settings.turn)
            self._made[camera.name] = made = sample, image
        return made[1]


def intrinsics(info: CameraInfo | None, camera: Camera, settings: CameraInput) -> np.ndarray:
    """(3, 3) of the image as the contract has it; all zero where the camera is not calibrated, as ROS has it."""
    if info is None or not info.height or not info.width or settings.turn:
        return np.zeros((3, 3))
    rows, columns = camera.height / info.height, camera.width / info.width
    if settings.fit != "stretch":
        rows = columns = (max if settings.fit == "crop" else min)(rows, columns)
    shift = np.eye(3)
    shift[:2, 2] = (camera.width - info.width * columns) / 2, (camera.height - info.height * rows) / 2
    return shift @ np.diag([columns, rows, 1.0]) @ np.array(info.k).reshape(3, 3)
