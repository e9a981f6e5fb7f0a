"""Instructions and substeps as data sets say them become what is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from substep_cli.grammar import main
from tests.training.data_sets import edit_lerobot, edit_rlds, write_lerobot_texts
from tests.training.toy import FORMAT, ROBOT, TASK, ToyDemo, write_hdf5, write_lerobot, write_rlds
from training.data.build import open_store
from training.data.dataset import SubstepDataset
from training.data.label_files import load_labels
from training.data.readers import DataSource, Demonstration, DemonstrationError, LeRobotSource, RldsSource
from training.data.readers.instructions import instruction_of_name, read_instruction
from training.data.readers.libero_hdf5 import LiberoHdf5Source
from training.labels.file import UNLABELLED, SubstepLabels
from training.train.config import DataConfig

DEMOS = [ToyDemo(6, seed) for seed in range(2)]


def read(source: DataSource) -> list[Demonstration]:
    found = list(source.read(ROBOT))
    assert all(isinstance(item, Demonstration) for item in found), found
    return found


def substeps(demo: Demonstration) -> tuple[list[str], list[int], list[int]]:
    """Texts, their number at each timestep, and where they end."""
    labels = demo.labels
    return [step.instruction for step in labels.substeps], labels.substep_index.tolist(), labels.boundaries


@pytest.fixture
def two_tasks(tmp_path: Path) -> Path:
    """An episode that shows two tasks, which ``meta/episodes`` names the other way round, and one that shows one."""
    folder = write_lerobot(tmp_path / "set", DEMOS, video=False)
    write_lerobot_texts(folder, ["Close the drawer", "Open the drawer"], [0, 0])
    edit_lerobot(folder, "data", task_index=lambda _: [1, 1, 1, 1, 0, 0] + [0] * 6)
    edit_lerobot(
        folder, "meta/episodes", tasks=lambda _: [["Close the drawer", "Open the drawer"], ["Close the drawer"]]
    )
    return folder


def test_the_frames_of_lerobot_say_which_task_they_show(two_tasks: Path):
    first, second = read(LeRobotSource(path=two_tasks))
    assert first.instruction == "open the drawer, then close the drawer"
    assert substeps(first) == (["open the drawer", "close the drawer"], [0, 0, 0, 0, 1, 1], [3, 5])
    assert (second.instruction, second.labels, second.episode) == ("close the drawer", None, "episode_0")


def test_what_a_data_set_says_of_substeps_is_trained_on_and_labelled(two_tasks: Path, tmp_path: Path, capsys):
    config = DataConfig(sources=(LeRobotSource(path=two_tasks),), cache=tmp_path / "cache", workers=0)
    labels = load_labels(config)
    store, episodes = open_store(config, FORMAT, labels)
    data = SubstepDataset(store, labels.by_collection, config.rules, episodes, 4)
    samples = [data.sample(0, timestep) for timestep in (2, 5)]
    assert [sample.instruction for sample in samples] == ["open the drawer", "close the drawer"]
    assert samples[0].eos_labels.ravel().tolist() == [0, 1, 0, 0] and samples[0].mask.tolist() == [1, 1, 0, 0]
    assert (data.label_use.labelled_episodes, len(data.label_use.unlabelled_episodes)) == (1, 1)
    out = tmp_path / "labels.json"
    assert main(["data", "label", str(two_tasks), "--source-type", "lerobot", "--out", str(out)]) == 0
    assert "1 demonstrations labelled" in capsys.readouterr().out
    (place,) = SubstepLabels.load(out).places()
    assert place == ("set", "open_the_drawer,_then_close_the_drawer", "episode_0")


def test_lerobots_subtasks_are_substeps(two_tasks: Path):
    table = pyarrow.table({"subtask_index": [0, 1], "subtask": ["grasp the handle", "pull"]})
    parquet.write_table(table, two_tasks / "meta/subtasks.parquet")
    edit_lerobot(two_tasks, "data", subtask_index=lambda _: [0, 0, 1, 1, -1, -1] + [0, 0, 0, 1, 1, 1])
    first, second = read(LeRobotSource(path=two_tasks))
    assert substeps(first) == (
        ["grasp the handle", "pull", "close the drawer"],
        [0, 0, 1, 1, 2, 2],
        [1, 3, 5],
    )
    assert substeps(second) == (["grasp the handle", "pull"], [0, 0, 0, 1, 1, 1], [2, 5])
    edit_lerobot(two_tasks, "data", subtask_index=lambda _: [7] * 12)
    (error, _) = LeRobotSource(path=two_tasks, numbering="dataset").read(ROBOT)
    assert "subtask_index 7 is not in its table, which has [0, 1]" in str(error)


def test_lerobots_language_annotations_of_subtasks_are_substeps(tmp_path: Path):
    folder = write_lerobot(tmp_path / "set", DEMOS[:1], video=False)
    write_lerobot_texts(folder, ["tidy up"], [0])
    rows = [  # of every frame, as lerobot 0.6 writes them
        {"role": "assistant", "content": text, "style": style, "timestamp": time, "camera": None, "tool_calls": None}
        for text, style, time in (
            ("Grasp the bowl", "subtask", 0.05),
            ("Put it down", "subtask", 0.2),
            ("first the bowl", "plan", 0.0),
        )
    ]
    edit_lerobot(
        folder,
        "data",
        language_persistent=lambda _: [rows] * 6,
        timestamp=lambda _: np.arange(6, dtype=np.float32) / 20,
    )
    (demo,) = read(LeRobotSource(path=folder))
    assert substeps(demo) == (["grasp the bowl", "put it down"], [UNLABELLED, 0, 0, 0, 1, 1], [3, 5])
    assert demo.instruction == "tidy up"


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ("Pick up the cup", "pick up the cup"),
        (["Pick up the cup"], "pick up the cup"),
        (["a", "b"], "names 2 tasks, and no task_index says which is shown when"),
        ([""], "the instruction is empty"),
    ],
)
def test_without_tasks_of_frames_lerobots_episode_must_name_one(tmp_path: Path, tasks: object, expected: str):
    folder = write_lerobot(tmp_path / "set", DEMOS[:1], video=False)
    edit_lerobot(folder, "meta/episodes", tasks=lambda _: [tasks])
    (demo,) = LeRobotSource(path=folder).read(ROBOT)
    assert expected in (demo.instruction if isinstance(demo, Demonstration) else str(demo))


def test_an_instruction_of_rlds_that_changes_is_another_substep(tmp_path: Path):
    folder = write_rlds(tmp_path, DEMOS, ["open", "close"])
    edit_rlds(folder, 0, 0, language_instruction=[b"Open it"] * 2 + [b"Close it"] * 4)
    demo = next(iter(RldsSource(path=folder).read(ROBOT)))
    assert demo.instruction == "open it, then close it"
    assert substeps(demo) == (["open it", "close it"], [0, 0, 1, 1, 1, 1], [1, 5])


PLUS = "_view_0_0_100_2_352_initstate_0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (list("Open it "), "open it"),  # LIBERO's own files
        (["Open", "it"], "open it"),
        (b'"Open it"\n', "open it"),
        (f"open_it{PLUS}".replace("_", " "), "open it"),
        ("open it view 0 0 100 -2 352 initstate 12 noise 3", "open it"),
        ("put the cup on table 3", "put the cup on table 3"),
        ("(slowly) open it [now]", "(slowly) open it [now]"),
    ],
)
def test_an_instruction_is_what_is_to_be_done(value: object, expected: str):
    assert read_instruction(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", " ", [], b"\xff", None, 3, {"a": 1}, f"open it language 3{PLUS}", "b'open it'", "['o', 'p']", str((b"open",))],
)
def test_what_is_no_instruction_is_refused(value: object):
    with pytest.raises(ValueError):  # noqa: PT011
        read_instruction(value)


@pytest.mark.parametrize("end", ["", PLUS, PLUS + "_noise_3", "_table_12", "_tb_2", "_light_4", "_add_1",
                                 "_level2_sample7", "_moved_level1_sample0"])  # fmt: skip
def test_a_task_name_says_what_is_to_be_done_without_its_changes(end: str):
    assert instruction_of_name(f"KITCHEN_SCENE3_turn_on_the_stove{end}") == "turn on the stove"


def test_a_task_name_with_another_wording_does_not_say_it(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS, task=f"{TASK}_language_3{PLUS}")
    with h5py.File(path, "a") as file:
        del file["data"].attrs["problem_info"]
    (error,) = LiberoHdf5Source(path=tmp_path).read(ROBOT)
    assert isinstance(error, DemonstrationError) and "in another wording" in str(error)
    said = {f"{TASK}_language_3{PLUS}": "Set the bowl upon the plate"}
    assert read(LiberoHdf5Source(path=tmp_path, instructions=said))[0].instruction == "set the bowl upon the plate"
    with h5py.File(path, "a") as file:
        file["data"].attrs["problem_info"] = json.dumps({"language_instruction": list("Put it there")})
    assert read(LiberoHdf5Source(path=tmp_path))[0].instruction == "put it there"


def test_hdf5_files_may_have_other_names_and_keys(tmp_path: Path):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS)
    own = path.rename(path.with_name("put_the_bowl_away.h5"))
    keys = {"ee_pos": "hand/position", "ee_ori": "hand/rotation", "gripper_states": "fingers"}
    with h5py.File(own, "a") as file:
        del file["data"].attrs["problem_info"]
        file.move("data", "episodes")
        for number in range(2):
            file.move(f"episodes/demo_{number}", f"episodes/run{number:03d}")
            demo = file[f"episodes/run{number:03d}"]
            demo.move("obs", "observations")
            demo.move("actions", "command")
            for key, name in keys.items():
                demo.move(f"observations/{key}", f"observations/{name}")
            demo.move("observations/agentview_rgb", "observations/front")
    source = LiberoHdf5Source(
        path=tmp_path,
        files="*.h5",
        demonstrations="episodes",
        observations="observations",
        action="command",
        state=dict(zip(("eef_position", "eef_rotation", "fingers"), keys.values(), strict=True)),
        cameras={"agentview": "front", "eye_in_hand": "eye_in_hand_rgb"},
    )
    found = read(source)
    assert [(demo.task, demo.episode) for demo in found] == [("put_the_bowl_away", f"episode_{n}") for n in range(2)]
    assert found[0].instruction == "put the bowl away"
    np.testing.assert_allclose(found[1].actions, DEMOS[1].actions, atol=1e-6)
    np.testing.assert_allclose(found[1].proprio, DEMOS[1].proprio, atol=1e-6)
    np.testing.assert_array_equal(found[1].frames()["agentview"], DEMOS[1].frames["agentview"])
