"""What was recorded is said again: in its order, latched as it was, from any place, again and again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from substep_bags.definitions import message_type
from substep_bags.playback import Playback, PlaySettings, chosen_topics
from substep_bags.player_node import PlayerNode, qos_profile
from substep_bags.reader import Bag, BagError
from substep_bags.recorded_topics import offered_qos
from substep_bags.writer import BagWriter
from substep_core.ros import topics

TYPES = get_typestore(Stores.ROS2_JAZZY)
START = 1_700_000_000 * 10**9
SECOND = 10**9
FAST = 10_000.0


def text(words: str) -> bytes:
    return bytes(TYPES.serialize_cdr(TYPES.types["std_msgs/msg/String"](words), "std_msgs/msg/String"))


@pytest.fixture
def bag(tmp_path):
    """A latched contract at 0 s and 4 s, and a text every second from 0 to 9."""
    writer = BagWriter(tmp_path / "bag")
    string = message_type("std_msgs/msg/String")
    writer.add_topic("/robot_contract", string, (offered_qos(topics.ROBOT_CONTRACT),))
    writer.add_topic("/said", string, (offered_qos(topics.CHUNK_REPORT),))
    for second in range(10):
        if second in (0, 4):
            writer.write("/robot_contract", text(f"c{second}"), START + second * SECOND, 0)
        writer.write("/said", text(str(second)), START + second * SECOND + 1, 0)
    writer.close()
    with Bag(tmp_path / "bag") as opened:
        yield opened


def said(data: bytes) -> str:
    return TYPES.deserialize_cdr(data, "std_msgs/msg/String").data


def played(bag, stop_after: int = 100, on_message=lambda playback, words: None, **settings) -> list[str]:
    """What is said, at most so many messages."""
    found: list[str] = []
    given = PlaySettings(rate=FAST, **settings)

    def publish(message) -> None:
        found.append(said(message.data))
        on_message(playback, found[-1])
        if len(found) == stop_after:
            playback.stop()

    playback = Playback(bag, chosen_topics(bag, given), {"/robot_contract"}, given, publish)
    playback.run()
    return found


def test_everything_is_said_in_its_order(bag):
    assert played(bag) == ["c0", "0", "1", "2", "3", "c4", "4", "5", "6", "7", "8", "9"]


def test_from_the_middle_latched_topics_begin_with_what_they_last_said(bag):
    assert played(bag, start=6.0) == ["c4", "6", "7", "8", "9"]


def test_a_loop_begins_again_at_the_start_and_the_time_jumps_back(bag):
    assert played(bag, start=8.0, loop=True, stop_after=6) == ["c4", "8", "9", "c4", "8", "9"]
    times: list[int] = []
    settings = PlaySettings(rate=FAST, start=8.0, loop=True)

    def tick(time: int) -> None:
        times.append(time)
        if len(times) > 1 and times[-1] < times[-2]:
            playback.stop()

    playback = Playback(bag, ["/said"], (), settings, lambda message: None, tick)
    playback.run()
    assert times[-1] == times[0] == START + 8 * SECOND and max(times) > times[0]


def test_it_goes_on_elsewhere_when_it_is_told_to(bag):
    def jump(playback: Playback, words: str) -> None:
        if words == "1":
            playback.seek(8.0)

    assert played(bag, on_message=jump) == ["c0", "0", "1", "c4", "8", "9"]


def test_a_rate_that_is_changed_counts_from_then_on(bag):
    found: list[str] = []
    slow = PlaySettings(rate=0.001)
    playback = Playback(bag, ["/said"], (), slow, lambda message: found.append(said(message.data)))
    thread = threading.Thread(target=playback.run)
    thread.start()
    playback.set_rate(FAST)
    thread.join(60)
    assert found == [str(second) for second in range(10)]


def test_topics_are_chosen_by_patterns(bag):
    assert played(bag, topics=("/sa*",), start=8.0) == ["8", "9"]
    assert played(bag, exclude=("/said",)) == ["c0", "c4"]
    with pytest.raises(BagError, match="has no topic '/camera/\\*', only /robot_contract, /said"):
        played(bag, topics=("/camera/*",))
    with pytest.raises(BagError, match="is 9.0 s long: it cannot be played from 12 s"):
        played(bag, start=12.0)


def test_quality_of_service_is_that_of_the_bag(bag):
    latched, reliable = (qos_profile(bag.topics[name]) for name in ("/robot_contract", "/said"))
    assert (latched.durability, latched.depth) == (DurabilityPolicy.TRANSIENT_LOCAL, 1)
    assert (reliable.durability, reliable.depth) == (DurabilityPolicy.VOLATILE, 10)
    assert reliable.reliability is ReliabilityPolicy.RELIABLE


class Listener:
    """A player, and somebody who listens to it."""

    def __init__(self, **parameters) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self.heard: list = []
        topics.ROBOT_CONTRACT.subscription(self.node, self.heard.append)
        self.node.create_subscription(Clock, "/clock", self.heard.append, topics.CLOCK.qos)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.player = PlayerNode(context=self.context, parameter_overrides=overrides)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.player)

    def listen_until(self, is_so) -> None:
        for _ in range(3000):
            if is_so():
                return
            self.executor.spin_once(timeout_sec=0.02)
        raise AssertionError(f"heard {self.heard}")

    def close(self) -> None:
        self.executor.shutdown()
        self.player.destroy_node()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def test_the_node_says_latched_messages_to_those_who_come_late_and_tells_the_time_of_the_bag(bag, capfd):
    it = Listener(bag=str(bag.path), rate=0.001, start=5.0)
    what = "9.0 s from 5 s on, at 0.001 times the recorded speed; 2 topics: /robot_contract, /said"
    assert f"{bag.path} in ROS domain {it.context.get_domain_id()}: {what}" in capfd.readouterr().err
    try:
        contract = String(data="c4")
        it.listen_until(lambda: contract in it.heard and any(isinstance(item, Clock) for item in it.heard))
        seconds = [item.clock.sec - START // SECOND for item in it.heard if isinstance(item, Clock)]
        assert set(seconds) == {5}
        (answer,) = it.player.set_parameters([Parameter("position", value=8.0)])
        assert answer.successful
        it.listen_until(lambda: any(isinstance(item, Clock) and item.clock.sec % 100 == 8 for item in it.heard))
        (answer,) = it.player.set_parameters([Parameter("position", value=80.0)])
        assert not answer.successful and "is 9.0 s long" in answer.reason
    finally:
        it.close()


@pytest.mark.parametrize("plugin", StoragePlugin)
def test_bags_of_other_programs_are_played_too(tmp_path, plugin):
    with Writer(tmp_path / "other", version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection("/said", "std_msgs/msg/String", typestore=TYPES)
        for second in range(3):
            writer.write(connection, START + second * SECOND, text(str(second)))
    with Bag(tmp_path / "other") as opened:
        assert played(opened) == ["0", "1", "2"]
        assert opened.topics["/said"].hash == message_type("std_msgs/msg/String").hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            (message_type("std_msgs/msg/String").hash, "RIHS01_" + "0" * 64),
            "/robot_contract has another definition of std_msgs/msg/String .* check out the version of substep",
        ),
        (
            ("type: std_msgs/msg/String", "type: old_msgs/msg/Words"),
            "/robot_contract is of type old_msgs/msg/Words, which is not installed .* with --exclude /robot_contract",
        ),
    ],
)
def test_a_type_that_is_not_the_installed_one_is_refused_with_its_topic_before_anything_is_said(
    tmp_path, bag, change, message
):
    path = bag.path / "metadata.yaml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        with pytest.raises(BagError, match=f"{bag.path}: {message}"):
            PlayerNode(context=context, parameter_overrides=[Parameter("bag", value=str(bag.path))])
    finally:
        rclpy.shutdown(context=context)


# --- what is no bag ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "has no metadata.yaml, so it is no bag"),
        ({"bag_0.mcap": b"\x89MCAP0\r\n"}, "has no metadata.yaml: ./substep bag repair"),
    ],
)
def test_a_folder_that_is_no_bag_is_named(tmp_path, content, message):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(BagError, match=message):
        Bag(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("custom_data:", "custom_data: [1]\n  more:"), "custom_data in metadata.yaml is a list, expected a mapping"),
        (
            ("  version:", "  version: 9\n  version:"),
            "metadata.yaml is not YAML: line 3, column 3: key 'version' stands",
        ),
        (("rosbag2_bagfile_information:", "bag:"), "has a NoneType as rosbag2_bagfile_information, expected a mapping"),
        (
            ("compression_format: ''\n  compression_mode: ''", "compression_format: zstd\n  compression_mode: FILE"),
            "cannot be read: ZstdError",
        ),
    ],
)
def test_a_bag_that_says_nonsense_of_itself_is_named(tmp_path, bag, change, message):
    path = bag.path / "metadata.yaml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(BagError, match=message), Bag(bag.path) as opened:
        list(opened.messages())


def test_a_bag_that_is_refused_is_not_kept_open(bag):
    def held() -> int:
        return sum(link.resolve().parent == bag.path.resolve() for link in Path("/proc/self/fd").iterdir())

    before = held()  # by the fixture
    path = bag.path / "metadata.yaml"
    path.write_text(path.read_text().replace("custom_data:", "custom_data: [1]\n  more:"))
    with pytest.raises(BagError) as refused:
        Bag(bag.path)
    assert held() == before > 0, refused  # its frames keep alive what they have left open


def test_damage_anywhere_in_a_bag_is_named(bag):
    """Whatever the libraries raise that read it."""
    file = bag.path / "bag_0.mcap"
    whole, damaged = file.read_bytes(), 0
    for place in range(20, len(whole) - 20, len(whole) // 40):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            with Bag(bag.path) as opened:
                list(opened.messages())
        except BagError:
            damaged += 1
    assert damaged > 10


def test_a_bag_of_ros_1_and_a_file_that_is_cut_off_are_named(tmp_path, bag):
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match="old.bag is a bag of ROS 1: convert it with './substep exec rosbags-convert"):
        Bag(tmp_path / "old.bag")
    file = bag.path / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(BagError, match="bag: .* ./substep bag repair .* may help"):
        Bag(bag.path)
    with pytest.raises(BagError, match="there is no bag at"):
        Bag(tmp_path / "nowhere")
