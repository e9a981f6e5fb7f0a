"""Demonstrations in other formats are the same demonstrations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from substep_cli.grammar import main
from tests.training.toy import INSTRUCTION, ROBOT, SUBSTEPS, ToyDemo, true_labels, write_hdf5
from training.data.readers import LeRobotSource, LiberoHdf5Source, ReadReport, read_demonstrations
from training.data.writers import DATA_WRITERS
from training.labels.file import LABELS_FILE

DEMOS = [ToyDemo(12, seed=1), ToyDemo(9, seed=2)]


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """Two labelled demonstrations in LIBERO's layout."""
    write_hdf5(tmp_path / "hdf5/libero_goal", DEMOS)
    true_labels(DEMOS).save(tmp_path / "hdf5" / LABELS_FILE)
    return tmp_path / "hdf5"


def test_what_is_exported_to_lerobot_reads_back_with_its_substeps(collected: Path, tmp_path: Path, capsys):
    assert main(["data", "export", str(collected), "--format", "lerobot", "--out", str(tmp_path / "out")]) == 0
    assert "2 in" in capsys.readouterr().out
    source = LeRobotSource(path=tmp_path / "out", suite="libero_goal", orientation="upright", cameras=KEYS)
    found = list(read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False))
    assert [demo.instruction for demo in found] == [INSTRUCTION] * 2
    labels = true_labels(DEMOS)
    for demo, expected in zip(found, DEMOS, strict=True):
        np.testing.assert_allclose(demo.actions, expected.actions, atol=1e-6)
        np.testing.assert_allclose(demo.proprio, expected.proprio, atol=1e-6)
        own = labels.find(demo.suite, demo.task, demo.episode)
        assert [item.instruction for item in demo.labels.substeps] == [item.instruction for item in SUBSTEPS]
        np.testing.assert_array_equal(demo.labels.substep_index, own.substep_index)
        for camera, images in demo.frames().items():
            assert np.abs(images.astype(int) - expected.frames[camera]).mean() < 12, "upright; video is lossy"


KEYS = {name: (f"observation.images.{name}",) for name in ("agentview", "eye_in_hand")}


def test_the_layout_is_that_which_lerobot_publishes(collected: Path, tmp_path: Path):
    source = LiberoHdf5Source(path=collected)
    assert DATA_WRITERS.load("lerobot")(source, ROBOT, tmp_path / "out") == 2
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    counts = {name: info[name] for name in ("codebase_version", "total_episodes", "total_frames", "total_tasks", "fps")}
    assert list(counts.values()) == ["v3.0", 2, 21, 1, 20] and info["splits"] == {"train": "0:2"}
    assert info["features"]["observation.images.agentview"]["shape"] == [16, 16, 3]
    episodes = parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in episodes] == [(0, 12), (12, 21)]
    last = parquet.read_table(tmp_path / "out/data/chunk-000/file-001.parquet")
    assert set(last.column_names) == {name for name, kind in info["features"].items() if kind["dtype"] != "video"}
    assert last["index"].to_pylist() == list(range(12, 21)) and last["timestamp"][1].as_py() == pytest.approx(0.05)
    tasks = parquet.read_table(tmp_path / "out/meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    assert stats["action"]["count"] == [21] and len(stats["observation.state"]["q99"]) == ROBOT.state_width


def test_a_folder_that_holds_something_and_a_format_that_there_is_not_are_refused(collected: Path, capsys):
    assert main(["data", "export", str(collected), "--format", "lerobot", "--out", str(collected)]) == 2
    assert "holds something already: choose a new folder" in capsys.readouterr().err
    assert main(["data", "export", str(collected), "--format", "tape", "--out", str(collected / "new")]) == 2
    assert "unknown data format 'tape': expected one of lerobot" in capsys.readouterr().err
