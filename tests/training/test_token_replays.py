"""Replays through an action tokenizer are kept: a command that was stopped makes those that are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.action_tokenizers.folder import Reconstruction
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.models.normalization import GripperConvention
from training.action_tokenizer import replay
from training.action_tokenizer.replayed_parts import carried_out

RECORDINGS = [(Path("suite/task.hdf5"), "demo_0"), (Path("suite/task.hdf5"), "demo_1")]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the replays that are made; with one layer of the two they fail."""
    made: list[str] = []
    monkeypatch.setattr(
        replay,
        "load_tokenizer",
        lambda folder: SimpleNamespace(finenesses=2, space=SimpleNamespace(robot=load_robot(LIBERO_PANDA))),
    )
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
    assert (first.exact, first.recorded, first.succeeded) == (2, 2, {(1, "all"): 0, (2, "all"): 2}) and len(made) == 6
    file = out / replay.RESULTS_FILE
    file.write_text(file.read_text()[:-5])  # a crash amid the last line
    assert replay.replays(tokenizer, tmp_path, (), 5, out, workers=1) == first
    assert made[6:] == ["suite/task.hdf5/demo_1/2"]


def test_a_folder_of_another_tokenizers_replays_is_refused(made: list[str], tokenizer: Path, tmp_path: Path):
    replay.replays(tokenizer, tmp_path, (1,), 5, tmp_path / "out", workers=1)
    (tokenizer / "config.json").write_text('{"layers": 3}')
    with pytest.raises(ValueError, match=r"out holds results with tokenizer '\w+', now '\w+': choose another --out"):
        replay.replays(tokenizer, tmp_path, (1,), 5, tmp_path / "out", workers=1)


class CoarseTokenizer:
    """Decodes every value a tenth too high in the second half of what it is given."""

    finenesses = 1

    def __init__(self) -> None:
        robot = load_robot(LIBERO_PANDA)
        self.space = ActionSpace(
            robot=robot,
            chunk_length=4,
            gripper=GripperConvention.CLOSE_IS_ONE,
            low=(-1.0,) * robot.action_width,
            high=(1.0,) * robot.action_width,
        )

    def reconstruct(self, actions: np.ndarray, fineness: int) -> Reconstruction:
        late = np.arange(len(actions))[:, None, None] >= len(actions) / 2
        return Reconstruction("coarse", 1.0, actions + 0.1 * late.astype(np.float32))


def test_parts_of_a_tokenizers_error_are_carried_out_apart():
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 7)).astype(np.float32)
    actions[:, 6] = np.where(np.arange(10) < 6, -1, 1)

    def errors(part: str) -> np.ndarray:
        return carried_out(CoarseTokenizer(), 1, part, actions, "suite/task/demo_0") - actions

    late = np.arange(10)[:, None] >= 8  # 10 steps are 3 chunks of 4, the third of them late; the gripper's sign stays
    expected = np.where(late, np.array([0.1] * 6 + [0.0]), 0.0)
    assert np.allclose(errors("all"), expected, atol=1e-6)
    assert np.allclose(errors("translation"), expected * ([1] * 3 + [0] * 4), atol=1e-6)
    assert np.allclose(errors("normalized"), 0, atol=1e-6) and np.allclose(errors("gripper"), 0)
    noise = errors("noise")
    assert np.allclose(np.sort(noise, axis=0), np.sort(expected, axis=0), atol=1e-6)
    assert not np.allclose(noise, expected, atol=1e-3) and np.array_equal(noise, errors("noise"))


def test_every_part_is_counted_and_what_fails_is_named(monkeypatch, made: list[str], tokenizer: Path, tmp_path: Path):
    monkeypatch.setattr(replay, "succeeds", lambda folder, each: each.part != "rotation" or each.demo == "demo_1")
    report = replay.replays(tokenizer, tmp_path, (2,), 5, tmp_path / "out", 1, ("all", "rotation"))
    assert report.succeeded == {(2, "all"): 2, (2, "rotation"): 1}
    assert "  2 layers, rotation: 1 (50%; 9% to 91%)" in str(report)
    assert "fails with 2 layers, rotation: suite/task.hdf5/demo_0" in str(report)
    with pytest.raises(ValueError, match=r"parts are \['wrist'\], expected some of all, normalized, noise, transl"):
        replay.replays(tokenizer, tmp_path, (2,), 5, tmp_path / "out", 1, ("wrist",))
