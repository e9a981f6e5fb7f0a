"""Which cameras somebody wants every image of.

A policy looks at the instants that it is asked about: of the images of a chunk's eight steps seven are thrown away, and
rendering one takes longer than the step. A policy is a node that publishes ``action_chunk`` and ``chunk_refusal``.
Whoever else subscribes (a recorder, a video, a viewer, a planner that looks) is taken to want all; a policy too that
names substeps, since it may be asked at any time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from rclpy.node import Node
from rclpy.publisher import Publisher

from substep_core.ros import topics

LOOK_AGAIN = 0.2  # s, though as many subscribe as before: whose subscriptions they are is not known at once


class ImageDemand:
    """Looks at who subscribes to the cameras' images now."""

    def __init__(self, node: Node, publishers: Mapping[str, Publisher]) -> None:
        """publishers: camera name -> that of its images."""
        self._node, self._publishers = node, publishers
        self._wanted: frozenset[str] = frozenset()
        self._subscribers: tuple[int, ...] = ()
        self._looked_at = float("-inf")

    def cameras(self) -> frozenset[str]:
        """Those of which somebody wants all images."""
        subscribers = tuple(publisher.get_subscription_count() for publisher in self._publishers.values())
        if subscribers != self._subscribers or time.monotonic() - self._looked_at >= LOOK_AGAIN:
            self._subscribers, self._looked_at = subscribers, time.monotonic()
            self._wanted = self._look() if any(subscribers) else frozenset()
        return self._wanted

    def _look(self) -> frozenset[str]:
        node = self._node
        content = set()
        if not node.count_services(topics.NAME_SUBSTEP.name):
            answers = topics.ACTION_CHUNK, topics.CHUNK_REFUSAL
            content = set.intersection(*(_names(node.get_publishers_info_by_topic(topic.name)) for topic in answers))
        return frozenset(
            camera
            for camera in self._publishers
            if _names(node.get_subscriptions_info_by_topic(topics.camera_image(camera).name)) - content
        )


def _names(endpoints) -> set[tuple[str, str]]:
    """Namespaces and names of nodes."""
    return {(endpoint.node_namespace, endpoint.node_name) for endpoint in endpoints}
