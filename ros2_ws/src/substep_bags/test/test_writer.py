"""Bags are what other programs expect, whatever ends their recorder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from mcap.records import Message as McapMessage
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from substep_bags.definitions import UnknownType, message_type
from substep_bags.metadata import read_metadata
from substep_bags.recorded_topics import offered_qos
from substep_bags.repair import NotRepairable, records, repair
from substep_bags.writer import COMPRESSIONS, MIB, MINUTE, BagSettings, BagWriter
from substep_core.ros import topics
from substep_core.ros.topics import type_name

TYPES = get_typestore(Stores.ROS2_JAZZY)
STRING, IMAGE = message_type("std_msgs/msg/String"), message_type("sensor_msgs/msg/Image")
START = 1_700_000_000 * 10**9


def text(words: str) -> bytes:
    return bytes(TYPES.serialize_cdr(TYPES.types["std_msgs/msg/String"](words), "std_msgs/msg/String"))


def record(folder: Path, count: int, settings: BagSettings = BagSettings(), period: int = 10**9) -> BagWriter:
    """A bag of texts, one every ``period`` ns, not closed."""
    writer = BagWriter(folder, settings, {"commit": "abc"})
    writer.add_topic("/robot_contract", STRING, (offered_qos(topics.ROBOT_CONTRACT),))
    writer.add_topic("/silent", IMAGE)
    for number in range(count):
        writer.write("/robot_contract", text(str(number)), START + number * period, START + number * period - 5)
    return writer


def words(folder: Path) -> list[str]:
    """The texts of a bag, as an independent reader finds them, with the definitions in the bag alone."""
    with Reader(folder) as reader:
        (connection,) = [item for item in reader.connections if item.msgcount]
        store = Typestore()
        store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        return [store.deserialize_cdr(data, connection.msgtype).data for _, _, data in reader.messages([connection])]


def test_an_independent_reader_finds_messages_types_and_quality_of_service(tmp_path):
    record(tmp_path / "bag", 3).close()
    assert words(tmp_path / "bag") == ["0", "1", "2"]
    with Reader(tmp_path / "bag") as reader:
        (latched, silent) = reader.connections
        assert (latched.topic, latched.digest, latched.msgcount) == ("/robot_contract", STRING.hash, 3)
        assert latched.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL
        assert (silent.topic, silent.msgcount) == ("/silent", 0)
        assert (reader.start_time, reader.end_time) == (START, START + 2 * 10**9 + 1)


def test_the_file_alone_has_what_ros2_bag_reindex_and_viewers_go_by(tmp_path):
    record(tmp_path / "bag", 3).close()
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream)
        assert reader.get_header().profile == "ros2"
        found = list(reader.iter_messages())
        said = {item.name: item.metadata for item in reader.iter_metadata()}
    schema, channel, first = found[0]
    assert (schema.name, schema.encoding, channel.message_encoding) == ("std_msgs/msg/String", "ros2msg", "cdr")
    assert (first.log_time, first.publish_time) == (START, START - 5)
    assert channel.metadata["topic_type_hash"] == STRING.hash
    assert yaml.safe_load(channel.metadata["offered_qos_profiles"])[0]["durability"] == "transient_local"
    assert said["substep"] == {"commit": "abc"}
    assert yaml.safe_load(said["rosbag2"]["serialized_metadata"]) == read_metadata(tmp_path / "bag")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_chunks_are_compressed_as_it_is_said_and_read_by_others(tmp_path, compression):
    writer = BagWriter(tmp_path / "bag", compression=compression)
    writer.add_topic("/said", STRING)
    for number in range(3):
        writer.write("/said", text(1000 * str(number)), START + number, START)
    writer.close()
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        (chunk,) = make_reader(stream).get_summary().chunk_indexes
    assert chunk.compression == compression.replace("none", "")
    assert (chunk.compressed_size < chunk.uncompressed_size / 5) == (compression != "none")
    assert words(tmp_path / "bag") == [1000 * str(number) for number in range(3)]


def test_definitions_of_our_types_and_of_an_actions_feedback_hold_all_that_is_in_them():
    for topic in (topics.SCENE_STATE, topics.ACTION_CHUNK, topics.EXECUTE_TASK.feedback):
        kind = message_type(type_name(topic.type))
        store = Typestore()
        store.register(get_types_from_msg(kind.definition, kind.name))
        assert store.hash_rihs01(kind.name) == kind.hash, kind.name
    with pytest.raises(UnknownType, match="package 'nowhere_msgs' is not installed"):
        message_type("nowhere_msgs/msg/Nothing")


@pytest.mark.parametrize(
    ("settings", "period", "counts"),
    [(BagSettings(split_minutes=1), MINUTE // 2, [2, 2, 1]), (BagSettings(), MINUTE, [5])],
)
def test_a_bag_is_split_by_minutes(tmp_path, settings, period, counts):
    record(tmp_path / "bag", 5, settings, period).close()
    files = read_metadata(tmp_path / "bag")["files"]
    assert [(file["path"], file["message_count"]) for file in files] == [
        (f"bag_{number}.mcap", count) for number, count in enumerate(counts)
    ]
    assert words(tmp_path / "bag") == list("01234")


def test_a_bag_is_split_by_size(tmp_path):
    writer = BagWriter(tmp_path / "bag", BagSettings(split_size=1))
    writer.add_topic("/noise", STRING)
    for number in range(3):
        writer.write("/noise", os.urandom(2 * MIB), START + number, START)
    writer.close()
    assert [file["message_count"] for file in read_metadata(tmp_path / "bag")["files"]] == [1, 1, 1]


def test_a_bag_is_never_written_over(tmp_path):
    record(tmp_path / "bag", 1).close()
    with pytest.raises(FileExistsError):
        BagWriter(tmp_path / "bag")
    with pytest.raises(ValueError, match="/robot_contract is of type std_msgs/msg/String in this bag, not sensor"):
        record(tmp_path / "other", 1).add_topic("/robot_contract", IMAGE)


# --- repair ---

RECORD_FOR_EVER = """
import sys
from pathlib import Path
from substep_bags.recording import BagRecording, SerializedMessage
from substep_bags.definitions import message_type
from substep_bags.writer import BagWriter

