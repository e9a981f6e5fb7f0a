"""Collecting demonstrations in the simulated world, and getting their frames back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libero_bridge.placement import WidenedPlacement
from libero_bridge.tasks import LiberoSource
from substep_cli.grammar import main
from substep_core.plan import read_library
from substep_planner.decomposers.library import shipped_library
from tests.training.toy import ROBOT
from training.collect import command
from training.collect.command import TaskJob, claim, collect_task
from training.collect.recording import draw_start
from training.collect.replay import RenderConfig
from training.collect.rerender import rerender
from training.collect.settings import CollectionSettings, Variation
from training.completion.frames import RenderSettings, read_shown, render_all
from training.data.frame_cache import DemonstrationStore, StoreFormat
from training.data.readers import DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations
from training.folder_lock import alone_in
from training.labels.command import LabelReport, compare, label
from training.labels.file import SubstepLabels

TASK = "put_the_bowl_on_the_plate"
TRAINING, EVALUATION = (LiberoSource().splits[name] for name in ("training", "evaluation"))
pytestmark = pytest.mark.xdist_group("collect")  # one worker builds the collection once


@pytest.fixture(scope="module")
def collected(tmp_path_factory) -> Path:
    """One demonstration, by the command."""
    out = tmp_path_factory.mktemp("collected")
    options = ["--suites", "libero_goal", "--tasks", "8", "--per-task", "1", "--workers", "1", "--disturbance", "0.02"]
    assert main(["data", "collect", "--out", str(out), *options]) == 0
    return out


@pytest.fixture(scope="module")
def with_missed_grasps(tmp_path_factory) -> Path:
    """One demonstration in which the gripper closes beside the thing before it closes on it."""
    out = tmp_path_factory.mktemp("missed")
    options = ["--suites", "libero_object", "--tasks", "4", "--per-task", "1", "--workers", "1", "--disturbance", "0"]
    assert (
        main(["data", "collect", "--out", str(out), *options, "--missed-grasp", "0.9", "--noise", "0", "--seed", "3"])
        == 0
    )
    return out


def content(file: Path) -> dict[str, np.ndarray]:
    """Every array and attribute of a file, by path."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item) -> None:
        found.update({f"{name}@{key}": np.asarray(value) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[:]

    with h5py.File(file) as opened:
        opened.visititems(visit)
    return found


def test_collecting_leaves_demonstrations_labels_and_plans(collected: Path):
    file = collected / "libero_goal" / f"{TASK}_demo.hdf5"
    demos = list(read_demonstrations([LiberoHdf5Source(path=collected)], ROBOT, ReadReport(), skip_damaged=False))
    labels = SubstepLabels.load(collected / "substep_labels.json")
    assert [demo.key for demo in demos] == [f"libero_goal/{TASK}/episode_{n}" for n in range(1)]
    assert all(demo.instruction == "put the bowl on the plate" for demo in demos)
    with h5py.File(file) as opened:
        assert opened["data"].attrs["num_demos"] == 1
        for number, demo in enumerate(demos):
            group = opened[f"data/demo_{number}"]
            found = labels.find("libero_goal", TASK, f"episode_{number}")
            assert len(found) == len(demo) == group.attrs["num_samples"]
            assert found.boundaries == group.attrs["substep_boundaries"].tolist()
            assert found.boundaries[-1] == len(demo) - 1
            assert [step.instruction for step in found.substeps] == ["pick up the bowl", "place the bowl on the plate"]
            assert np.abs(group["actions"][:]).max() <= 1.0
            assert group["rewards"][:].tolist() == group["dones"][:].tolist() == [0] * (len(demo) - 1) + [1]
            assert group.attrs["init_state_index"] in TRAINING.init_states and group.attrs["seed"] in TRAINING.seeds
    assert "put the bowl on the plate" in read_library(collected / "APD_plans.json")["libero_goal"]
    assert file.stat().st_size < 100_000, "frames are left out"


def test_a_collection_goes_on_where_it_stopped_and_ends_in_the_same_files(collected: Path, tmp_path: Path):
    out = tmp_path / "again"
    shutil.copytree(collected, out)
    file = out / "libero_goal" / f"{TASK}_demo.hdf5"
    before = content(file)
    file.unlink()
    last = sorted((out / "episodes" / "libero_goal" / TASK).glob("*.npz"))[-1]
    last.unlink()
    settings = CollectionSettings(per_task=1, variation=Variation(disturbance=0.02))
    outcome = collect_task(TaskJob("libero_goal", 8, out, settings))
    assert outcome.kept == 1 and last.exists()
    after = content(file)
    assert before.keys() == after.keys()
    assert [key for key in before if not np.array_equal(before[key], after[key])] == []


def test_frames_come_back_the_same_in_a_file_and_in_the_store(collected: Path, tmp_path: Path):
    full = tmp_path / "full"
    rerender(collected, full, RenderConfig(32), workers=0)
    assert (full / "substep_labels.json").exists()
    stored = []
    for number, source in enumerate((LiberoHdf5Source(path=full), LiberoHdf5Source(path=collected, render_size=32))):
        store = DemonstrationStore(tmp_path / f"cache{number}", StoreFormat(ROBOT, ("agentview", "eye_in_hand"), 32))
        report = ReadReport()
        store.extend(read_demonstrations([source], ROBOT, report), report)
        assert not report.skipped
        stored.append(np.array(store.frames()))
    assert np.array_equal(*stored)
    assert stored[0].std() > 20 and not np.array_equal(stored[0][0], stored[0][60]), "pictures of something that moves"
    rerender(collected, full, RenderConfig(32), workers=0)


def test_without_frames_and_without_rendering_the_demonstration_is_refused(collected: Path, tmp_path: Path):
    store, report = DemonstrationStore(tmp_path, StoreFormat(ROBOT, ("agentview",), 32)), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=collected)], ROBOT, report), report)
    assert not store.episodes and "no frames of agentview" in report.skipped[0]


