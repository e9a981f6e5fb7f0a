"""The label file, its matching rules, and labels made from demonstrations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_cli.grammar import main
from substep_core.plan import Substep
from tests.training.toy import INSTRUCTION, ROBOT, SUBSTEPS, TASK, ToyDemo, true_labels, write_hdf5
from training.labels.command import compare
from training.labels.file import UNLABELLED, LabelError, SubstepLabels, labels_from_boundaries
from training.labels.segmentation import SegmentationError, gripper_closed, segment

texts = st.text("abcdefgh ", min_size=3, max_size=12).map(str.strip).filter(lambda text: len(text) >= 3)


@given(
    st.lists(st.tuples(texts, st.integers(1, 6)), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
)
def test_labels_survive_their_file(tmp_path_factory, steps, cycles):
    substeps = [Substep(text, f"effect of {text}") for text, _ in steps]
    ends = (np.cumsum([count for _, count in steps]) - 1).tolist()
    cycle = np.resize(sorted(cycles), ends[-1] + 1)
    labels = SubstepLabels()
    labels.add("libero_10", "some_task", "episode_0", labels_from_boundaries("some task", substeps, ends, cycle))
    path = tmp_path_factory.mktemp("labels") / "substep_labels.json"
    labels.save(path)
    loaded = SubstepLabels.load(path).find("libero_10", "some_task", "episode_0")
    assert loaded.boundaries == ends and loaded.cycle.tolist() == cycle.tolist()
    assert [substep.instruction for substep in loaded.substeps] == [text for text, _ in steps]
    assert [loaded.substeps[i].instruction for i in loaded.substep_index] == [t for t, n in steps for _ in range(n)]


def test_the_file_has_the_fields_of_the_format(tmp_path: Path):
    true_labels([ToyDemo(10)]).save(tmp_path / "substep_labels.json")
    entry = json.loads((tmp_path / "substep_labels.json").read_text())["libero_goal"][TASK]["episode_0"]
    assert entry["original_instruction"] == INSTRUCTION
    assert (entry["total_timesteps"], entry["num_substeps"], entry["substep_boundaries"]) == (10, 2, [5, 9])
    assert entry["substeps"][1]["subgoal"] == "place the bowl on the plate"
    assert entry["timestep_labels"][5] == {
        "timestep": 5,
        "action": "pick",
        "APD_step": "pick up the bowl",
        "cycle": 0,
        "is_substep_end": True,
    }


@pytest.mark.parametrize(
    "place",
    [
        ("libero_goal_no_noops", TASK, "episode_0"),
        (b"libero_goal", TASK.encode(), b"episode_0"),
        ("libero_goal", INSTRUCTION, "episode_0"),
        ("libero_goal", f"KITCHEN_SCENE3_{TASK}", "episode_0"),
    ],
)
def test_suffix_bytes_spaces_and_scene_do_not_hinder_matching(place):
    assert true_labels([ToyDemo(10)]).find(*place) is not None


@pytest.mark.parametrize("place", [("libero_10", TASK, "episode_0"), ("libero_goal", TASK, "episode_1")])
def test_what_is_missing_is_not_found(place):
    assert true_labels([ToyDemo(10)]).find(*place) is None


def test_labels_saved_with_the_suffix_are_found_without_it(tmp_path: Path):
    path = tmp_path / "labels.json"
    true_labels([ToyDemo(10)]).save(path)
    path.write_text(path.read_text().replace('"libero_goal"', '"libero_goal_no_noops"'))
    assert SubstepLabels.load(path).find("libero_goal", TASK, "episode_0") is not None


def test_timesteps_the_file_leaves_out_are_unlabelled(tmp_path: Path):
    path = tmp_path / "labels.json"
    true_labels([ToyDemo(10)]).save(path)
    content = json.loads(path.read_text())
    del content["libero_goal"][TASK]["episode_0"]["timestep_labels"][:3]
    path.write_text(json.dumps(content))
    found = SubstepLabels.load(path).find("libero_goal", TASK, "episode_0")
    assert found.substep_index.tolist() == [UNLABELLED] * 3 + [0] * 3 + [1] * 4


def test_the_same_substep_twice_in_a_row_stays_two_substeps(tmp_path: Path):
    labels = SubstepLabels()
    twice = (Substep("push it", ""), Substep("push it", ""))
    labels.add("s", "t", "episode_0", labels_from_boundaries("t", twice, [2, 5], np.zeros(6, int)))
    labels.save(tmp_path / "labels.json")
    found = SubstepLabels.load(tmp_path / "labels.json").find("s", "t", "episode_0")
    assert len(found.substeps) == 2 and found.boundaries == [2, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object, got list"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        (
            '{"s": {"t": {"episode_0": {"total_timesteps": 1099511627776, "timestep_labels": []}}}}',
            "total_timesteps is 1099511627776, expected 1 to 1000000",
        ),
        ('{"s": {"t": {"episode_0": {}}}}', "s/t/episode_0: 'total_timesteps' is missing"),
        (
            '{"s": {"t": {"episode_0": {"total_timesteps": 1, "original_instruction": "t", "timestep_labels": '
            '[{"timestep": 4, "APD_step": "x", "cycle": 0, "is_substep_end": false}]}}}}',
            "timestep 4 lies outside 0..0",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, content: str, message: str):
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(LabelError, match=message):
        SubstepLabels.load(path)


def test_gripper_changes_count_relative_to_the_episodes_own_range():
    command = np.array([0.2] * 5 + [0.5] * 6 + [0.2] * 5)
    assert gripper_closed(command, hold=4).tolist() == [False] * 5 + [True] * 6 + [False] * 5
    assert not gripper_closed(np.full(5, 0.7), hold=4).any(), "a gripper that never moves is open"


def test_chatter_of_the_gripper_is_ignored():
    command = np.array([-1] * 6 + [1] * 2 + [-1] * 6 + [1] * 6 + [-1] * 2 + [1] * 6)
    assert gripper_closed(command, hold=4).tolist() == [False] * 14 + [True] * 14


def test_a_pick_ends_when_the_hand_has_lifted_and_a_place_with_the_episode():
    demo = ToyDemo(60)
    labels = segment(ROBOT, demo.actions, demo.proprio, INSTRUCTION, SUBSTEPS)
    pick_end, place_end = labels.boundaries
    height = demo.proprio[:, 2]
    assert 20 < pick_end < 40 and place_end == 59
    assert height[pick_end] - height[20] >= 0.07 > height[pick_end - 1] - height[20]
    assert labels.cycle[[0, 25, 50]].tolist() == [0, 0, 1]


def test_blocks_cover_every_timestep_once_for_several_cycles():
    demos = [ToyDemo(45, seed) for seed in range(3)]
    actions = np.concatenate([demo.actions for demo in demos])
    proprio = np.concatenate([demo.proprio for demo in demos])
    labels = segment(ROBOT, actions, proprio, "three times", SUBSTEPS * 3)
    assert np.all(np.diff(labels.substep_index) >= 0) and set(labels.substep_index) == set(range(6))
    for number, end in enumerate(labels.boundaries[1:-1:2]):
        assert number * 45 + 30 <= end <= number * 45 + 50, "a place ends after its own release, before the next grasp"


def test_a_manipulation_before_a_pick_takes_a_grasp_of_its_own_if_there_is_one():
    opening = (Substep("open the top drawer", "it is open"), *SUBSTEPS)
    two, one = [ToyDemo(45), ToyDemo(45, 1)], ToyDemo(60)
    actions, proprio = np.concatenate([d.actions for d in two]), np.concatenate([d.proprio for d in two])
    assert 30 <= segment(ROBOT, actions, proprio, "x", opening).boundaries[0] <= 50
    assert segment(ROBOT, one.actions, one.proprio, "x", opening).boundaries[0] < 20, "before the only grasp"


def test_a_demonstration_unlike_its_plan_is_refused():
    demo = ToyDemo(30)
    with pytest.raises(SegmentationError, match="no grasp after timestep"):
        segment(ROBOT, demo.actions, demo.proprio, "x", SUBSTEPS * 2)


def test_label_command_writes_labels_and_reports_the_agreement(tmp_path: Path, capsys):
    demos = [ToyDemo(60, seed) for seed in range(3)]
    write_hdf5(tmp_path / "libero_goal", demos)
    write_hdf5(tmp_path / "libero_goal", demos[:1], task="juggle", instruction="juggle three oranges")
    true_labels(demos).save(tmp_path / "truth.json")
    assert (
        main(
            [
                "data",
                "label",
                str(tmp_path),
                "--out",
                str(tmp_path / "made.json"),
                "--compare",
                str(tmp_path / "truth.json"),
            ]
        )
        == 0
    )
    printed = capsys.readouterr()
    assert "3 demonstrations labelled" in printed.out and "1 without a plan" in printed.out
    assert "3 inner boundaries of 3 episodes" in printed.out
    assert "juggle three oranges" in printed.err
    assert len(SubstepLabels.load(tmp_path / "made.json")) == 3


def test_a_grasp_that_misses_is_not_the_end_of_a_pick():
    """The gripper closes, rises a little and opens again; the pick is the grasp after that."""
    miss, demo = ToyDemo(12), ToyDemo(60)
    still = np.tile(demo.proprio[:1], (12, 1))
    actions, proprio = miss.actions.copy(), still.copy()
    actions[:, -1] = [-1] * 3 + [1] * 6 + [-1] * 3
    proprio[4:9, 2] += 0.04
    once = segment(ROBOT, demo.actions, demo.proprio, INSTRUCTION, SUBSTEPS).boundaries
    twice = segment(
        ROBOT, np.concatenate([actions, demo.actions]), np.concatenate([proprio, demo.proprio]), INSTRUCTION, SUBSTEPS
    )
    assert twice.boundaries == [end + 12 for end in once]


def test_a_pick_that_rises_less_than_a_lift_ends_where_it_is_as_high_as_it_gets():
    demo = ToyDemo(60)
    proprio = demo.proprio.copy()
    proprio[20:40, 2] = proprio[20, 2] + np.minimum(np.arange(20) * 0.006, 0.06)  # and then carries on the level
    proprio[40:, 2] = proprio[39, 2]
    proprio[:, 0] = np.linspace(0, 0.5, 60)
    (pick_end, _) = segment(ROBOT, demo.actions, proprio, INSTRUCTION, SUBSTEPS).boundaries
    assert pick_end == 30


def test_episodes_with_other_numbers_of_substeps_are_counted_and_not_compared():
    demos = [ToyDemo(60, seed) for seed in range(3)]
    truth, other = true_labels(demos), true_labels(demos)
    three = (*SUBSTEPS, Substep("close the drawer", ""))
    other.add("libero_goal", TASK, "episode_1", labels_from_boundaries("x", three, [10, 40, 59], np.zeros(60, int)))
    other.add("libero_goal", TASK, "episode_2", labels_from_boundaries("x", SUBSTEPS, [10, 49], np.zeros(50, int)))
    agreement = compare(other, truth, (3,))
    assert (agreement.episodes, agreement.left_out, agreement.boundaries, agreement.within) == (1, 2, 1, {3: 1.0})
    assert "2 episodes left out" in str(agreement)


def test_label_command_fails_with_the_reason(tmp_path: Path, capsys):
    assert main(["data", "label", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_labels_that_are_there_are_not_overwritten_unasked(tmp_path: Path, capsys):
    demos = [ToyDemo(12, 0)]
    write_hdf5(tmp_path / "libero_goal", demos)
    true = tmp_path / "substep_labels.json"
    true_labels(demos).save(true)
    before = true.read_bytes()
    assert main(["data", "label", str(tmp_path)]) == 2
    assert f"{true} is there already: --out names the file to write" in capsys.readouterr().err
    assert true.read_bytes() == before


def test_agreement_needs_something_in_common():
    with pytest.raises(ValueError, match="in common"):
        compare(SubstepLabels(), SubstepLabels(), (3,))
