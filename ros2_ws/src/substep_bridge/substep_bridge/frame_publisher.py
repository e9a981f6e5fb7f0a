"""Publishes the coordinate frames of a world for tf2."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time

from substep_bridge.frame_message import ReusedFrameMessage, frame_message, names_of
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
        self._message: ReusedFrameMessage | None = None

    def begin(self, world: World, stamp: Time) -> None:
        """An episode has begun: what does not move may have another place."""
        if fixed := [frame for frame in world.frames() if frame.fixed]:
            self._fixed.publish(frame_message(fixed, stamp))

    def publish(self, world: World, stamp: Time) -> None:
        """One instant; again only for a new listener, since tf2 complains of what it has heard before."""
        before, self._listeners = self._listeners, self._moving.get_subscription_count()
        if not self._listeners or (stamp == self._last and self._listeners <= before):
            return
        self._last = stamp
        if moving := [frame for frame in world.frames() if not frame.fixed]:
            self._moving.publish(self._serialized(moving, stamp))

    def _serialized(self, frames: Sequence[Frame], stamp: Time) -> bytes:
        if self._message is None or self._message.names != names_of(frames):
            self._message = ReusedFrameMessage(frames)
        return self._message.fill(frames, stamp)
