"""A recording never makes anybody wait, and says what it could not keep."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from substep_bags.definitions import message_type
from substep_bags.images import COMPRESSED, IMAGE, JpegEncoder
from substep_bags.metadata import read_metadata
from substep_bags.recording import BagRecording, SerializedMessage
from substep_bags.repair import repair
from substep_bags.writer import BagWriter

TYPES = get_typestore(Stores.ROS2_JAZZY)


def writer_at(folder: Path, kind: type[BagWriter] = BagWriter) -> BagWriter:
    writer = kind(folder)
    writer.add_topic("/x", message_type("std_msgs/msg/String"))
    return writer


def message(number: int, size: int = 100) -> SerializedMessage:
    return SerializedMessage("/x", number.to_bytes(size, "little"), number, number)


class SlowWriter(BagWriter):
    """Waits at the first message until it is let go."""

    begun, go_on = threading.Event(), threading.Event()

    def write(self, *given) -> None:
        self.begun.set()
        self.go_on.wait()
        super().write(*given)


def test_what_comes_while_the_queue_is_full_is_dropped_and_counted(tmp_path):
    recording = BagRecording(writer_at(tmp_path / "bag", SlowWriter), capacity=350)
    recording.put(message(1))
    SlowWriter.begun.wait()
    for number in range(2, 10):
        recording.put(message(number))
    assert (recording.state.dropped, recording.state.waiting) == (6, 300)
    SlowWriter.go_on.set()
    state = recording.close()
    assert (state.written, state.dropped, state.dropped_by_topic, state.problem) == (3, 6, {"/x": 6}, "")
    with Reader(tmp_path / "bag") as reader:
        assert [time for _, time, _ in reader.messages()] == [1, 2, 3]
    assert read_metadata(tmp_path / "bag")["custom_data"] == {"dropped": "6"}


NO_ROOM = """
import os, resource, sys, threading
from pathlib import Path
from substep_bags.definitions import message_type
from substep_bags.recording import BagRecording, SerializedMessage
from substep_bags.writer import BagWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
ended = threading.Event()
writer = BagWriter(Path(sys.argv[1]))
writer.add_topic("/x", message_type("std_msgs/msg/String"))
recording = BagRecording(writer, 1 << 30, on_end=ended.set)
for number in range(6):
    recording.put(SerializedMessage("/x", os.urandom(1 << 20), number, number))
assert ended.wait(60)
recording.put(SerializedMessage("/x", b"after", 7, 7))
state = recording.close()
print(state.problem, state.written + state.dropped > 6, sep="|")
"""


def test_where_no_more_can_be_written_the_recording_ends_and_says_so_and_what_is_there_can_be_repaired(tmp_path):
    done = subprocess.run([sys.executable, "-c", NO_ROOM, str(tmp_path / "bag")], capture_output=True, text=True)
    assert done.stdout == f"File too large: recording into {tmp_path / 'bag'} has ended|True\n", done.stderr
    repaired = repair(tmp_path / "bag")
    assert repaired.messages == 2 and repaired.damaged == ("bag_0.mcap",)


def test_images_become_jpeg_with_their_header():
    header = TYPES.types["std_msgs/msg/Header"](TYPES.types["builtin_interfaces/msg/Time"](3, 4), "wrist")
    pixels = np.full((6, 16, 3), (200, 30, 30), np.uint8)
    padded = np.concatenate([pixels.reshape(6, 48), np.zeros((6, 4), np.uint8)], axis=1)
    made = TYPES.types[IMAGE](header, 6, 16, "rgb8", 0, 52, padded.reshape(-1))
    found = TYPES.deserialize_cdr(JpegEncoder(95)(bytes(TYPES.serialize_cdr(made, IMAGE))), COMPRESSED)
    assert (found.header.stamp.sec, found.header.frame_id) == (3, "wrist")
    assert found.format == "rgb8; jpeg compressed bgr8"
    seen = simplejpeg.decode_jpeg(found.data.tobytes(), "RGB").astype(int)
    assert seen.shape == (6, 16, 3) and abs(seen - pixels).max() < 8


def test_an_image_that_is_not_in_colour_cannot_become_jpeg():
    header = TYPES.types["std_msgs/msg/Header"](TYPES.types["builtin_interfaces/msg/Time"](0, 0), "")
    depth = TYPES.types[IMAGE](header, 1, 1, "16UC1", 0, 2, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="encoding '16UC1', expected one of rgb8, bgr8"):
        JpegEncoder(90)(bytes(TYPES.serialize_cdr(depth, IMAGE)))