writer = BagWriter(Path(sys.argv[1]), about={"commit": "abc"})
writer.add_topic("/x", message_type("std_msgs/msg/String"))
recording = BagRecording(writer, 1 << 20)
number = 0
while True:
    number += 1
    recording.put(SerializedMessage("/x", number.to_bytes(8, "little"), number, number))
    print(number, recording.state.written, flush=True)
    sys.stdin.readline()
"""


def test_a_killed_recorder_loses_at_most_the_last_second_and_its_bag_opens_after_repair(tmp_path):
    command = [sys.executable, "-c", RECORD_FOR_EVER, str(tmp_path / "bag")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    file = tmp_path / "bag" / "bag_0.mcap"
    process.stdout.readline()
    sent = 1
    while not any(isinstance(read, McapMessage) for read in records(file)):  # until the first flush, which is by itself
        process.stdin.write("\n")
        process.stdin.flush()
        sent = int(process.stdout.readline().split()[0])
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(FileNotFoundError):
        read_metadata(tmp_path / "bag")

    repaired = repair(tmp_path / "bag")
    assert repaired.damaged == ("bag_0.mcap",) and 0.5 * sent < repaired.messages <= sent
    assert read_metadata(tmp_path / "bag")["custom_data"] == {"commit": "abc"}
    with Reader(tmp_path / "bag") as reader:
        found = [int.from_bytes(data, "little") for _, _, data in reader.messages()]
    assert found == list(range(1, repaired.messages + 1)), "the oldest are there, without a gap"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


def test_a_file_cut_off_anywhere_gives_its_whole_chunks(tmp_path):
    writer = record(tmp_path / "bag", 3)
    writer.flush()
    whole = (tmp_path / "bag" / "bag_0.mcap").stat().st_size
    for number in range(3, 6):
        writer.write("/robot_contract", text(str(number)), START + number, START)
    writer.close()
    (tmp_path / "bag" / "metadata.yaml").unlink()
    content = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    for size in (whole, whole + 10, whole + 100):
        (tmp_path / "bag" / "bag_0.mcap").write_bytes(content[:size])
        assert repair(tmp_path / "bag").messages == 3
        assert words(tmp_path / "bag") == ["0", "1", "2"]
    assert repair(tmp_path / "bag").damaged == (), "a whole bag stays as it is"


def test_the_files_of_a_split_bag_become_one_in_their_order(tmp_path):
    record(tmp_path / "bag", 12, BagSettings(split_minutes=1), MINUTE).close()
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert repair(tmp_path / "bag").messages == 12
    assert words(tmp_path / "bag") == [str(number) for number in range(12)]


@pytest.mark.parametrize("call", ["write", "close"])
def test_a_repair_for_whose_copy_there_is_no_room_says_what_to_do_and_leaves_the_bag_alone(tmp_path, monkeypatch, call):
    """As on the disk that was full when it was recorded."""
    record(tmp_path / "bag", 3).close()
    (tmp_path / "bag" / "metadata.yaml").unlink()
    content = (tmp_path / "bag" / "bag_0.mcap").read_bytes()

    def full(*given) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(BagWriter, call, full)
        with pytest.raises(
            NotRepairable, match=r"bag \(0.0 MiB\) beside it \(No space left on device\): make room, or"
        ):
            repair(tmp_path / "bag")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["bag/bag_0.mcap"]
    assert (tmp_path / "bag" / "bag_0.mcap").read_bytes() == content
    assert repair(tmp_path / "bag").messages == 3


def test_what_is_no_bag_is_refused_and_left_alone(tmp_path):
    with pytest.raises(NotRepairable, match="holds no .mcap file"):
        repair(tmp_path)
    (tmp_path / "x_0.mcap").write_bytes(b"\x89MCAP0\r\nnothing")
    with pytest.raises(NotRepairable, match="no message can be read from x_0.mcap"):
        repair(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x_0.mcap"]
