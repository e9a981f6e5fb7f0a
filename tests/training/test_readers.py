"""Every format gives the same demonstration, and what is damaged is named."""

from __future__ import annotations

import json
import re
import subprocess
import timeit
from pathlib import Path

import cv2
import h5py
import imageio.v3 as iio
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.training.data_sets import edit_lerobot, edit_rlds, record, serialize_example, write_lerobot_texts
from tests.training.toy import FORMAT, INSTRUCTION, ROBOT, TASK, ToyDemo, write_hdf5, write_lerobot, write_rlds
from training.data.frame_cache import DemonstrationStore
from training.data.readers import (
    Demonstration,
    DemonstrationError,
    LeRobotSource,
    LiberoHdf5Source,
    ReadReport,
    RldsSource,
    read_demonstrations,
)
from training.data.readers.tfrecord import (
    TFRecordError,
    parse_example,
    read_record,
    read_records,
)

DEMOS = [ToyDemo(12, seed=1), ToyDemo(9, seed=2)]


def sources(folder: Path) -> dict[str, object]:
    """The same two demonstrations in every format."""
    write_hdf5(folder / "hdf5/libero_goal", DEMOS)
    return {
        "hdf5": LiberoHdf5Source(path=folder / "hdf5"),
        "rlds": RldsSource(path=write_rlds(folder / "rlds", DEMOS, [INSTRUCTION] * 2), suite="libero_goal"),
        "lerobot": LeRobotSource(
            path=write_lerobot(folder / "tables", DEMOS, video=False), suite="libero_goal", orientation="upright"
        ),
        "lerobot-video": LeRobotSource(
            path=write_lerobot(folder / "videos", DEMOS), suite="libero_goal", orientation="upright"
        ),
    }


@pytest.mark.parametrize("name", ["hdf5", "rlds", "lerobot", "lerobot-video"])
def test_every_format_gives_the_same_demonstrations(tmp_path: Path, name: str):
    found = list(read_demonstrations([sources(tmp_path)[name]], ROBOT, ReadReport(), skip_damaged=False))
    assert [demo.key for demo in found] == [f"libero_goal/{TASK}/episode_0", f"libero_goal/{TASK}/episode_1"]
    for demo, expected in zip(found, DEMOS, strict=True):
        assert demo.instruction == INSTRUCTION and demo.taught.all()
        np.testing.assert_allclose(demo.actions, expected.actions, atol=1e-6)
        np.testing.assert_allclose(demo.proprio, expected.proprio, atol=1e-6)
        frames = demo.frames()
        for camera, images in expected.frames.items():
            error = np.abs(frames[camera].astype(int) - images).mean()
            assert error < (12 if name == "lerobot-video" else 0.1), "video is lossy; nothing is turned or mirrored"


def test_a_damaged_demonstration_is_skipped_and_counted_or_raised(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/ee_ori"]
    report = ReadReport()
    source = LiberoHdf5Source(path=tmp_path)
    assert [demo.episode for demo in read_demonstrations([source], ROBOT, report)] == ["episode_1"]
    assert report.read == 1 and len(report.skipped) == 1 and "data/demo_0" in report.skipped[0]
    with pytest.raises(DemonstrationError, match="demo_0.*ee_ori"):
        list(read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False))


