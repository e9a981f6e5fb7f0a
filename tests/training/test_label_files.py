"""Labels are found beside their source, and what is wrong with them is said before frames are read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.training.toy import FORMAT, ToyDemo, true_labels, write_hdf5
from training.data.build import open_store, prepare_data
from training.data.label_files import load_labels
from training.data.readers import LiberoHdf5Source
from training.train.config import DataConfig

DEMOS = [ToyDemo(9, seed) for seed in range(2)]


@pytest.fixture
def source(tmp_path: Path) -> LiberoHdf5Source:
    write_hdf5(tmp_path / "demos/libero_goal", DEMOS)
    return LiberoHdf5Source(path=tmp_path / "demos")


def test_labels_lie_beside_their_source_unless_said(source: LiberoHdf5Source, tmp_path: Path):
    config = DataConfig(sources=(source,), cache=tmp_path / "cache", workers=0)
    true_labels(DEMOS).save(source.path / "substep_labels.json")
    assert len(load_labels(config).by_collection[""]) == 2
    true_labels(DEMOS[:1]).save(tmp_path / "mine.json")
    said = DataConfig(sources=(source,), cache=tmp_path / "cache", labels=tmp_path / "mine.json")
    assert len(load_labels(said).by_collection[""]) == 1


@pytest.mark.parametrize("key", ["data.labels", "data.sources: labels"])
def test_labels_that_are_named_and_missing_stop_a_run_before_frames_are_read(toy_run, tmp_path: Path, key: str):
    path = tmp_path / "nowhere.json"
    named = f"data.labels={path}"
    if key != "data.labels":
        named = f"data.sources=[{{type: libero_hdf5, path: {tmp_path / 'demos'}, labels: {path}}}]"
    with pytest.raises(ValueError, match=f"{key} {path} is missing: ./substep data label makes it. Without {key}"):
        prepare_data(toy_run(named))
    assert not (tmp_path / "cache").exists()


def test_labels_of_other_demonstrations_stop_a_run_before_frames_are_read(toy_run, tmp_path: Path):
    true_labels(DEMOS, suite="libero_ten").save(tmp_path / "substep_labels.json")
    with pytest.raises(ValueError, match="none of the 6 demonstrations has labels: .* libero_goal, .* of libero_ten"):
        prepare_data(toy_run())
    assert not (tmp_path / "cache/frames.bin").exists()
    prepare_data(toy_run("data.rules.use_substep_decomposition=false"))


def test_no_labels_at_all_are_said(source: LiberoHdf5Source, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    config = DataConfig(sources=(source,), cache=tmp_path / "cache", workers=0)
    with caplog.at_level(logging.WARNING):
        labels = load_labels(config)
    assert "no substep_labels.json lies in a source's folder and data.labels names none" in caplog.text
    assert len(open_store(config, FORMAT, labels)[1]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.tokenizer=nowhere.json", "data.tokenizer nowhere.json is missing"),
        ("data.rules.suite_copies.libero_ten=2", r"suite_copies names \['libero_ten'\]"),
        ("data.sources=[{type: libero_hdf5, path: nowhere}]", "nowhere is missing, expected a folder"),
        ("optimizer.batch_size=9999", "batch_size is 9999, but there are only"),
        ("model.preprocessing.max_instruction_tokens=2", "tokens and the model takes"),
        ("data.held_out_every=1", "held_out_every is 1"),
    ],
)
def test_what_a_run_lacks_is_said_before_frames_are_read(toy_run, tmp_path: Path, change: str, message: str):
    with pytest.raises(ValueError, match=message):
        prepare_data(toy_run(change))
    assert not (tmp_path / "cache/frames.bin").exists()


def test_why_nothing_is_left_to_train_on_is_said(toy_run, tmp_path: Path):
    for file in (tmp_path / "demos").glob("*/*"):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match="1 demonstrations were skipped, none read, the first because of this: .*hdf5"):
        prepare_data(toy_run())
