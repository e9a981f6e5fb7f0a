"""An evaluation in parts: who plays what, and a merge that notices what is missing. No world is simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from substep_cli.grammar import main
from substep_core.episode import Placement
from training.evaluation.episodes import planned
from training.evaluation.records import ResultFolder, record_of
from training.evaluation.settings import EpisodeSettings, Selection
from training.evaluation.shards import Shard, merge_shards, parse_shard
from training.folder_lock import alone_in

SETTINGS = EpisodeSettings(policy="demonstrator")
BOTH = (Placement.BENCHMARK, Placement.WIDENED)
SELECTION = Selection(("libero_goal", "libero_10"), (0, 3, 5), ("policy",), BOTH, episodes=2)
SHARDS = [Shard(number, 4) for number in range(1, 5)]


def made_by(shard: Shard) -> dict[str, Any]:
    return {"command": f"eval --shard {shard.number}/{shard.count}", "commit": "abc", "date": "", "machine": {}}


def play(shard: Shard, out: Path, most: int = 1000, video: bool = False) -> None:
    """What a part leaves that is stopped after ``most`` episodes."""
    part = ResultFolder(shard.folder(out), SETTINGS)
    for key in list(shard.keys(SELECTION, part.source))[:most]:
        file = f"videos/{key.name}.mp4" if video else None
        if file:
            (part.path / file).parent.mkdir(exist_ok=True)
            (part.path / file).write_text(key.name)
        part.add(record_of(key, (0, 0), success=True, video=file), made_by(shard))


def test_parts_are_all_of_it_and_a_task_is_in_one_part():
    source = SETTINGS.source
    parts = [list(shard.keys(SELECTION, source)) for shard in SHARDS]
    keys = [key for part in parts for key in part]
    assert len(keys) == len(set(keys)) == 24 and set(keys) == set(planned(SELECTION, source))
    tasks = [{(key.suite, key.task) for key in part} for part in parts]
    assert [len(found) for found in tasks] == [2, 2, 1, 1]
    assert len(set.union(*tasks)) == 6


def test_what_is_missing_is_named_and_nothing_is_merged(tmp_path: Path):
    for shard, most in zip(SHARDS, (1000, 3, 1000), strict=False):
        play(shard, tmp_path, most)
    with pytest.raises(ValueError, match=r"shard 2/4 lacks 5 episodes; shard 4/4 is missing \(no .*4_of_4\)"):
        merge_shards(SETTINGS, SELECTION, tmp_path, 4)
    assert not (tmp_path / "episodes.jsonl").exists()


def test_merged_parts_are_the_whole_with_videos_and_commands_and_once(tmp_path: Path):
    for shard in SHARDS:
        play(shard, tmp_path, video=True)
    for _ in range(2):
        whole = merge_shards(SETTINGS, SELECTION, tmp_path, 4)
        assert whole.keys() == set(planned(SELECTION, whole.source)) and len(whole.records) == 24
    assert [made["command"] for made in whole.commands] == [made_by(shard)["command"] for shard in SHARDS]
    assert all((tmp_path / record["video"]).read_text() for record in whole.records)
    lines = (tmp_path / "episodes.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == whole.records


def test_parts_of_other_settings_are_refused(tmp_path: Path):
    for shard in SHARDS:
        play(shard, tmp_path)
    with pytest.raises(ValueError, match="holds results with policy 'demonstrator', now 'compact'"):
        merge_shards(EpisodeSettings(policy="compact"), SELECTION, tmp_path, 4)


def test_a_part_at_work_is_named_and_its_file_is_left_alone(tmp_path: Path):
    for shard in SHARDS:
        play(shard, tmp_path)
    file = SHARDS[1].folder(tmp_path) / "episodes.jsonl"
    with alone_in(file.parent), file.open("a") as episodes:
        episodes.write('{"half a')
        episodes.flush()
        with pytest.raises(BlockingIOError, match="shard 2/4 cannot be merged: another command is at work in .*2_of_4"):
            merge_shards(SETTINGS, SELECTION, tmp_path, 4)
        assert file.read_text().endswith('{"half a')
    assert not (tmp_path / "episodes.jsonl").exists()
    assert len(merge_shards(SETTINGS, SELECTION, tmp_path, 4).records) == 24


def test_a_video_that_could_not_be_copied_is_copied_by_the_next_merge(tmp_path: Path):
    for shard in SHARDS:
        play(shard, tmp_path, video=True)
    video = next((SHARDS[2].folder(tmp_path) / "videos").iterdir())
    elsewhere = video.rename(tmp_path / video.name)
    with pytest.raises(FileNotFoundError):
        merge_shards(SETTINGS, SELECTION, tmp_path, 4)
    elsewhere.rename(video)
    whole = merge_shards(SETTINGS, SELECTION, tmp_path, 4)
    assert len(whole.records) == 24
    assert all((tmp_path / record["video"]).read_text() for record in whole.records)


@pytest.mark.parametrize("written", ["0/4", "5/4", "2", "a/b", "1/0"])
def test_a_part_is_one_of_so_many(written: str):
    with pytest.raises(ValueError, match="expected I/N, I from 1 to N, as in 2/8"):
        parse_shard(written)


def test_a_folder_without_parts_is_named_and_not_made(tmp_path: Path, capsys):
    assert main(["eval", "--policy", "demonstrator", "--out", str(tmp_path / "tpyo"), "--merge", "2"]) == 2
    assert "tpyo has no parts to merge: expected those that --shard left in" in capsys.readouterr().err
    assert not (tmp_path / "tpyo").exists()


def test_parts_are_not_played_and_merged_at_once(tmp_path: Path, capsys):
    assert main(["eval", "--policy", "demonstrator", "--out", str(tmp_path), "--shard", "1/2", "--merge", "2"]) == 2
    assert "cannot go together" in capsys.readouterr().err
