"""Files from anywhere: what they say of themselves makes nobody read other files, or more than there is memory for."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from itertools import count
from pathlib import Path

import h5py
import numpy as np
import pytest

from substep_core.contract import RobotContract
from tests.training.data_sets import edit_info, edit_lerobot, edit_rlds, shards, write_rlds_info
from tests.training.toy import FORMAT, ROBOT, ToyDemo, write_hdf5, write_lerobot, write_rlds
from training.data.frame_cache import DemonstrationStore
from training.data.readers import (
    DataSource,
    DemonstrationError,
    LeRobotSource,
    LiberoHdf5Source,
    ReadReport,
    RldsSource,
    read_demonstrations,
)
from training.data.readers.conventions import as_commanded
from training.data.readers.tfrecord import masked_checksum

DEMOS = [ToyDemo(4, seed) for seed in range(3)]


def kept(folder: Path, source: DataSource) -> tuple[list[int], list[str]]:
    """Numbers of the demonstrations that a cache takes, and why others were skipped."""
    report, store = ReadReport(), DemonstrationStore(folder / "cache", FORMAT)
    found = store.extend(read_demonstrations([source], ROBOT, report), report)
    return [int(episode.episode.removeprefix("episode_")) for episode in found], report.skipped


def png_of(width: int, height: int) -> bytes:
    """A PNG that says this size and holds little of it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def external_storage(demo: h5py.Group, elsewhere: Path) -> None:
    demo["obs"].create_dataset("agentview_rgb", (4, 16, 16, 3), "u1", external=[(str(elsewhere), 0, 3072)])


def external_link(demo: h5py.Group, elsewhere: Path) -> None:
    demo["obs"]["agentview_rgb"] = h5py.ExternalLink(str(elsewhere), "/data")


def link_to_an_external_link(demo: h5py.Group, elsewhere: Path) -> None:
    demo["there"] = h5py.ExternalLink(str(elsewhere), "/data")
    demo["obs"]["agentview_rgb"] = h5py.SoftLink(f"{demo.name}/there")


def link_to_itself(demo: h5py.Group, elsewhere: Path) -> None:
    demo["obs"]["agentview_rgb"] = h5py.SoftLink(f"{demo.name}/obs/agentview_rgb")


def virtual(demo: h5py.Group, elsewhere: Path) -> None:
    layout = h5py.VirtualLayout((4, 16, 16, 3), "u1")
    layout[:] = h5py.VirtualSource(str(elsewhere), "data", (4, 16, 16, 3))
    demo["obs"].create_virtual_dataset("agentview_rgb", layout)


def enormous(demo: h5py.Group, elsewhere: Path) -> None:
    demo["obs"].create_dataset("agentview_rgb", (4, 2**21, 2**21, 3), "u1", chunks=(1, 16, 16, 3))


def text(demo: h5py.Group, elsewhere: Path) -> None:
    demo["obs"]["agentview_rgb"] = "frames"


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (external_storage, "kept in another file"),
        (external_link, "kept in another file"),
        (link_to_an_external_link, "kept in another file"),
        (link_to_itself, "kept in another file"),
        (virtual, "kept in another file"),
        (enormous, "49152.0 GiB, expected at most"),
        (text, "holds no numbers"),
    ],
)
def test_frames_of_hdf5_lie_in_the_file_and_fit_into_memory(tmp_path: Path, plant: Callable, why: str):
    path, elsewhere = write_hdf5(tmp_path / "libero_goal", DEMOS), tmp_path / "elsewhere"
    with h5py.File(elsewhere, "w") as file:
        file["data"] = np.zeros((4, 16, 16, 3), np.uint8)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/obs/agentview_rgb"]
        plant(file["data/demo_1"], elsewhere)
    numbers, (skipped,) = kept(tmp_path, LiberoHdf5Source(path=tmp_path))
    assert numbers == [0, 2]
    assert f"{path}: data/demo_1" in skipped and any(part in skipped for part in why.split("|"))