def test_actions_that_do_not_give_the_recorded_motion_are_noticed(collected: Path, tmp_path: Path):
    shutil.copytree(collected / "libero_goal", tmp_path / "libero_goal")
    with h5py.File(tmp_path / "libero_goal" / f"{TASK}_demo.hdf5", "a") as file:
        file["data/demo_0/actions"][10:14, 0] = 1.0
        file["data/demo_0/actions"][14:18, 0] = -1.0
    demo = next(read_demonstrations([LiberoHdf5Source(path=tmp_path, render_size=32)], ROBOT, ReadReport()))
    with pytest.raises(DemonstrationError, match="demo_0: the arm is .* m off at timestep"):
        demo.frames()


def test_a_folder_of_other_settings_is_left_alone(collected: Path, capsys):
    assert (
        main(["data", "collect", "--out", str(collected), "--suites", "libero_goal", "--tasks", "8", "--seed", "9"])
        == 2
    )
    assert "was collected with" in capsys.readouterr().err


def test_a_second_collection_in_the_same_folder_is_refused(tmp_path: Path, capsys):
    with alone_in(tmp_path):
        assert main(["data", "collect", "--out", str(tmp_path), "--suites", "libero_goal", "--tasks", "8"]) == 1
    assert "another command is at work in" in capsys.readouterr().err
    with alone_in(tmp_path):
        pass


