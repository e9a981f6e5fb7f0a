"""Node ``player``: publishes what a bag has recorded, with the QoS that was recorded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosgraph_msgs.msg import Clock

from substep_bags.installed_types import installed_class
from substep_bags.playback import Playback, PlaySettings, chosen_topics
from substep_bags.reader import Bag, BagError, RecordedMessage, TopicInBag
from substep_core.printable import printable_lines
from substep_core.ros import topics
from substep_core.ros.messages import to_time
from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_core.ros.topics import type_name
from substep_core.units import NANOSECONDS

CLOCK = type_name(Clock)
USUAL_DEPTH = 10  # where a bag says none
UNSET = -1.0


class PlayerNode(Node):
    """Plays one bag from the moment it is made; ``done`` is called when it has ended.

    ``rate`` and ``position`` (s after the bag's beginning) may be set while it plays. Where the bag has no clock of a
    simulated world, ``clock`` tells the time at which what is played was recorded.

    Args:
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, **node_options) -> None:
        super().__init__("player", **node_options)
        parameters = NodeParameters(self)
        declare(parameters)
        parameters.refuse_unknown()
        value = parameters.value
        settings = PlaySettings(
            rate=value("rate"),
            start=value("start"),
            loop=value("loop"),
            topics=tuple(name for name in value("topics") if name),
            exclude=tuple(name for name in value("exclude") if name),
        )
        if not value("bag"):
            raise BadParameter("parameter bag is empty, expected the folder of a bag")
        self.fault: Exception | None = None
        self._bag = Bag(Path(value("bag")).expanduser())
        names = chosen_topics(self._bag, settings)
        self._outlets = {name: self._publisher(self._bag.topics[name]) for name in names}
        latched = {name for name in names if _is_latched(self._bag.topics[name])}
        has_clock = any(self._bag.topics[name].type == CLOCK for name in names)
        self._times = None if has_clock else topics.CLOCK.publisher(self)
        self._playback = Playback(self._bag, names, latched, settings, self._say, self._tick)
        self.add_on_set_parameters_callback(self._on_set)
        self._ended = self.create_guard_condition(self._end)
        self.get_logger().info(printable_lines(self._described(settings)))
        self._thread = threading.Thread(target=self._play, name="playback", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        self._playback.stop()
        self._thread.join()
        self._bag.close()
        super().destroy_node()

    def _described(self, settings: PlaySettings) -> str:
        """What is played, and where it can be heard."""
        length = (self._bag.end - self._bag.start) / NANOSECONDS
        start = f" from {settings.start:g} s on" if settings.start else ""
        again = ", again and again" if settings.loop else ""
        place = f"{self._bag.path} in ROS domain {self.context.get_domain_id()}"
        names = ", ".join(sorted(self._outlets))
        speed = f"at {settings.rate:g} times the recorded speed"
        return f"{place}: {length:.1f} s{start}, {speed}{again}; {len(self._outlets)} topics: {names}"

    def _publisher(self, topic: TopicInBag) -> Publisher:
        return self.create_publisher(installed_class(self._bag, topic.name), topic.name, qos_profile(topic))

    def _say(self, message: RecordedMessage) -> None:
        if self.context.ok():
            self._outlets[message.topic].publish(message.data)

    def _tick(self, log_time: int) -> None:
        if self._times is not None and self.context.ok():
            self._times.publish(Clock(clock=to_time(log_time)))

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        for item in parameters:
            try:
                if item.name == "position":
                    self._playback.seek(item.value)
                elif item.name == "rate":
                    self._playback.set_rate(item.value)
                else:
                    raise BagError(f"parameter {item.name} is read when the player starts")
            except BagError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _play(self) -> None:
        try:
            self._playback.run()
        except Exception as error:  # the border of the thread
            self.fault = error
        if self.context.ok():
            self._ended.trigger()

    def _end(self) -> None:
        """The bag is over, and so is the node."""
        if self.fault is not None:
            raise self.fault
        raise KeyboardInterrupt


def declare(parameters: NodeParameters) -> None:
    """Declare every parameter of the player."""
    parameters.declare("bag", "", "folder of the bag")
    parameters.declare("rate", 1.0, "of wall time: 2 is twice as fast as it was recorded", bounds=(1e-3, 1e4))
    parameters.declare("start", 0.0, "s after the bag's beginning to begin at", bounds=(0.0, 1e9))
    parameters.declare("position", UNSET, "set it to go on there: s after the bag's beginning", bounds=(-1.0, 1e9))
    parameters.declare("loop", False, "begin again when the end is reached")
    parameters.declare("topics", [""], "patterns of what is played, e.g. /camera/*; ['']: everything")
    parameters.declare("exclude", [""], "patterns of what is not played")


def qos_profile(topic: TopicInBag) -> QoSProfile:
    """As its publishers offered it; reliable where the bag does not say."""
    recorded = topic.qos[0] if topic.qos else None
    unreliable = recorded is not None and recorded.reliability is QosReliability.BEST_EFFORT
    return QoSProfile(
        depth=recorded.depth if recorded is not None and recorded.depth else USUAL_DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if unreliable else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if _is_latched(topic) else DurabilityPolicy.VOLATILE,
    )


def _is_latched(topic: TopicInBag) -> bool:
    recorded: Qos | None = topic.qos[0] if topic.qos else None
    return recorded is not None and recorded.durability is QosDurability.TRANSIENT_LOCAL


def play(bag: Path, settings: PlaySettings, remap: Sequence[str] = ()) -> int:
    """Play a bag in this process. remap: rules such as "/old:=/new". Raises: BagError."""
    told = {"bag": str(bag), "rate": settings.rate, "start": settings.start, "loop": settings.loop}
    told |= {name: list(values) for name in ("topics", "exclude") if (values := getattr(settings, name))}
    overrides = [Parameter(name, value=value) for name, value in told.items()]
    arguments = [word for rule in remap for word in ("-r", rule)]
    return run_node(lambda: PlayerNode(parameter_overrides=overrides), ["--ros-args", *arguments])


def main() -> int:
    """Play a bag to its end; -> exit code, 1 where it cannot be played."""
    try:
        return run_node(PlayerNode)
    except BagError as error:
        print(f"player: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
