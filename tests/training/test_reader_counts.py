"""What a data set counts of itself is checked: no episode is missing, and none is there that is not its."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import h5py
import pytest

from tests.training.data_sets import edit_info, edit_lerobot, shards, write_lerobot_texts, write_rlds_info
from tests.training.toy import ROBOT, ToyDemo, write_hdf5, write_lerobot, write_rlds
from training.data.readers import (
    DemonstrationError,
    LeRobotSource,
    LiberoHdf5Source,
    ReadReport,
    RldsSource,
    read_demonstrations,
)

DEMOS = [ToyDemo(4, seed) for seed in range(8)]
TASKS = ["open", "close"] * 4  # in two shards: open four times, close four times


def keys(source: object, report: ReadReport | None = None) -> list[str]:
    """Task and number of what is read."""
    return [f"{demo.task} {demo.episode}" for demo in read_demonstrations([source], ROBOT, report or ReadReport())]


@pytest.fixture
def rlds(tmp_path: Path) -> Path:
    folder = write_rlds(tmp_path, DEMOS, TASKS)
    write_rlds_info(folder, [4, 4])
    return folder


def test_a_missing_shard_stops_the_reading_before_it_begins(rlds: Path):
    (first, second) = shards(rlds)
    assert len(keys(RldsSource(path=rlds))) == 8
    second.unlink()
    remedy = "`allow_missing: true` and `numbering: dataset`"
    with pytest.raises(DemonstrationError, match=f"1 of 2 shards are missing: {second} is .* 4 episodes.*{remedy}"):
        next(read_demonstrations([RldsSource(path=rlds)], ROBOT, ReadReport()))
    (rlds / "1.0.0/dataset_info.json").unlink()  # the names alone say how many there are
    with pytest.raises(DemonstrationError, match="1 of 2 shards are missing"):
        keys(RldsSource(path=rlds))


def test_a_missing_shard_may_be_counted_and_no_other_takes_its_numbers(rlds: Path):
    shards(rlds)[0].unlink()
    with pytest.raises(DemonstrationError, match="cannot be known after this damage: .*00000-of-00002 is missing"):
        keys(RldsSource(path=rlds, allow_missing=True))
    report = ReadReport()
    found = keys(RldsSource(path=rlds, allow_missing=True, numbering="dataset"), report)
    assert found == [f"close episode_{number}" for number in (4, 5, 6, 7)]
    assert len(report.skipped) == 1 and "with its 4 episodes" in report.skipped[0]


def test_shards_of_an_earlier_cut_are_not_mixed_in(rlds: Path, caplog: pytest.LogCaptureFixture):
    (first, second) = shards(rlds)
    stale = [first.with_name(first.name.replace("00002", "00003")), first.with_name("other.txt")]
    for path in stale:
        path.write_bytes(second.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert keys(RldsSource(path=rlds)) == [f"{task} episode_{n}" for task in ("open", "close") for n in range(4)]
    assert f"1 files of another cut are not read, such as {stale[0].name}" in caplog.text
    (rlds / "1.0.0/dataset_info.json").unlink()
    with pytest.raises(DemonstrationError, match="cut into 2 and into 3, and no dataset_info.json says which"):
        keys(RldsSource(path=rlds))


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"splits": [{"name": "val", "shardLengths": ["8"]}]}, "has splits val, not 'train'"),
        ({"splits": [{"name": "train", "shardLengths": ["8"]}]}, "says 1 shards of split 'train', .* are of 2"),
        ({"splits": [{"name": "train"}], "fileFormat": "array_record"}, "fileFormat 'array_record', .* takes tfrecord"),
        ({"splits": [{"name": "train", "shardLengths": ["x"]}]}, "does not say how many episodes each shard has"),
        ([], "dataset_info.json holds a JSON list, expected an object"),
    ],
)
def test_a_data_set_that_describes_others_is_refused(rlds: Path, info: object, message: str):
    (rlds / "1.0.0/dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DemonstrationError, match=message):
        keys(RldsSource(path=rlds))


@pytest.mark.parametrize("lost", [0, 3])
def test_episodes_missing_from_lerobots_table_stop_the_reading_or_are_counted(tmp_path: Path, lost: int):
    folder = write_lerobot(tmp_path / "set", DEMOS[:4], video=False)
    write_lerobot_texts(folder, ["open", "close"], [0, 1, 0, 1])
    assert keys(LeRobotSource(path=folder)) == [
        "open episode_0",
        "close episode_0",
        "open episode_1",
        "close episode_1",
    ]
    edit_lerobot(folder, "meta/episodes", drop=[lost])
    with pytest.raises(DemonstrationError, match=f"1 of 4 episodes are missing from meta/episodes, such as {lost}"):
        keys(LeRobotSource(path=folder))
    report = ReadReport()
    found = keys(LeRobotSource(path=folder, allow_missing=True, numbering="dataset"), report)
    tasks = ["open episode_0", "close episode_1", "open episode_2", "close episode_3"]
    assert found == [name for number, name in enumerate(tasks) if number != lost]
    assert report.skipped == [f"{folder}: episode {lost} is missing from meta/episodes"]
    if lost == 0:
        with pytest.raises(DemonstrationError, match="episode 1: .*cannot be known after this damage"):
            keys(LeRobotSource(path=folder, allow_missing=True))


def test_an_episode_that_lerobot_does_not_count_or_counts_twice_is_refused(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", DEMOS[:2], video=False)
    edit_info(folder, total_episodes=1)
    with pytest.raises(DemonstrationError, match="has episode 1 and meta/info.json says total_episodes 1"):
        keys(LeRobotSource(path=folder))
    edit_info(folder, total_episodes=2)
    edit_lerobot(folder, "meta/episodes", episode_index=lambda _: [0, 0])
    with pytest.raises(DemonstrationError, match="has episode 0 twice"):
        keys(LeRobotSource(path=folder))


def test_demonstrations_that_an_hdf5_file_counts_and_lacks_stop_the_reading_or_are_counted(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS[:2])
    with h5py.File(path, "a") as file:
        file["data"].attrs["num_demos"] = 3
    with pytest.raises(DemonstrationError, match="2 demonstrations are there, num_demos says 3. .*allow_missing"):
        keys(LiberoHdf5Source(path=tmp_path))
    report = ReadReport()
    assert len(keys(LiberoHdf5Source(path=tmp_path, allow_missing=True), report)) == 2 and len(report.skipped) == 1
    with h5py.File(path, "a") as file:
        file["data"].attrs["num_demos"] = 2
        file["data/demo_1"].attrs["num_samples"] = 9
    report = ReadReport()
    assert len(keys(LiberoHdf5Source(path=tmp_path), report)) == 1
    assert "unequal lengths: 4 actions, 4 states, num_samples 9" in report.skipped[0]