def test_actions_of_hdf5_fit_into_memory(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1"].create_dataset("actions", (2**40, 7), "f8", chunks=(1, 7))
    numbers, (skipped,) = kept(tmp_path, LiberoHdf5Source(path=tmp_path))
    assert numbers == [0, 2] and "data/demo_1/actions says 1099511627776 timesteps" in skipped


def test_what_a_computer_has_no_memory_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A chunk that was never written, or a value that repeats, takes no room in a file."""
    monkeypatch.setattr("training.data.readers.limits.free_memory", lambda: 2**20)
    path = write_hdf5(tmp_path / "hdf5/libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/obs/agentview_rgb"]
        file["data/demo_1/obs"].create_dataset("agentview_rgb", (4, 512, 512, 3), "u1", chunks=(1, 16, 16, 3))
    lerobot = write_lerobot(tmp_path / "set", DEMOS, video=False)
    edit_lerobot(lerobot, "data", more=lambda _: [[0.0] * 20_000] * 12)
    for source, expected in ((LiberoHdf5Source(path=path.parents[1]), [0, 2]), (LeRobotSource(path=lerobot), [])):
        numbers, skipped = kept(tmp_path / source.type, source)
        assert numbers == expected and "expected at most 0.0" in skipped[0]


def test_an_array_has_no_more_timesteps_than_an_episode(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1"].create_dataset("actions", (2_000_000, 7), "f4", chunks=(1000, 7))
    numbers, (skipped,) = kept(tmp_path, LiberoHdf5Source(path=tmp_path))
    assert numbers == [0, 2] and "says 2000000 timesteps" in skipped


def test_a_record_is_no_longer_than_its_file(tmp_path: Path):
    source = RldsSource(path=write_rlds(tmp_path, DEMOS, ["open", "close", "open"]))
    length = struct.pack("<Q", 2**40)
    with shards(source.path)[1].open("ab") as file:
        file.write(length + masked_checksum(length) + bytes(20))
    numbers, (skipped,) = kept(tmp_path, source)
    assert len(numbers) == 3 and "the file ends inside a record of 1099511627776 bytes" in skipped


@pytest.mark.parametrize("image", [png_of(30_000, 30_000), png_of(2**31 - 1, 2**31 - 1), png_of(9000, 9000)], ids=len)
def test_an_image_is_no_larger_than_a_cameras(tmp_path: Path, image: bytes):
    source = RldsSource(path=write_rlds(tmp_path, DEMOS, ["open", "close", "open"]), numbering="dataset")
    edit_rlds(source.path, 0, 1, wrist_image=[image] * 4)
    numbers, (skipped,) = kept(tmp_path, source)
    assert len(numbers) == 2 and "eye_in_hand" in skipped and "pixels" in skipped.lower()


@pytest.mark.parametrize(
    "template",
    [
        "{chunk_index.__class__}",
        "{chunk_index[0]}",
        "{chunk_index!r}/{file_index}",
        "data/{chunk_index:099999999999d}",
        "data/{chunk_index:{file_index}}",
        "{nothing}",
        "{",
        "",
        "../../elsewhere/file-{file_index:03d}.parquet",
        "/etc/passwd",
    ],
)
def test_paths_of_lerobot_name_files_of_the_data_set(tmp_path: Path, template: str):
    folder = write_lerobot(tmp_path / "set", DEMOS, video=False)
    edit_info(folder, data_path=template)
    assert kept(tmp_path, LeRobotSource(path=folder))[0] == []
    folder = write_lerobot(tmp_path / "video", DEMOS)
    edit_info(folder, video_path=template)
    assert kept(tmp_path / "other", LeRobotSource(path=folder))[0] == []


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"data/chunk_index": lambda v: [v[0], None, v[2]]}, "data/chunk_index None, expected a whole number"),
        ({"length": lambda v: [v[0], 2**40, v[2]]}, "says 1099511627776 timesteps"),
        ({"length": lambda v: [v[0], None, v[2]]}, "length None, expected a whole number"),
        ({"image/from_timestamp": lambda v: [v[0], float("nan"), v[2]]}, "from_timestamp nan, expected seconds"),
    ],
)
def test_an_empty_or_impossible_place_of_an_episode_skips_it(tmp_path: Path, columns: dict, why: str):
    folder = write_lerobot(tmp_path / "set", DEMOS)
    edit_lerobot(folder, "meta/episodes", **columns)
    numbers, (skipped,) = kept(tmp_path, LeRobotSource(path=folder))
    assert numbers == [0, 2] and "episode 1" in skipped and why in skipped


def test_a_playlist_under_a_videos_name_is_not_followed(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", DEMOS)
    for video in folder.glob("videos/*/*/*.mp4"):
        whole = video.rename(tmp_path / f"{video.parts[-3]}.mp4")
        video.write_text(f"ffconcat version 1.0\nfile '{os.path.relpath(whole, video.parent)}'\n")
    numbers, skipped = kept(tmp_path, LeRobotSource(path=folder))
    assert numbers == [] and "cannot be decoded" in skipped[0]


@pytest.mark.parametrize("content", ["[]", "{}", "null", "[" * 100_000, "\xff", '{"codebase_version": "v3.0"}'])
@pytest.mark.parametrize("name", ["meta/info.json", "features.json"])
def test_descriptions_that_are_none_are_refused(tmp_path: Path, name: str, content: str):
    kind = LeRobotSource if name.startswith("meta") else RldsSource
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(DemonstrationError, match=f"{tmp_path}"):
        list(kind(path=tmp_path).read(ROBOT))


DIGITS = "9" * 5000  # more than Python reads as a number


@pytest.mark.parametrize("total", [DIGITS, "1e999", "NaN", "[]", "-1"])
def test_a_count_that_is_none_is_refused(tmp_path: Path, total: str):
    path = write_lerobot(tmp_path, DEMOS, video=False) / "meta/info.json"
    path.write_text(path.read_text().replace('"total_episodes": 3', f'"total_episodes": {total}'))
    with pytest.raises(DemonstrationError, match="info.json"):
        list(LeRobotSource(path=tmp_path).read(ROBOT))


@pytest.mark.parametrize("length", [DIGITS, "1e999", "{}"])
def test_a_shards_length_that_is_none_is_refused(tmp_path: Path, length: str):
    folder = write_rlds(tmp_path, DEMOS, ["open"] * 3)
    write_rlds_info(folder, [2, 1])
    (path,) = folder.glob("*/dataset_info.json")
    path.write_text(path.read_text().replace('"2"', length))
    with pytest.raises(DemonstrationError, match="dataset_info.json"):
        list(RldsSource(path=folder).read(ROBOT))


@pytest.mark.parametrize("fps", [0, -1, 1e9, None, "x", [], float("nan")])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, fps: object):
    edit_info(write_lerobot(tmp_path, DEMOS, video=False), fps=fps)
    with pytest.raises(DemonstrationError, match="info.json"):
        list(LeRobotSource(path=tmp_path).read(ROBOT))


@pytest.mark.parametrize("lost", ["data", "videos/observation.images.image", "episodes of data", "column"])
def test_a_missing_file_or_column_is_called_missing(tmp_path: Path, lost: str):
    folder = write_lerobot(tmp_path / "set", DEMOS, video=lost != "column")
    if lost == "column":
        edit_lerobot(folder, "data", **{"observation.images.image": lambda _: []})
        expected = "observation.images.image: .* has no such column"
    elif lost == "episodes of data":
        edit_lerobot(folder, "data", drop=range(4, 8))
        expected = "has 0 rows, meta/episodes says 4"
    else:
        (path,) = folder.glob(f"{lost}/*/*")
        path.unlink()
        expected = f"{path} is missing"
    numbers, skipped = kept(tmp_path, LeRobotSource(path=folder))
    assert numbers == ([0, 2] if lost == "episodes of data" else [])
    assert re.search(expected, skipped[0]), skipped


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, RecursionError, MemoryError])
def test_whatever_is_wrong_with_one_episode_skips_that_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    """Libraries that read broken files raise what they like."""
    sources: dict[str, DataSource] = {
        "libero_hdf5": LiberoHdf5Source(path=write_hdf5(tmp_path / "hdf5/libero_goal", DEMOS).parents[1]),
        "rlds": RldsSource(path=write_rlds(tmp_path / "rlds", DEMOS, ["open"] * 3)),
        "lerobot": LeRobotSource(path=write_lerobot(tmp_path / "lerobot", DEMOS, video=False)),
    }
    for module, source in sources.items():
        calls = count()

        def broken(source: DataSource, robot: RobotContract, actions: np.ndarray, calls: count = calls) -> np.ndarray:
            if next(calls) == 1:
                raise error("planted")
            return as_commanded(source, robot, actions)

        monkeypatch.setattr(f"training.data.readers.{module}.as_commanded", broken)
        numbers, (skipped,) = kept(tmp_path / module, source)
        assert len(numbers) == 2 and f"{error.__name__}: " in skipped and "planted" in skipped