def test_unequal_lengths_are_named(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/actions"]
        file["data/demo_0/actions"] = np.zeros((5, 7))
    (broken, _) = LiberoHdf5Source(path=tmp_path).read(ROBOT)
    assert isinstance(broken, DemonstrationError)
    assert "unequal lengths: 5 actions, 12 states" in str(broken)


def test_frames_of_another_number_are_named(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/agentview_rgb"]
        file["data/demo_0/obs/agentview_rgb"] = np.zeros((3, 16, 16, 3), np.uint8)
    demo = next(iter(LiberoHdf5Source(path=tmp_path).read(ROBOT)))
    with pytest.raises(DemonstrationError, match="agentview has 3 frames for 12 actions"):
        demo.frames()


def test_nan_and_wrong_width_are_named(tmp_path: Path):
    demos = [ToyDemo(6), ToyDemo(6)]
    demos[0].actions[2, 3] = np.nan
    demos[1].actions = np.zeros((6, 6))
    demos[1].actions[:, -1] = [0, 0, 1, 1, 0, 0]
    write_hdf5(tmp_path / "libero_goal", demos)
    messages = [str(item) for item in LiberoHdf5Source(path=tmp_path).read(ROBOT)]
    assert "actions holds NaN or infinity" in messages[0]
    assert "actions has shape (6, 6), expected (6, 7)" in messages[1]


@pytest.mark.parametrize("size", [0, 10, 2000])
def test_a_cut_off_hdf5_file_is_named(tmp_path: Path, size: int):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    path.write_bytes(path.read_bytes()[:size])
    (error,) = LiberoHdf5Source(path=tmp_path).read(ROBOT)
    assert isinstance(error, DemonstrationError) and str(path) in str(error)


def test_scene_names_of_libero_90_stay_in_the_task_and_not_in_the_instruction(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_90", DEMOS[:1], task="KITCHEN_SCENE1_open_the_drawer")
    with h5py.File(path, "a") as file:
        del file["data"].attrs["problem_info"]
    (demo,) = LiberoHdf5Source(path=tmp_path).read(ROBOT)
    assert isinstance(demo, Demonstration)
    assert (demo.task, demo.instruction) == ("KITCHEN_SCENE1_open_the_drawer", "open the drawer")


def test_an_empty_folder_says_what_was_expected(tmp_path: Path):
    with pytest.raises(DemonstrationError, match="has no"):
        list(LiberoHdf5Source(path=tmp_path).read(ROBOT))
    with pytest.raises(DemonstrationError, match="features.json"):
        list(RldsSource(path=tmp_path).read(ROBOT))
    with pytest.raises(DemonstrationError, match="info.json"):
        list(LeRobotSource(path=tmp_path).read(ROBOT))


def test_episodes_of_rlds_count_within_the_task_or_the_data_set(tmp_path: Path):
    demos = [ToyDemo(4, seed) for seed in range(4)]
    path = write_rlds(tmp_path, demos, ["open the drawer", "close it", "open the drawer", "close it"])
    keys = {
        numbering: [demo.key for demo in RldsSource(path=path, numbering=numbering).read(ROBOT)]
        for numbering in ("task", "dataset")
    }
    assert keys["task"][0] == "libero_goal_no_noops/open_the_drawer/episode_0"
    assert keys["task"][2] == "libero_goal_no_noops/close_it/episode_0"
    assert keys["dataset"][2] == "libero_goal_no_noops/close_it/episode_2"


def damage_shard(folder: Path, shard: int) -> Path:
    """A changed byte in the shard's last episode."""
    path = sorted(folder.glob("*/*.tfrecord-*"))[shard]
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)
    return path


def episodes(source: object) -> list[tuple[str, str] | None]:
    """Task and number of every demonstration, None in place of a damaged one."""
    found = source.read(ROBOT)
    return [(item.task, item.episode) if isinstance(item, Demonstration) else None for item in found]


FOUR = [ToyDemo(4, seed) for seed in range(4)]
TASKS = ["open", "close", "open", "close"]  # in shards as they are in RLDS: open, open; close, close


@pytest.mark.parametrize("numbering", ["task", "dataset"])
def test_a_damaged_episode_of_rlds_keeps_its_number(tmp_path: Path, numbering: str):
    folder = write_rlds(tmp_path, FOUR, TASKS)
    edit_rlds(folder, 0, 0, action=[0.0] * 7)
    expected = {
        "task": [("open", "episode_1"), ("close", "episode_0"), ("close", "episode_1")],
        "dataset": [("open", "episode_1"), ("close", "episode_2"), ("close", "episode_3")],
    }
    assert episodes(RldsSource(path=folder, numbering=numbering)) == [None, *expected[numbering]]


@pytest.mark.parametrize("shard", [0, 1])
def test_a_shard_that_is_shorter_than_the_data_set_says_is_noticed(tmp_path: Path, shard: int):
    folder = write_rlds(tmp_path, FOUR, TASKS)
    info = {"splits": [{"name": "val", "shardLengths": ["7"]}, {"name": "train", "shardLengths": ["2", "2"]}]}
    (folder / "1.0.0/dataset_info.json").write_text(json.dumps(info))
    assert None not in episodes(RldsSource(path=folder))
    sorted(folder.glob("*/*.tfrecord-*"))[shard].write_bytes(b"")
    found = RldsSource(path=folder).read(ROBOT)
    whole = [next(found) for _ in range(2 * shard)]
    assert all(isinstance(demo, Demonstration) for demo in whole)
    assert "has 0 episodes, dataset_info.json says 2" in str(next(found))
    if shard == 0:
        with pytest.raises(DemonstrationError, match="cannot be known after this damage"):
            next(found)


def test_a_damaged_episode_of_lerobot_keeps_its_number(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", FOUR, video=False)
    edit_lerobot(folder, "meta/episodes", length=lambda lengths: [5, *lengths[1:]])
    assert episodes(LeRobotSource(path=folder)) == [None, *((TASK, f"episode_{number}") for number in (1, 2, 3))]


@pytest.mark.parametrize(
    ("column", "bad", "why"),
    [("subtask_index", 9, "subtask_index 9 is not in its table"), ("language_persistent", None, "is empty")],
)
def test_damaged_subtasks_of_lerobot_cost_that_episode_alone(tmp_path: Path, column: str, bad: object, why: str):
    """Its task is known, so that the numbers of those after it are."""
    folder = write_lerobot(tmp_path / "set", FOUR, video=False)
    write_lerobot_texts(folder, ["open"], [0] * 4)
    if column == "subtask_index":
        parquet.write_table(pyarrow.table({column: [0], "subtask": ["grasp"]}), folder / "meta/subtasks.parquet")
    good = 0 if column == "subtask_index" else [{"content": "grasp", "style": "subtask", "timestamp": 0.0}]
    starts = [0, *np.cumsum([demo.length for demo in FOUR]).tolist()]
    values = [bad if starts[1] <= row < starts[2] else good for row in range(starts[-1])]
    edit_lerobot(folder, "data", timestamp=lambda _: [0.0] * len(values), **{column: lambda _: values})
    items = list(LeRobotSource(path=folder).read(ROBOT))
    assert isinstance(items[1], DemonstrationError) and why in str(items[1]) and "episode 1" in str(items[1])
    assert [item.episode for item in items[:1] + items[2:]] == ["episode_0", "episode_2", "episode_3"]


def test_no_episode_is_numbered_after_one_whose_task_cannot_be_read(tmp_path: Path):
    rlds = write_rlds(tmp_path, FOUR, TASKS)
    edit_rlds(rlds, 0, 1, language_instruction=[b"\xff"])
    lerobot = write_lerobot(tmp_path / "set", FOUR, video=False)
    edit_lerobot(lerobot, "meta/episodes", tasks=lambda tasks: [tasks[0], [], *tasks[2:]])
    for source, damage in (
        (RldsSource(path=rlds), "00001-of-00002: episode 0: .*after this damage: .*00000-of-00002: episode 1: .*utf-8"),
        (LeRobotSource(path=lerobot), "episode 2: .*after this damage: .*episode 1: meta/episodes names no task"),
    ):
        items = source.read(ROBOT)
        assert isinstance(next(items), Demonstration)
        assert isinstance(next(items), DemonstrationError)
        with pytest.raises(DemonstrationError, match=damage):
            next(items)
    in_order = RldsSource(path=rlds, numbering="dataset")
    assert episodes(in_order) == [("open", "episode_0"), None, ("close", "episode_2"), ("close", "episode_3")]


def test_a_damaged_shard_gives_what_comes_before_the_damage(tmp_path: Path):
    folder = write_rlds(tmp_path, FOUR, [INSTRUCTION] * 4)
    shard = damage_shard(folder, 1)
    report = ReadReport()
    assert len(list(read_demonstrations([RldsSource(path=folder)], ROBOT, report))) == 3
    assert len(report.skipped) == 1 and "checksum" in report.skipped[0] and str(shard) in report.skipped[0]


@pytest.mark.parametrize("numbering", ["task", "dataset"])
def test_no_episode_is_numbered_after_a_damaged_shard(tmp_path: Path, numbering: str):
    folder = write_rlds(tmp_path, FOUR, TASKS)
    damage_shard(folder, 0)
    with pytest.raises(DemonstrationError, match="00001-of-00002: episode 0: .*00000-of-00002: a checksum.*Restore"):
        list(read_demonstrations([RldsSource(path=folder, numbering=numbering)], ROBOT, ReadReport()))


@pytest.mark.parametrize("name", ["language_instruction", "wrist_image"])
def test_numbers_where_rlds_must_hold_bytes_are_a_counted_skip(tmp_path: Path, name: str):
    folder = write_rlds(tmp_path, FOUR, TASKS)
    edit_rlds(folder, 0, 1, **{name: [3] * 4})
    report = ReadReport()
    assert len(list(read_demonstrations([RldsSource(path=folder, numbering="dataset")], ROBOT, report))) == 3
    (skipped,) = report.skipped
    assert re.search(f"episode 1: .*/{name} holds numbers such as 3, must hold bytes", skipped)


def png(size: int) -> bytes:
    return cv2.imencode(".png", np.zeros((size, size, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("rlds", [], "there are no frames"),
        ("rlds", [16, 16, 8, 16], r"different sizes \(8 x 8, 16 x 16\)"),
        ("lerobot", [16, 16, 8, 16], r"different sizes \(8 x 8, 16 x 16\)"),
    ],
)
def test_no_frames_and_frames_of_different_sizes_are_a_counted_skip(tmp_path: Path, kind: str, sizes: list, message):
    if kind == "rlds":
        source = RldsSource(path=write_rlds(tmp_path, FOUR, TASKS))
        edit_rlds(source.path, 0, 1, wrist_image=[png(size) for size in sizes])
    else:
        source = LeRobotSource(path=write_lerobot(tmp_path / "set", FOUR, video=False))
        cells = [{"bytes": png(size), "path": None} for size in sizes]
        edit_lerobot(source.path, "data", wrist_image=lambda whole: [*whole[:4], *cells, *whole[8:]])
    report, store = ReadReport(), DemonstrationStore(tmp_path / "cache", FORMAT)
    assert len(store.extend(read_demonstrations([source], ROBOT, report), report)) == 3
    (skipped,) = report.skipped
    assert re.search(f"episode 1: .*{message}", skipped)


@pytest.mark.parametrize(
    ("column", "message"), [("wrist_image", "without an image"), ("state", "row 1 of .* is empty")]
)
def test_an_empty_cell_of_lerobot_is_a_counted_skip(tmp_path: Path, column: str, message: str):
    source = LeRobotSource(path=write_lerobot(tmp_path / "set", FOUR, video=False))
    edit_lerobot(source.path, "data", **{column: lambda whole: [*whole[:9], None, *whole[10:]]})
    report, store = ReadReport(), DemonstrationStore(tmp_path / "cache", FORMAT)
    assert len(store.extend(read_demonstrations([source], ROBOT, report), report)) == 3
    (skipped,) = report.skipped
    assert re.search(f"episode 2: .*{message}", skipped)


def test_frames_that_are_no_images_are_named(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/agentview_rgb"]
        file["data/demo_0/obs/agentview_rgb"] = np.zeros(0, np.uint8)
    demo = next(iter(LiberoHdf5Source(path=tmp_path).read(ROBOT)))
    with pytest.raises(DemonstrationError, match=r"data/demo_0: .*shape \(0,\), expected"):
        demo.frames()


def test_an_older_lerobot_version_is_refused(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", DEMOS, video=False)
    info = json.loads((folder / "meta/info.json").read_text()) | {"codebase_version": "v2.1"}
    (folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DemonstrationError, match="v2.1.*v3"):
        list(LeRobotSource(path=folder).read(ROBOT))


def test_a_video_that_ends_early_is_named(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", DEMOS)
    (tmp_path / "short").mkdir()
    other = write_lerobot(tmp_path / "short/set", DEMOS[:1])
    for video in folder.glob("videos/*/*/*.mp4"):
        video.write_bytes((other / video.relative_to(folder)).read_bytes())
    first, second = LeRobotSource(path=folder, orientation="upright").read(ROBOT)
    assert len(first.frames()["agentview"]) == 12
    with pytest.raises(DemonstrationError, match="has 0 frames, expected 9 from frame 12 on"):
        second.frames()


def test_an_episode_of_a_shared_video_is_to_the_bit_what_counting_its_frames_gives(tmp_path: Path):
    open_groups = ["-x264-params", "open-gop=1:bframes=4:keyint=30"]  # frames refer back over key frames
    demos = [ToyDemo(length, seed=length) for length in (29, 31, 52)]
    folder = write_lerobot(tmp_path / "set", demos, encoder=open_groups)
    (video,) = folder.glob("videos/observation.images.image/*/*.mp4")
    counted, first = np.stack(list(iio.imiter(video, plugin="FFMPEG"))), 0
    for demo in LeRobotSource(path=folder, orientation="upright").read(ROBOT):
        np.testing.assert_array_equal(demo.frames()["agentview"], counted[first : first + len(demo)])
        first += len(demo)
    assert first == len(counted) == 112


def test_the_last_episode_of_a_long_video_takes_no_longer_than_the_first(tmp_path: Path):
    folder, repeats = write_lerobot(tmp_path / "set", [ToyDemo(60)]), 400
    for video in folder.glob("videos/*/*/*.mp4"):
        once = video.rename(video.with_name("once.mp4"))
        command = [get_ffmpeg_exe(), "-stream_loop", str(repeats - 1), "-i", once, "-c", "copy", video]
        subprocess.run(command, check=True, capture_output=True)
    (first,) = LeRobotSource(path=folder).read(ROBOT)
    at_the_end = {f"{key}/from_timestamp": lambda _: [3.0 * (repeats - 1)] for key in ("image", "wrist_image")}
    edit_lerobot(folder, "meta/episodes", **at_the_end)
    (last,) = LeRobotSource(path=folder).read(ROBOT)
    assert min(timeit.repeat(last.frames, number=1, repeat=3)) < 3 * min(
        timeit.repeat(first.frames, number=1, repeat=3)
    )


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_records_survive_their_file(tmp_path_factory, blobs):
    path = tmp_path_factory.mktemp("records") / "file"
    path.write_bytes(b"".join(map(record, blobs)))
    assert [data for _, data in read_records(path)] == blobs
    assert [read_record(path, begin) for begin, _ in read_records(path)] == blobs


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_of_a_record_file_is_noticed(tmp_path_factory, blob, place, change):
    data = bytearray(record(blob))
    data[place % len(data)] ^= change
    path = tmp_path_factory.mktemp("records") / "file"
    path.write_bytes(data)
    with pytest.raises(TFRecordError):
        list(read_records(path))


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=10),
        st.lists(st.binary(max_size=9), min_size=1, max_size=4)
        | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)
        | st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
        max_size=4,
    )
)
def test_examples_survive_serialisation(features):
    assert parse_example(serialize_example(features)) == features


def test_the_record_format_is_tensorflows(tmp_path: Path):
    with (tmp_path / "file").open("wb") as file:
        writer = RecordWriter(file)  # TensorBoard's own, written independently
        for blob in (b"foo", b"", bytes(1000)):
            writer.write(blob)
        writer.flush()
        assert [data for _, data in read_records(tmp_path / "file")] == [b"foo", b"", bytes(1000)]


def test_examples_have_tensorflows_field_numbers():
    # By hand from example.proto: features 1, map entry key 1 and value 2; bytes_list 1, float_list 2, int64_list 3.
    integers = bytes.fromhex("0a0c 0a0a 0a0161 1205 1a03 0a0107")
    floats = bytes.fromhex("0a0f 0a0d 0a0162 1208 1206 0a04 0000803f")
    strings = bytes.fromhex("0a0d 0a0b 0a0163 1206 0a04 0a027879")
    assert parse_example(integers + floats + strings) == {"a": [7], "b": [1.0], "c": [b"xy"]}
