"""Bags that anything may have happened to: they are read or refused by name, and so is their repair."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from substep_bags.definitions import message_type
from substep_bags.playback import PlaySettings, chosen_topics
from substep_bags.reader import Bag, BagError
from substep_bags.repair import NotRepairable, repair
from substep_bags.writer import BagWriter

TYPES = get_typestore(Stores.ROS2_JAZZY)
NUMBERS = itertools.count()
FILES = ("whole_0.mcap", "metadata.yaml")
places = st.floats(0.0, 1.0)
edits = st.one_of(
    st.tuples(st.just("flip"), places, st.integers(1, 255)),
    st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("delete"), places, st.integers(1, 200)),
    st.tuples(st.just("cut"), places, st.just(None)),
    st.tuples(st.just("zeros"), places, st.integers(1, 64)),
)
damages = st.lists(st.tuples(st.sampled_from(FILES), edits), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Thirty texts, in chunks of their own."""
    folder = tmp_path_factory.mktemp("bags") / "whole"
    writer = BagWriter(folder, about={"commit": "abc"})
    string = message_type("std_msgs/msg/String")
    for name in ("/said", "/heard"):
        writer.add_topic(name, string)
    for number in range(30):
        data = bytes(TYPES.serialize_cdr(TYPES.types["std_msgs/msg/String"](str(number)), "std_msgs/msg/String"))
        writer.write(("/said", "/heard")[number % 2], data, 10**18 + number, 10**18 + number)
        if number % 10 == 9:
            writer.flush()
    writer.close()
    return folder


def damaged(data: bytes, edit: tuple) -> bytes:
    kind, where, what = edit
    place = round(where * (len(data) - 1)) if data else 0
    before, after = data[:place], data[place:]
    return {
        "flip": lambda: before + bytes([after[0] ^ what]) + after[1:] if after else data,
        "insert": lambda: before + what + after,
        "delete": lambda: before + after[what:],
        "cut": lambda: before,
        "zeros": lambda: before + bytes(what) + after[what:],
    }[kind]()


def copy_with(whole: Path, damage: list) -> Path:
    folder = whole.with_name(f"copy_{next(NUMBERS)}")
    shutil.copytree(whole, folder)
    for name, edit in damage:
        path = folder / name
        path.write_bytes(damaged(path.read_bytes(), edit))
    return folder


def read(folder: Path) -> int:
    """Messages in it. Raises: BagError."""
    with Bag(folder) as bag:
        chosen_topics(bag, PlaySettings())
        return sum(1 for _ in bag.messages())


some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@some
@given(damage=damages)
def test_a_damaged_bag_is_read_or_refused_by_its_name(whole, damage):
    folder = copy_with(whole, damage)
    try:
        assert read(folder) >= 0
    except BagError as error:
        assert str(folder) in str(error)
    finally:
        shutil.rmtree(folder)


@some
@given(damage=damages)
def test_a_damaged_bag_is_whole_after_repair_or_cannot_be_repaired(whole, damage):
    folder = copy_with(whole, damage)
    try:
        done = repair(folder)
        assert read(folder) == done.messages > 0
    except NotRepairable as error:
        assert str(folder) in str(error)
    finally:
        shutil.rmtree(folder)
