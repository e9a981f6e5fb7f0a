"""Drivers that offer another quality of service, or another type, than what was hoped for are heard, or named."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import rclpy
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int8, Int32

from arm_bridge.arm_node import ArmNode
from arm_bridge.bench import ADAPTERS, STATUS
from arm_bridge.driver_topics import KEPT, SENSOR, DriverTopics
from arm_bridge.report import robot_status
from substep_core.ros.messages import to_time

RELIABLE = QoSProfile(depth=1)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Bench:
    """A driver's node, and one that listens to it. Two participants, as one takes a topic in one type alone."""

    def __init__(self) -> None:
        self.said, self.heard = [], []
        self._elsewhere = rclpy.Context()
        rclpy.init(context=self._elsewhere)
        self.driver, self.listener = Node("driver", context=self._elsewhere), Node("arm")
        self.topics = DriverTopics(self.listener, self.said.append)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.listener)

    def listen(self, qos: QoSProfile = KEPT) -> None:
        self.topics.listen(Int8, "status", lambda message: self.heard.append(message.data), qos)

    def offer(self, qos: QoSProfile, kind: type = Int8) -> Publisher:
        return self.driver.create_publisher(kind, "status", qos)

    def until(self, holds: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        deadline = time.monotonic() + 30.0
        while not holds():
            assert time.monotonic() < deadline, (self.said, self.heard, self.topics.complaints)
            self.topics.look()
            meanwhile()
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._executor.shutdown()
        self.driver.destroy_node(), self.listener.destroy_node()
        rclpy.shutdown(context=self._elsewhere)


@pytest.fixture
def bench() -> Iterator[Bench]:
    rclpy.init()
    with closing(Bench()) as made:
        yield made
    rclpy.try_shutdown()
    gc.collect()  # rclpy's participant lives as long as reference cycles hold its node


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (RELIABLE, "/driver offers reliable, volatile, and reliable, transient local was asked for"),
        (BEST_EFFORT, "/driver offers best effort, volatile, and reliable, transient local was asked for"),
        (BEST_EFFORT_LATCHED, "/driver offers best effort, transient local, and reliable, transient local was asked"),
    ],
)
def test_a_driver_that_offers_less_than_was_asked_for_is_heard_and_named(bench, offered, words):
    bench.listen()
    publisher = bench.offer(offered)
    bench.until(lambda: bench.heard and bench.said, meanwhile=lambda: publisher.publish(Int8(data=5)))
    assert set(bench.heard) == {5}
    (said,) = bench.said  # though it is looked at often
    assert said.startswith(f"/status: {words}") and said.endswith("what it said before it was met is not")


def test_what_a_latched_topic_said_before_is_heard_and_nothing_is_amiss(bench):
    bench.offer(LATCHED).publish(Int8(data=3))
    bench.listen()
    bench.until(lambda: bench.heard == [3])
    assert not bench.said and not bench.topics.complaints


@pytest.mark.parametrize("offered", [RELIABLE, BEST_EFFORT, LATCHED, BEST_EFFORT_LATCHED])
def test_a_sensor_is_heard_whatever_its_driver_offers(bench, offered):
    bench.listen(SENSOR)
    publisher = bench.offer(offered)
    bench.until(lambda: bench.heard, meanwhile=lambda: publisher.publish(Int8(data=5)))
    assert not bench.said


def test_once_a_driver_that_offers_less_has_gone_all_is_asked_for_again(bench):
    bench.listen()
    first = bench.offer(RELIABLE)
    bench.until(lambda: bench.topics.complaints)
    bench.driver.destroy_publisher(first)
    bench.until(lambda: not bench.topics.complaints)
    bench.offer(LATCHED).publish(Int8(data=7))
    bench.until(lambda: bench.heard == [7])
    assert len(bench.said) == 1


def test_a_topic_of_another_type_is_named_and_so_is_who_listens_to_another(bench):
    bench.listen()
    bench.topics.publisher(TwistStamped, "command")
    bench.offer(RELIABLE, Int32)
    bench.driver.create_subscription(Twist, "command", lambda message: None, 1)
    bench.until(lambda: len(bench.topics.complaints) == 2)
    assert bench.topics.complaints == {
        "/status": "/driver publishes std_msgs/msg/Int32, expected std_msgs/msg/Int8",
        "/command": "/driver listens to geometry_msgs/msg/Twist, expected geometry_msgs/msg/TwistStamped",
    }


def test_who_asks_for_more_than_commands_are_offered_with_is_named(bench):
    bench.topics.publisher(TwistStamped, "command")
    bench.driver.create_subscription(TwistStamped, "command", lambda message: None, LATCHED)
    bench.until(lambda: bench.topics.complaints)
    why = "asks for reliable, transient local, and reliable, volatile is offered: it hears no command"
    assert bench.topics.complaints == {"/command": f"/driver {why}"}


def test_what_others_listen_to_is_looked_at_too(bench):
    bench.topics.mind(Int8, "status", RELIABLE)
    bench.offer(BEST_EFFORT)
    bench.until(lambda: bench.topics.complaints)
    assert bench.topics.complaints["/status"].endswith("nothing of it is heard")


def test_an_arm_heeds_a_status_that_its_driver_does_not_latch_and_diagnostics_name_it():
    rclpy.init()
    contract, settings = ADAPTERS["cartesian_rate"]()
    node, driver = ArmNode(contract, replace(settings, status=(replace(STATUS, topic="/status"),)), "/bridge"), None
    try:
        driver = Node("driver")
        publisher = driver.create_publisher(Int8, "/status", BEST_EFFORT)
        node.start()
        node.arm.shadow()
        deadline = time.monotonic() + 30.0
        while node.arm.safety.state.words != "fault":
            assert time.monotonic() < deadline
            publisher.publish(Int8(data=4))
            time.sleep(0.02)
        assert "/status says 4: protective stop" in node.arm.hindrance.text
        (status,) = robot_status("/bridge", node.arm, to_time(1), node.drivers.complaints).status
        values = {item.key: item.value for item in status.values}
        assert "/driver offers best effort, volatile" in values["/status misfit"]
    finally:
        node.close()
        if driver is not None:
            driver.destroy_node()
        rclpy.try_shutdown()
        gc.collect()