def test_a_process_that_dies_ends_the_command_with_the_reason(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(command, "TaskJob", DeadlyJob)
    assert (
        main(["data", "collect", "--out", str(tmp_path), "--suites", "libero_object", "--tasks", "0", "--workers", "1"])
        == 1
    )
    assert "collect: a worker process died" in capsys.readouterr().err


class DeadlyJob(TaskJob):
    """Whatever process receives it ends at once."""

    def __reduce__(self):
        return os._exit, (9,)


def test_an_unlucky_draw_is_one_episode_without_success(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(WidenedPlacement, "DRAWS_OF_ALL", 0)
    settings = CollectionSettings(per_task=1, attempts=2, variation=Variation(widened=1.0))
    outcome = collect_task(TaskJob("libero_goal", 8, tmp_path, settings))
    assert outcome.kept == 0
    assert [text.partition(" of ")[0] for text in outcome.failures] == [
        "widened placement: no collision-free placement"
    ] * 2


def test_a_collection_may_grow(tmp_path: Path):
    claim(tmp_path, CollectionSettings(per_task=2))
    claim(tmp_path, CollectionSettings(per_task=5))
    assert json.loads((tmp_path / "collection.json").read_text())["per_task"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suites", "libero_moon"], "unknown suite 'libero_moon'"),
        (["--suites", "libero_goal", "--tasks", "99"], "task 99 is not in suite"),
        (["--noise", "3"], "noise is 3"),
        (["--per-task", "0"], "--per-task is '0'"),
        (["--novice", "nobody"], "unknown policy 'nobody'"),
        (["--novice-chunks", "9", "3"], "novice_chunks (9, 3) must be two rising numbers"),
    ],
)
def test_wrong_options_end_with_the_reason(tmp_path: Path, capsys, options, message):
    assert main(["data", "collect", "--out", str(tmp_path / "x"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@given(st.integers(0, 2**31), st.integers(0, 10_000))
def test_training_never_starts_where_evaluation_does(seed: int, number: int):
    start = draw_start(Variation(), TRAINING, (seed, 1, 2, number))
    assert start == draw_start(Variation(), TRAINING, (seed, 1, 2, number))
    assert start.init_state not in EVALUATION.init_states and start.seed not in EVALUATION.seeds
    assert 0 <= start.noise <= Variation().noise
    test = draw_start(Variation(split="evaluation"), EVALUATION, (seed, 1, 2, number))
    assert test.init_state in EVALUATION.init_states and test.seed in EVALUATION.seeds


def test_a_learned_policy_disturbs_a_demonstration_that_can_be_replayed(tmp_path: Path):
    options = ["--suites", "libero_goal", "--tasks", "7", "--per-task", "1", "--workers", "1", "--disturbance", "0.2"]
    novice = ["--novice", "compact", "--noise", "0", "--widened", "0"]
    assert main(["data", "collect", "--out", str(tmp_path), *options, *novice]) == 0
    source = LiberoHdf5Source(path=tmp_path, render_size=32, cameras={"agentview": "agentview_rgb"})
    (demo,) = read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False)
    assert (~demo.taught).sum() >= 2 and demo.taught.sum() >= 10
    assert len(demo.frames()["agentview"]) == len(demo)


def test_the_demonstrator_shows_what_to_do_about_a_missed_grasp(with_missed_grasps: Path):
    (demo,) = read_demonstrations([LiberoHdf5Source(path=with_missed_grasps)], ROBOT, ReadReport(), skip_damaged=False)
    closed = demo.actions[:, 6] > 0
    missed = closed & ~demo.taught
    assert missed.sum() >= 8
    assert (~closed)[np.flatnonzero(missed)[-1] :].any(), "the gripper opens again afterwards"


@pytest.mark.parametrize("folder", ["collected", "with_missed_grasps"])
def test_labels_made_by_rules_agree_with_what_the_demonstrator_did(folder: str, request):
    """The rules see the hand alone; the demonstrator ends a pick by the height of the thing, which may hang."""
    folder = request.getfixturevalue(folder)
    demos = list(read_demonstrations([LiberoHdf5Source(path=folder)], ROBOT, ReadReport(), skip_damaged=False))
    report = LabelReport()
    made = label(demos, shipped_library(), report)
    agreement = compare(made, SubstepLabels.load(folder / "substep_labels.json"), (5,))
    assert (report.labelled, agreement.episodes, agreement.left_out, agreement.boundaries) == (1, 1, 0, 1)
    assert agreement.within == {5: 1.0} and agreement.same_instruction > 0.95


def test_frames_around_the_ends_of_substeps_and_of_failures_come_from_a_replay(collected: Path, tmp_path: Path):
    render_all(collected, tmp_path, range(20), RenderSettings(ROBOT), workers=0)
    whole, failed = read_shown(tmp_path)
    assert (whole.outline.failed, failed.outline.failed) == (None, 0)
    assert whole.images.shape == (len(whole.numbers), 2, 128, 128, 3) and len(whole.numbers) > 20
    done = whole.outline.ends[0] + 1
    held, missed = (episode.views(episode.numbers.tolist().index(done))["eye_in_hand"] for episode in (whole, failed))
    assert np.abs(held.astype(int) - missed).mean() > 2, "the bowl is between the fingers, or it is not"
    before = whole._path.stat().st_mtime_ns
    render_all(collected, tmp_path, range(20), RenderSettings(ROBOT), workers=0)
    assert whole._path.stat().st_mtime_ns == before
