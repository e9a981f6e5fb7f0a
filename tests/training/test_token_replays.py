"""Replays through an action tokenizer are kept: a command that was stopped makes those that are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from training.action_tokenizer import replay

RECORDINGS = [(Path("suite/task.hdf5"), "demo_0"), (Path("suite/task.hdf5"), "demo_1")]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the replays that are made; with one layer of the two they fail."""
    made: list[str] = []
    monkeypatch.setattr(replay, "load_tokenizer", lambda folder: SimpleNamespace(finenesses=2))
    monkeypatch.setattr(replay, "recordings", lambda demonstrations, per_task: RECORDINGS)
    monkeypatch.setattr(replay, "succeeds", lambda folder, each: made.append(each.key) or each.layers != 1)
    return made


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_only_what_is_missing_is_replayed(made: list[str], tokenizer: Path, tmp_path: Path):
    out = tmp_path / "out"
    first = replay.replays(tokenizer, tmp_path, (), 5, out, workers=1)
    assert (first.exact, first.recorded, first.succeeded) == (2, 2, {1: 0, 2: 2}) and len(made) == 6
    file = out / replay.RESULTS_FILE
    file.write_text(file.read_text()[:-5])  # a crash amid the last line
    assert replay.replays(tokenizer, tmp_path, (), 5, out, workers=1) == first
    assert made[6:] == ["suite/task.hdf5/demo_1/2"]


def test_a_folder_of_another_tokenizers_replays_is_refused(made: list[str], tokenizer: Path, tmp_path: Path):
    replay.replays(tokenizer, tmp_path, (1,), 5, tmp_path / "out", workers=1)
    (tokenizer / "config.json").write_text('{"layers": 3}')
    with pytest.raises(ValueError, match=r"out holds results with tokenizer '\w+', now '\w+': choose another --out"):
        replay.replays(tokenizer, tmp_path, (1,), 5, tmp_path / "out", workers=1)
