"""Collecting demonstrations in the simulated world, and getting their frames back."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_planner.plan import read_library
from substep_policy.chunk import Chunk
from substep_policy.observation import Observation
from tests.processes import ProcessUnderTest
from training.collect import CollectionSettings, TaskJob, claim, collect_task, main
from training.completion.frames import main as frames_main
from training.completion.frames import read_shown
from training.demonstrations import DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations
from training.disturbances import DisturbedPolicy, Variation
from training.folder_lock import alone_in
from training.labels import SubstepLabels
from training.recording import draw_start
from training.rerender import main as rerender_main
from training.splits import EVALUATION_INIT_STATES, EVALUATION_SEEDS, TRAINING_INIT_STATES, TRAINING_SEEDS
from training.store import DemonstrationStore, StoreFormat

TASK = "put_the_bowl_on_the_plate"
pytestmark = pytest.mark.xdist_group("collect")  # one worker builds the collection once


@pytest.fixture(scope="module")
def collected(tmp_path_factory) -> Path:
    """One demonstration, by the command."""
    out = tmp_path_factory.mktemp("collected")
    options = ["--suites", "libero_goal", "--tasks", "8", "--per-task", "1", "--workers", "1", "--disturbance", "0.02"]
    assert main(["--out", str(out), *options]) == 0
    return out


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120.0
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


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
    demos = list(read_demonstrations([LiberoHdf5Source(path=collected)], ReadReport(), skip_damaged=False))
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
            assert group.attrs["init_state"] in TRAINING_INIT_STATES and group.attrs["seed"] in TRAINING_SEEDS
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
    assert rerender_main([str(collected), "--out", str(full), "--size", "32", "--workers", "0"]) == 0
    assert (full / "substep_labels.json").exists()
    stored = []
    for number, source in enumerate((LiberoHdf5Source(path=full), LiberoHdf5Source(path=collected, render_size=32))):
        store = DemonstrationStore(tmp_path / f"cache{number}", StoreFormat(("agentview", "eye_in_hand"), 32))
        report = ReadReport()
        store.extend(read_demonstrations([source], report), report)
        assert not report.skipped
        stored.append(np.array(store.frames()))
    assert np.array_equal(*stored)
    assert stored[0].std() > 20 and not np.array_equal(stored[0][0], stored[0][60]), "pictures of something that moves"
    assert rerender_main([str(collected), "--out", str(full), "--size", "32", "--workers", "0"]) == 0


def test_without_frames_and_without_rendering_the_demonstration_is_refused(collected: Path, tmp_path: Path):
    store, report = DemonstrationStore(tmp_path, StoreFormat(("agentview",), 32)), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=collected)], report), report)
    assert not store.episodes and "no frames of agentview" in report.skipped[0]


def test_actions_that_do_not_give_the_recorded_motion_are_noticed(collected: Path, tmp_path: Path):
    shutil.copytree(collected / "libero_goal", tmp_path / "libero_goal")
    with h5py.File(tmp_path / "libero_goal" / f"{TASK}_demo.hdf5", "a") as file:
        file["data/demo_0/actions"][10:14, 0] = 1.0
        file["data/demo_0/actions"][14:18, 0] = -1.0
    demo = next(read_demonstrations([LiberoHdf5Source(path=tmp_path, render_size=32)], ReadReport()))
    with pytest.raises(DemonstrationError, match="demo_0: the arm is .* m off at timestep"):
        demo.frames()


def test_a_folder_of_other_settings_is_left_alone(collected: Path, capsys):
    assert main(["--out", str(collected), "--suites", "libero_goal", "--tasks", "8", "--seed", "9"]) == 1
    assert "was collected with" in capsys.readouterr().err


def test_a_second_collection_in_the_same_folder_is_refused(tmp_path: Path, capsys):
    with alone_in(tmp_path):
        assert main(["--out", str(tmp_path), "--suites", "libero_goal", "--tasks", "8"]) == 1
    assert "another command is at work in" in capsys.readouterr().err
    with alone_in(tmp_path):
        pass


def test_nothing_goes_on_when_the_command_is_killed(tmp_path: Path):
    options = ["--suites", "libero_object", "--tasks", "0", "--per-task", "1000", "--workers", "1"]
    command = [sys.executable, "-m", "training.collect", "--out", str(tmp_path / "data"), *options]
    process = ProcessUnderTest(command, tmp_path / "collect.log")
    try:
        wait_until(lambda: any((tmp_path / "data").rglob("*.npz")), "a demonstration")
        process.send(signal.SIGKILL)
        wait_until(lambda: not process.family(), "the end of the workers")
    finally:
        process.close()


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
        (["--per-task", "0"], "per_task is 0"),
        (["--novice", "nobody"], "unknown policy 'nobody'"),
        (["--novice-chunks", "9", "3"], "novice_chunks (9, 3) must be two rising numbers"),
    ],
)
def test_wrong_options_end_with_the_reason(tmp_path: Path, capsys, options, message):
    assert main(["--out", str(tmp_path / "x"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@given(st.integers(0, 2**31), st.integers(0, 10_000))
def test_training_never_starts_where_evaluation_does(seed: int, number: int):
    start = draw_start(Variation(), (seed, 1, 2, number))
    assert start == draw_start(Variation(), (seed, 1, 2, number))
    assert start.init_state not in EVALUATION_INIT_STATES and start.seed not in EVALUATION_SEEDS
    assert 0 <= start.noise <= Variation().noise
    test = draw_start(Variation(split="evaluation"), (seed, 1, 2, number))
    assert test.init_state in EVALUATION_INIT_STATES and test.seed in EVALUATION_SEEDS


class Still:
    """A policy that stands still with the gripper closed."""

    name = "still"

    def start_substep(self, instruction: str, task: str) -> None:
        pass

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, 0, 0, 0, 0, 1]], np.float32))


def test_disturbances_move_the_arm_keep_the_gripper_and_are_told_apart():
    policy = DisturbedPolicy(Still(), Variation(disturbance=0.3, disturbance_steps=(4, 6)), seed=0)
    policy.start_substep("pick up the bowl", "")
    seen = Observation({}, np.zeros(8, np.float32))
    chunks = []
    for _ in range(50):
        chunk = policy.predict(seen)
        chunks.append((policy.is_disturbance(chunk), chunk))
    moved = [chunk for is_disturbance, chunk in chunks if is_disturbance]
    assert 5 < len(moved) < 30 and policy.name == "still"
    assert all(4 <= len(chunk.actions) <= 6 and not chunk.has_eos for chunk in moved)
    assert all(np.abs(chunk.actions[:, :3]).max() > 0 for chunk in moved)
    assert {float(chunk.actions[0, 6]) for chunk in moved if chunk is not chunks[0][1]} == {1.0}
    assert not any(np.abs(chunk.actions[:, :6]).any() for is_disturbance, chunk in chunks if not is_disturbance)


class Wandering(Still):
    """A policy that goes to the left, and takes the substep for done with its third chunk."""

    def __init__(self) -> None:
        self.told, self.asked = [], 0

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append(instruction)

    def predict(self, observation: Observation) -> Chunk:
        self.asked += 1
        ends = self.asked % 3 == 0
        return Chunk(np.tile(np.array([[0, 1, 0, 0, 0, 0, -1]], np.float32), (2, 1)), eos_index=1 if ends else -1)


def test_a_novice_disturbs_once_in_a_substep_for_some_chunks_and_never_ends_it():
    novice = Wandering()
    policy = DisturbedPolicy(Still(), Variation(disturbance=0.1, novice_chunks=(2, 5)), seed=0, novice=novice)
    seen = Observation({}, np.zeros(8, np.float32))
    lengths = []
    for substep in range(30):
        policy.start_substep(f"pick up bowl {substep}", "")
        who = []
        for _ in range(40):
            chunk = policy.predict(seen)
            who.append(policy.is_disturbance(chunk))
            assert not chunk.has_eos and bool(chunk.actions[0, 1]) is who[-1]
        lengths += map(len, "".join("x" if disturbed else " " for disturbed in who).split())
    assert novice.told[-1] == "pick up bowl 29" and novice.asked == sum(lengths)
    assert 20 < len(lengths) <= 30 and set(lengths) <= {1, 2, 3}, "where it says EOS, the demonstrator takes over"


def test_who_takes_over_from_a_novice_has_seen_the_beginning():
    """Two bowls are told apart by where they stand, and one of them is moved."""
    demonstrator, novice = Wandering(), Dropping()
    policy = DisturbedPolicy(demonstrator, Variation(disturbance=1, novice_chunks=(3, 3)), 0, novice)
    policy.start_substep("pick up the bowl next to the plate", "")
    seen = Observation({}, np.zeros(8, np.float32))
    played = [policy.is_disturbance(policy.predict(seen)) for _ in range(3)]
    assert played == [True, True, True] and demonstrator.asked == 1


class Dropping(Wandering):
    """A novice that opens the gripper with the second action of every chunk."""

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, -1]], np.float32))


class Holding(Still):
    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, 0, 0, 0, 0, 1]], np.float32))


@pytest.mark.parametrize(
    ("instruction", "lets_go", "opens"),
    [("place the bowl on the plate", 0.0, 0), ("place the bowl on the plate", 1.0, 1), ("pick up the bowl", 0.0, 1)],
)
def test_a_novice_does_not_let_go_of_what_is_held_unless_it_may(instruction: str, lets_go: float, opens: int):
    variation = Variation(disturbance=0.2, novice="dropping", novice_chunks=(1, 1), novice_lets_go=lets_go)
    policy = DisturbedPolicy(Holding(), variation, 0, Dropping())
    policy.start_substep("pick up the bowl", "")
    seen, chunks = Observation({}, np.zeros(8, np.float32)), []
    policy.predict(seen)  # the policy itself has closed the gripper
    for _ in range(50):
        policy.start_substep(instruction, "")
        chunks += [policy.predict(seen) for _ in range(5)]
    played = [chunk.actions for chunk in chunks if chunk.actions[0, 1] == 1]
    assert len(played) > 10
    assert {int((actions[:, -1] < 0).sum()) for actions in played} == {opens}


def test_a_learned_policy_disturbs_a_demonstration_that_can_be_replayed(tmp_path: Path):
    options = ["--suites", "libero_object", "--tasks", "4", "--per-task", "1", "--workers", "1", "--disturbance", "0.2"]
    assert main(["--out", str(tmp_path), *options, "--novice", "compact", "--noise", "0", "--widened", "0"]) == 0
    (demo,) = read_demonstrations([LiberoHdf5Source(path=tmp_path, render_size=32)], ReadReport(), skip_damaged=False)
    assert (~demo.taught).sum() >= 2 and demo.taught.sum() >= 10
    assert len(demo.frames()["agentview"]) == len(demo)


class Grasping(Still):
    """A policy that closes the gripper with its third chunk since it was told what to do."""

    def __init__(self) -> None:
        self.told, self.asked = [], 0

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append((instruction, task))
        self.asked = 0

    def predict(self, observation: Observation) -> Chunk:
        self.asked += 1
        return Chunk(np.array([[0, 0, -0.1, 0, 0, 0, 1 if self.asked >= 3 else -1]], np.float32))


class Fist(Still):
    """A policy that closes the gripper at once, as for pushing, whatever it is told."""

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, -0.1, 0, 0, 0, 1]], np.float32))


def test_only_a_grasp_misses_and_only_once_while_the_gripper_stays_closed():
    variation, seen = Variation(disturbance=0, missed_grasp=0.99), Observation({}, np.zeros(8, np.float32))
    for words, misses in (("push the plate to the front of the stove", 0), ("pick up the bowl", 1)):
        disturbed = DisturbedPolicy(Fist(), variation, seed=0)
        disturbed.start_substep(words, "")
        assert sum(disturbed.is_disturbance(disturbed.predict(seen)) for _ in range(20)) == misses


def test_a_missed_grasp_closes_elsewhere_and_the_demonstrator_begins_anew():
    variation = Variation(disturbance=0, missed_grasp=0.5)
    policy, seen, misses = Grasping(), Observation({}, np.zeros(8, np.float32)), []
    for seed in range(20):
        disturbed = DisturbedPolicy(policy, variation, seed)
        disturbed.start_substep("pick up the bowl", "clear the table")
        chunks = [disturbed.predict(seen) for _ in range(2)]
        assert not any(disturbed.is_disturbance(chunk) for chunk in chunks), "nothing closes yet"
        chunk = disturbed.predict(seen)
        if disturbed.is_disturbance(chunk):
            misses.append(chunk.actions)
            assert policy.told[-2:] == [("pick up the bowl", "clear the table")] * 2 and not chunk.has_eos
            assert not disturbed.is_disturbance(disturbed.predict(seen))
    assert 3 < len(misses) < 17
    for actions in misses:
        is_open = actions[:, 6] < 0
        assert is_open[0] and not is_open[-1] and actions[is_open, 2].min() > 0 and actions[-1, 2] > 0
        assert (actions[~is_open][:8, :6] == 0).all(), "the fingers have time to close"


def test_the_demonstrator_shows_what_to_do_about_a_missed_grasp(tmp_path: Path):
    options = ["--suites", "libero_object", "--tasks", "4", "--per-task", "1", "--workers", "1", "--disturbance", "0"]
    assert main(["--out", str(tmp_path), *options, "--missed-grasp", "0.9", "--noise", "0", "--seed", "3"]) == 0
    (demo,) = read_demonstrations([LiberoHdf5Source(path=tmp_path, render_size=32)], ReadReport(), skip_damaged=False)
    closed = demo.actions[:, 6] > 0
    missed = closed & ~demo.taught
    assert missed.sum() >= 8
    assert (~closed)[np.flatnonzero(missed)[-1] :].any(), "the gripper opens again afterwards"


def test_impossible_variations_are_refused():
    with pytest.raises(ValueError, match="must be in \\[0, 1\\]"):
        Variation(widened=2)
    with pytest.raises(ValueError, match="missed_grasp is 1, must be below"):
        Variation(missed_grasp=1)
    with pytest.raises(ValueError, match="novice is 'compact' and disturbance 0"):
        Variation(novice="compact", disturbance=0)
    with pytest.raises(ValueError, match="novice_lets_go is 0.5 and there is no novice"):
        Variation(novice_lets_go=0.5)
    with pytest.raises(ValueError, match="disturbance_steps"):
        Variation(disturbance_steps=(5, 2))
    with pytest.raises(ValueError, match="novice_chunks"):
        Variation(novice_chunks=(0, 2))


def test_frames_around_the_ends_of_substeps_and_of_failures_come_from_a_replay(collected: Path, tmp_path: Path):
    assert frames_main([str(collected), "--out", str(tmp_path), "--workers", "0"]) == 0
    whole, failed = read_shown(tmp_path)
    assert (whole.outline.failed, failed.outline.failed) == (None, 0)
    assert whole.images.shape == (len(whole.numbers), 2, 128, 128, 3) and len(whole.numbers) > 20
    done = whole.outline.ends[0] + 1
    held, missed = (episode.views(episode.numbers.tolist().index(done))["eye_in_hand"] for episode in (whole, failed))
    assert np.abs(held.astype(int) - missed).mean() > 2, "the bowl is between the fingers, or it is not"
    before = whole._path.stat().st_mtime_ns
    assert frames_main([str(collected), "--out", str(tmp_path), "--workers", "0"]) == 0
    assert whole._path.stat().st_mtime_ns == before
