"""Publishes the coordinate frames of a world for tf2."""

from __future__ import annotations

from collections.abc import Iterable

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from substep_bridge.world import Frame, World
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode


class FramePublisher:
    """Frames that move are told once an instant, while somebody listens; those that do not, once an episode."""

    def __init__(self, node: GraphNode) -> None:
        self._moving = node.advertise(topics.TF)
        self._fixed = node.advertise(topics.TF_STATIC)
        self._listeners = 0
        self._last = Time()

    def begin(self, world: World, stamp: Time) -> None:
        """An episode has begun: what does not move may have another place."""
        if fixed := [frame for frame in world.frames() if frame.fixed]:
            self._fixed.publish(_message(fixed, stamp))

    def publish(self, world: World, stamp: Time) -> None:
        """One instant; again only for a new listener, since tf2 complains of what it has heard before."""
        before, self._listeners = self._listeners, self._moving.get_subscription_count()
        if not self._listeners or (stamp == self._last and self._listeners <= before):
            return
        self._last = stamp
        if moving := [frame for frame in world.frames() if not frame.fixed]:
            self._moving.publish(_message(moving, stamp))


def _message(frames: Iterable[Frame], stamp: Time) -> TFMessage:
    return TFMessage(transforms=[_transform(frame, stamp) for frame in frames])


def _transform(frame: Frame, stamp: Time) -> TransformStamped:
    x, y, z = map(float, frame.pose.position)
    qx, qy, qz, qw = map(float, frame.pose.quaternion)
    return TransformStamped(
        header=Header(stamp=stamp, frame_id=frame.parent),
        child_frame_id=frame.name,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)),
    )
