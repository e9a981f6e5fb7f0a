"""Stored demonstrations: what is kept, what is extended, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.training.toy import DEMOS, FORMAT, ROBOT, ToyDemo, write_hdf5
from training.collect.looks import LookVariation
from training.data.frame_cache import DemonstrationStore, StoreError, StoreFormat
from training.data.frame_file import FrameFile
from training.data.readers import DemonstrationError, LiberoHdf5Source, ReadReport, libero_hdf5, read_demonstrations
from training.data.readers.orientation import ImageOrientation


def test_the_store_holds_what_the_demonstrations_hold(store):
    actions, proprio, taught = store.steps()
    np.testing.assert_allclose(actions, np.concatenate([demo.actions for demo in DEMOS]), atol=1e-6)
    np.testing.assert_allclose(proprio, np.concatenate([demo.proprio for demo in DEMOS]))
    expected = np.concatenate([np.stack([d.frames[c] for c in FORMAT.cameras], axis=1) for d in DEMOS])
    assert taught.all() and np.array_equal(store.frames(), expected)


def test_a_file_of_frames_that_was_cut_short_is_noticed(tmp_path: Path):
    path = tmp_path / "frames.bin"
    path.write_bytes(bytes(range(24)))
    frames = FrameFile(path, (2, 3), 4)
    assert frames[3].tolist() == [[18, 19, 20], [21, 22, 23]]
    with pytest.raises(IndexError, match="frame 4 of .*frames.bin, which has 4"):
        frames[4]
    path.write_bytes(bytes(20))
    with pytest.raises(OSError, match="ends in frame 3, expected 4 frames"):
        frames[3]


def test_a_store_is_extended_and_not_built_again(store):
    before = store.length
    report = ReadReport()
    again = DemonstrationStore(store.folder, FORMAT)
    again.extend(read_demonstrations([LiberoHdf5Source(path=store.folder.parent / "demos")], ROBOT, report), report)
    assert again.length == before


@pytest.mark.parametrize("file", ["frames.bin", "steps.bin", "index.jsonl"])
def test_an_interrupted_store_goes_on_after_the_last_whole_demonstration(tmp_path: Path, file: str):
    write_hdf5(tmp_path / "demos/libero_goal", DEMOS)

    def build() -> DemonstrationStore:
        opened, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
        opened.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], ROBOT, report), report)
        return opened

    whole = build()
    frames = np.array(whole.frames())
    with (tmp_path / "cache" / file).open("ab") as unfinished:
        unfinished.write(b'{"suite": "li')
    resumed = build()
    assert resumed.length == whole.length and np.array_equal(resumed.frames(), frames)


def test_a_cache_of_other_demonstrations_of_the_same_names_is_refused(store, tmp_path: Path):
    write_hdf5(tmp_path / "libero_goal", [ToyDemo(20, seed=7)])
    report = ReadReport()
    with pytest.raises(StoreError, match="holds another libero_goal/.*/episode_0 than .*data/demo_0, with .*: delete"):
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path)], ROBOT, report), report)


@pytest.mark.parametrize(
    ("changed", "named"),
    [("instruction", "'put the bowl on the stove'"), ("proprioception", "proprioception"), ("taught", "taught steps")],
)
def test_a_cache_of_demonstrations_that_differ_in_more_than_actions_is_refused(
    store, tmp_path: Path, changed: str, named: str
):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS[:1])
    with h5py.File(path, "a") as file:
        if changed == "instruction":
            file["data"].attrs["problem_info"] = json.dumps({"language_instruction": "put the bowl on the stove"})
        elif changed == "proprioception":
            file["data/demo_0/obs/ee_pos"][3] += 0.01
        else:
            file["data/demo_0/taught"] = np.arange(20) != 3
    report = ReadReport()
    with pytest.raises(StoreError, match=f"holds another .*, with .*{named}.*: delete"):
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path)], ROBOT, report), report)


@pytest.mark.parametrize("where", ["episode", "frame_origin"])
def test_an_index_of_another_version_is_refused_by_its_file_and_the_key(store, tmp_path: Path, where: str):
    path = shutil.copytree(store.folder, tmp_path / "cache") / "index.jsonl"
    header, first, *others = path.read_text().splitlines(keepends=True)
    entry = json.loads(first)
    (entry if where == "episode" else entry[where])["weather"] = "rain"
    path.write_text("".join([header, json.dumps(entry) + "\n", *others]))
    with pytest.raises(StoreError, match=f"{path}, line 2: .*'weather': another version wrote it"):
        DemonstrationStore(path.parent, FORMAT)


def test_frames_of_another_orientation_are_not_taken_for_these(store):
    demos, report = store.folder.parent / "demos", ReadReport()
    source = LiberoHdf5Source(path=demos, orientation=ImageOrientation.UPRIGHT)
    with pytest.raises(StoreError, match="frames of orientation opengl, there they are of orientation upright: "):
        store.extend(read_demonstrations([source], ROBOT, report), report)
    # They are in the file and not rendered, so at which size they would be changes nothing.
    store.extend(read_demonstrations([LiberoHdf5Source(path=demos, render_size=64)], ROBOT, report), report)


def test_frames_rendered_at_another_size_are_not_taken_for_these(tmp_path: Path, monkeypatch):
    with h5py.File(write_hdf5(tmp_path / "demos/libero_goal", DEMOS[:1]), "a") as file:
        for camera in FORMAT.cameras:
            del file[f"data/demo_0/obs/{camera}_rgb"]
    monkeypatch.setattr(libero_hdf5, "_render_frames", lambda *call: DEMOS[0].frames)
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    for size in (16, 16):  # the second time from the cache
        store.extend(
            read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos", render_size=size)], ROBOT, report), report
        )
    with pytest.raises(StoreError, match="frames of render_size 16, there they are of render_size 32: "):
        store.extend(
            read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos", render_size=32)], ROBOT, report), report
        )


def test_frames_that_look_otherwise_are_not_taken_for_these(tmp_path: Path, monkeypatch):
    with h5py.File(write_hdf5(tmp_path / "demos/libero_goal", DEMOS[:1]), "a") as file:
        for camera in FORMAT.cameras:
            del file[f"data/demo_0/obs/{camera}_rgb"]
    monkeypatch.setattr(libero_hdf5, "_render_frames", lambda *call: DEMOS[0].frames)
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()

    def extend(**settings) -> None:
        source = LiberoHdf5Source(path=tmp_path / "demos", render_size=16, **settings)
        store.extend(read_demonstrations([source], ROBOT, report, skip_damaged=False), report)

    extend(looks=LookVariation(seed=1))
    extend(looks=LookVariation(seed=1))  # from the cache
    with pytest.raises(StoreError, match=r'frames of render_size 16, looks .*"seed": 1.*, there .*"seed": 2'):
        extend(looks=LookVariation(seed=2))
    with pytest.raises(StoreError, match="frames of render_size 16, looks .*, there they are of render_size 16: "):
        extend()
    extend(looks=LookVariation(seed=2), collection="second")
    assert len(store.episodes) == 2


def test_frames_that_are_stored_cannot_look_otherwise(store):
    source = LiberoHdf5Source(path=store.folder.parent / "demos", looks=LookVariation())
    with pytest.raises(DemonstrationError, match="demo_0: `looks` is given and frames are stored"):
        list(read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False))


def test_an_index_that_says_nothing_of_the_frames_is_still_read(store, tmp_path: Path):
    cache = shutil.copytree(store.folder, tmp_path / "cache")
    header, *lines = [json.loads(line) for line in (cache / "index.jsonl").read_text().splitlines()]
    for line in lines:
        del line["frame_origin"]
    (cache / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    source = LiberoHdf5Source(path=store.folder.parent / "demos", orientation=ImageOrientation.UPRIGHT)
    opened, report = DemonstrationStore(cache, FORMAT), ReadReport()
    assert len(opened.extend(read_demonstrations([source], ROBOT, report), report)) == len(DEMOS)


def test_a_store_of_another_size_is_refused(store):
    with pytest.raises(StoreError, match='built with.*"image_size": 16.*"image_size": 32'):
        DemonstrationStore(store.folder, StoreFormat(ROBOT, FORMAT.cameras, 32))


def test_damaged_frames_are_counted(tmp_path: Path):
    broken = ToyDemo(6)
    broken.frames = {"agentview": broken.frames["agentview"][:3], "eye_in_hand": broken.frames["eye_in_hand"]}
    write_hdf5(tmp_path / "demos/libero_goal", [broken, DEMOS[1]])
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], ROBOT, report), report)
    assert [episode.episode for episode in store.episodes] == ["episode_1"]
    assert "3 frames for 6 actions" in report.skipped[0]


def test_a_store_that_is_read_does_not_see_what_another_command_adds(tmp_path: Path):
    def opened(demos: str) -> DemonstrationStore:
        store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / demos)], ROBOT, report), report)
        return store

    write_hdf5(tmp_path / "few/libero_goal", DEMOS[:1])
    write_hdf5(tmp_path / "more/libero_goal", DEMOS)
    store = opened("few")
    before = store.steps()
    assert opened("more").length > store.length == DEMOS[0].length
    assert all(np.array_equal(now, then) for now, then in zip(store.steps(), before, strict=True))
