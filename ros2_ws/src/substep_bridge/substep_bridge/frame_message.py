"""A reused TFMessage in its serialised form, in which numbers are replaced at every control step.

Building its transforms anew and converting them takes longer than publishing all other topics of the robot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from substep_bridge.world import Frame

ENCAPSULATION = 4  # bytes of a serialised message before its content, from which alignment counts
LITTLE_ENDIAN = 1  # a bit of the second of them


class ReusedFrameMessage:
    """Frames whose names and parents stay, and whose poses change."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.names = names_of(frames)
        self._data = bytearray(serialize_message(frame_message(frames, Time())))
        order = "<" if self._data[1] & LITTLE_ENDIAN else ">"
        self._length, self._stamp, self._pose = (struct.Struct(order + kind) for kind in ("I", "iI", "7d"))
        self._places = list(self._find(len(frames)))

    def fill(self, frames: Iterable[Frame], stamp: Time) -> bytes:
        """The message, serialised, with what ``frames`` (of the same names) say now."""
        for frame, (at_stamp, at_pose) in zip(frames, self._places, strict=True):
            self._stamp.pack_into(self._data, at_stamp, stamp.sec, stamp.nanosec)
            pose = frame.pose
            self._pose.pack_into(self._data, at_pose, *map(float, (*pose.position, *pose.quaternion)))
        return bytes(self._data)

    def _find(self, count: int) -> Iterable[tuple[int, int]]:
        """Where the stamp and the pose of each transform are."""
        place = _aligned(ENCAPSULATION, 4) + self._length.size  # behind the number of transforms
        for _ in range(count):
            at_stamp = _aligned(place, 4)
            place = self._behind_text(self._behind_text(at_stamp + self._stamp.size))
            at_pose = _aligned(place, 8)
            place = at_pose + self._pose.size
            yield at_stamp, at_pose

    def _behind_text(self, place: int) -> int:
        place = _aligned(place, 4)
        (length,) = self._length.unpack_from(self._data, place)
        return place + self._length.size + length


def names_of(frames: Iterable[Frame]) -> tuple[tuple[str, str], ...]:
    """Name and parent of each."""
    return tuple((frame.name, frame.parent) for frame in frames)


def frame_message(frames: Iterable[Frame], stamp: Time) -> TFMessage:
    return TFMessage(transforms=[_transform(frame, stamp) for frame in frames])


def _aligned(place: int, size: int) -> int:
    """The next place where a number of ``size`` bytes may be."""
    return place + (ENCAPSULATION - place) % size


def _transform(frame: Frame, stamp: Time) -> TransformStamped:
    x, y, z = map(float, frame.pose.position)
    qx, qy, qz, qw = map(float, frame.pose.quaternion)
    return TransformStamped(
        header=Header(stamp=stamp, frame_id=frame.parent),
        child_frame_id=frame.name,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)),
    )
