"""Topics of drivers: what they offer is what is asked of them, and what cannot fit is said.

ROS connects a publisher with a subscription of another type, or one that asks for more than is offered, not at all, and
nothing is heard. So whoever offers less than was hoped for is listened to as it is, and what remains is a complaint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from substep_core.ros.topics import type_name

DEPTH = 5
SENSOR = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)  # hears every publisher
KEPT = QoSProfile(depth=DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # hears what was said before, too
COMMAND = QoSProfile(depth=DEPTH)  # reliable
NAMELESS = "_NODE_NAME_UNKNOWN_"  # what ROS calls a node that is known by its topics so far


@dataclass
class _Listening:
    """One topic that is listened to. subscription: None where others listen, and it is only looked at."""

    kind: type
    topic: str
    wanted: QoSProfile
    callback: Callable[[Any], None] | None
    asked: QoSProfile
    subscription: Subscription | None


class DriverTopics:
    """Of one node, in whose executor's thread all is called.

    Args:
        complain: told of each new complaint.

    Attributes:
        complaints: topic -> what does not fit there now.
    """

    def __init__(self, node: Node, complain: Callable[[str], None]) -> None:
        self._node, self._complain = node, complain
        self._listening: list[_Listening] = []
        self._publishers: list[Publisher] = []
        self.complaints: dict[str, str] = {}

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile = SENSOR) -> None:
        """qos: what is asked for, less where the publisher offers less."""
        subscription = self._node.create_subscription(kind, topic, callback, qos)
        self._listening.append(_Listening(kind, subscription.topic_name, qos, callback, qos, subscription))

    def mind(self, kind: type, topic: str, qos: QoSProfile) -> None:
        """Others listen there, with this QoS: say where they hear nothing."""
        self._listening.append(_Listening(kind, self._node.resolve_topic_name(topic), qos, None, qos, None))

    def publisher(self, kind: type, topic: str) -> Publisher:
        """For commands."""
        made = self._node.create_publisher(kind, topic, COMMAND)
        self._publishers.append(made)
        return made

    def look(self) -> None:
        """Call about once a second: who comes and goes is not told."""
        found: dict[str, str] = {}
        for each in self._listening:
            found[each.topic] = "; ".join(self._heard(each))
        for each in self._publishers:
            found[each.topic_name] = "; ".join(self._unheard(each))
        before, self.complaints = self.complaints, {topic: why for topic, why in found.items() if why}
        for topic, why in self.complaints.items():
            if before.get(topic) != why:
                self._complain(f"{topic}: {why}")

    def _heard(self, each: _Listening) -> Iterable[str]:
        offers = self._node.get_publishers_info_by_topic(each.topic)
        yield from _of_another_type(offers, each.kind, "publishes")
        fitting = [offer for offer in offers if offer.topic_type == type_name(each.kind)]
        if each.subscription is not None:
            self._ask_for(each, _least(each.wanted, [offer.qos_profile for offer in fitting]))
        for offer in _named(fitting):
            if _is_less(offer.qos_profile, each.wanted):
                what = f"{_who(offer)} offers {_words(offer.qos_profile)}, and {_words(each.wanted)} was asked for: "
                if each.subscription is None:
                    yield what + "nothing of it is heard"
                else:
                    yield what + "it is heard as it is, and what it said before it was met is not"

    def _ask_for(self, each: _Listening, qos: QoSProfile) -> None:
        if qos == each.asked:
            return
        self._node.destroy_subscription(each.subscription)
        each.asked = qos
        each.subscription = self._node.create_subscription(each.kind, each.topic, each.callback, qos)

    def _unheard(self, each: Publisher) -> Iterable[str]:
        wishes = self._node.get_subscriptions_info_by_topic(each.topic_name)
        yield from _of_another_type(wishes, each.msg_type, "listens to")
        for wish in _named(wishes):
            if wish.topic_type == type_name(each.msg_type) and _is_less(COMMAND, wish.qos_profile):
                asked, offered = _words(wish.qos_profile), _words(COMMAND)
                yield f"{_who(wish)} asks for {asked}, and {offered} is offered: it hears no command"


def _of_another_type(ends: Iterable[TopicEndpointInfo], kind: type, does: str) -> Iterable[str]:
    for end in _named(ends):
        if end.topic_type != type_name(kind):
            yield f"{_who(end)} {does} {end.topic_type}, expected {type_name(kind)}"


def _named(ends: Iterable[TopicEndpointInfo]) -> Iterable[TopicEndpointInfo]:
    """Those of which it can be said whose they are; the others' names follow."""
    return (end for end in ends if end.node_name != NAMELESS)


def _who(end: TopicEndpointInfo) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def _is_less(offered: QoSProfile, asked: QoSProfile) -> bool:
    """What is offered does not reach who asks."""
    return (
        asked.reliability is ReliabilityPolicy.RELIABLE and offered.reliability is ReliabilityPolicy.BEST_EFFORT
    ) or (asked.durability is DurabilityPolicy.TRANSIENT_LOCAL and offered.durability is DurabilityPolicy.VOLATILE)


def _least(wanted: QoSProfile, offers: list[QoSProfile]) -> QoSProfile:
    """As much of what is wanted as all of them offer."""
    reliability, durability = wanted.reliability, wanted.durability
    if any(offer.reliability is ReliabilityPolicy.BEST_EFFORT for offer in offers):
        reliability = ReliabilityPolicy.BEST_EFFORT
    if any(offer.durability is DurabilityPolicy.VOLATILE for offer in offers):
        durability = DurabilityPolicy.VOLATILE
    return QoSProfile(depth=wanted.depth, reliability=reliability, durability=durability)


def _words(qos: QoSProfile) -> str:
    return f"{qos.reliability.name}, {qos.durability.name}".lower().replace("_", " ")
