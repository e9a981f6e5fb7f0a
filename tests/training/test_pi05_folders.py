"""Folders of runs, one a subtask: written from demonstrations, read again by tasks or by stages, every error named."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from substep_cli.grammar import main
from substep_core.named_substep import TASK_DONE
from substep_core.plan import Substep
from tests.training.toy import INSTRUCTION, ROBOT, SIZE, SUBSTEPS, TASK, ToyDemo, true_labels, write_hdf5
from training.data.build import open_store
from training.data.dataset import SampleRules, SubstepDataset
from training.data.frame_cache import StoreFormat
from training.data.label_files import load_labels
from training.data.readers import DemonstrationError, ReadReport, read_demonstrations
from training.data.readers.pi05_folders import Pi05FoldersSource
from training.data.readers.pi05_places import find_places
from training.data.writers.pi05_folders import FolderNames
from training.labels.file import SubstepLabels, labels_from_boundaries
from training.train.config import DataConfig

DEMOS = [ToyDemo(12, seed=1), ToyDemo(12, seed=2)]
PICK, PLACE = (substep.instruction for substep in SUBSTEPS)
PICK_FOLDER = PICK.replace(" ", "_")
FIRST = 7  # timesteps of the first substep


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """``./substep data export`` of two demonstrations of two substeps each."""
    folder = tmp_path_factory.mktemp("demos")
    write_hdf5(folder / "libero_goal", DEMOS)
    true_labels(DEMOS).save(folder / "substep_labels.json")
    assert main(["data", "export", str(folder), "--format", "pi05-folders", "--out", str(folder / "folders")]) == 0
    return folder / "folders"


@pytest.fixture
def folders(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "folders"))


@pytest.fixture
def stages(folders, tmp_path) -> Path:
    """The same runs by stages of one task."""
    root = tmp_path / "stages"
    for number, subtask in enumerate((PICK, PLACE), start=1):
        shutil.copytree(folders / TASK / subtask.replace(" ", "_"), root / f"stage{number}")
    entries = [{"stage": 1, "subtask": PICK}, {"stage": 2, "subtask": PLACE, "text": "down"}]
    (root / "instructions.json").write_text(json.dumps({"high_level_task": INSTRUCTION, "task_instructions": entries}))
    return root


def read(root: Path, **more) -> list:
    return list(read_demonstrations([Pi05FoldersSource(path=root, **more)], ROBOT, ReadReport(), skip_damaged=False))


@pytest.mark.parametrize("form", ["folders", "stages"])
def test_every_run_is_a_demonstration_of_its_subtask(form, request):
    found = read(request.getfixturevalue(form), suite="libero_goal")
    assert [demo.key for demo in found] == [f"libero_goal/{TASK}/episode_{number}" for number in range(4)]
    assert {demo.instruction for demo in found} == {INSTRUCTION}
    pairs = [(demo, steps) for steps in (slice(0, FIRST), slice(FIRST, None)) for demo in DEMOS]
    for run, (demo, steps) in zip(found, pairs, strict=True):
        np.testing.assert_allclose(run.actions, demo.actions[steps], atol=1e-6)
        np.testing.assert_allclose(run.proprio, demo.proprio[steps], atol=1e-6)
        assert run.labels.boundaries == [len(run) - 1]
        for camera, frames in run.frames().items():
            assert np.abs(frames.astype(int) - demo.frames[camera][steps]).mean() < 25, (
                "JPEG, upright; any other way up is 80 off"
            )


@pytest.mark.parametrize("form", ["folders", "stages"])
def test_only_the_last_subtask_ends_the_task(form, request, tmp_path):
    config = DataConfig(
        sources=({"type": "pi05_folders", "path": request.getfixturevalue(form)},), cache=tmp_path / "cache", workers=0
    )
    labels = load_labels(config)
    store, episodes = open_store(config, StoreFormat(ROBOT, ("agentview", "eye_in_hand"), SIZE), labels)
    data = SubstepDataset(store, labels.by_collection, SampleRules(), episodes, chunk_length=4)
    said = [[data.sample(run, step).next_substep for step in range(data.episodes[run].length)] for run in range(4)]
    assert sorted(map(tuple, said)) == sorted(map(tuple, [[PICK] * 7] * 2 + [[PLACE] * 4 + [TASK_DONE]] * 2))
    assert data.label_use.labelled_episodes == 4


def test_without_an_instruction_file_folders_are_called_as_they_are_named(folders, tmp_path):
    (folders / "instructions.json").unlink()
    found = read(folders)
    assert {demo.instruction for demo in found} == {INSTRUCTION}
    shown = [(demo.labels, demo.labels.substep_index[0]) for demo in found]
    assert [labels.substeps[number].instruction for labels, number in shown] == [PICK, PICK, PLACE, PLACE]
    assert all(number < len(labels.substeps) - 1 for labels, number in shown), "nothing says which comes last"


def break_run(root: Path, name: str) -> Path:
    """The first run of the first subtask, broken in one way."""
    run = root / TASK / PICK.replace(" ", "_") / "run_001"
    match name:
        case "lengths":
            np.save(run / "qpos.npy", np.load(run / "qpos.npy")[:-1])
        case "pictures":
            (run / "agentview/000003.jpg").unlink()
        case "no pictures":
            shutil.rmtree(run / "eye_in_hand")
            (run / "eye_in_hand").mkdir()
        case "no camera":
            shutil.rmtree(run / "eye_in_hand")
        case "no actions":
            (run / "actions.npy").unlink()
        case "cut actions":
            (run / "actions.npy").write_bytes((run / "actions.npy").read_bytes()[:90])
        case "objects":
            np.save(run / "qpos.npy", np.array([{}], object), allow_pickle=True)
        case "several":
            with (run / "qpos.npy").open("wb") as file:
                np.savez(file, a=np.zeros(3), b=np.zeros(3))
        case "shape":
            np.save(run / "actions.npy", np.zeros(7))
        case "width":
            np.save(run / "qpos.npy", np.zeros((FIRST, 9), np.float32))
    return run


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lengths", "unequal lengths: actions.npy 7, qpos.npy 6, agentview 7, eye_in_hand 7"),
        ("pictures", "unequal lengths: actions.npy 7, qpos.npy 7, agentview 6, eye_in_hand 7"),
        ("no pictures", "folder eye_in_hand has no images"),
        ("no camera", "there is no folder eye_in_hand of images"),
        ("cut actions", "actions.npy is no whole array of numbers: EOF"),
        ("objects", "qpos.npy is no whole array of numbers: Object arrays"),
        ("several", "qpos.npy holds several arrays"),
        ("no actions", "actions.npy is missing"),
        ("shape", r"actions.npy holds float64 \(7,\), expected numbers \(T, N\)"),
        ("width", r"proprio has shape \(7, 9\), expected \(7, 8\)"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_read(folders, name, message):
    run, report = break_run(folders, name), ReadReport()
    assert len(list(read_demonstrations([Pi05FoldersSource(path=folders)], ROBOT, report))) == 3
    (skipped,) = report.skipped
    assert str(run) in skipped
    with pytest.raises(DemonstrationError, match=message):
        raise DemonstrationError(skipped)


def test_stages_and_subtasks_without_text_stop_the_reading(folders, stages):
    content = json.loads((stages / "instructions.json").read_text())
    for changed, message in (
        (content["task_instructions"][:1], r"stage2 has no text: .* has task_instructions of stages 1"),
        ([*content["task_instructions"], {"stage": 3, "subtask": "wave"}], "names stage 3, and there is no folder"),
        ([content["task_instructions"][0], {"stage": 2}], "subtask of stage 2 is None, expected words"),
        ([{"stage": "two"}], "expected a stage with its number"),
        ([{"stage": True, "subtask": "wave"}], "expected a stage with its number"),
        (content["task_instructions"] * 2, "task_instructions has stage 1 twice"),
        ({"1": {"subtask": "wave"}}, "expected a list of stages"),
        (None, "stage1 has no text: .* has task_instructions of stages none"),
    ):
        (stages / "instructions.json").write_text(json.dumps(content | {"task_instructions": changed}))
        with pytest.raises(DemonstrationError, match=message):
            read(stages)
    (stages / "instructions.json").write_text(json.dumps(content | {"high_level_task": None}))
    with pytest.raises(DemonstrationError, match="high_level_task of stage 1 is None, expected words"):
        read(stages)
    content = json.loads((folders / "instructions.json").read_text())
    for subtasks, message in (
        ({PICK_FOLDER: {"text": PICK}}, r"place_the_bowl_on_the_plate has no text: .* has subtasks pick_up"),
        ({PICK_FOLDER: PICK}, r'subtasks of put_.* are {.*}, expected {"pick_up_the_bowl": {"text": "…"}}'),
        ([PICK, PLACE], r"subtasks of put_the_bowl_on_the_plate are \['pick up the bowl', .*\], expected"),
        (None, "pick_up_the_bowl has no text: .* has subtasks none"),
    ):
        content["tasks"][TASK]["subtasks"] = subtasks
        (folders / "instructions.json").write_text(json.dumps(content))
        with pytest.raises(DemonstrationError, match=message):
            read(folders)


def test_a_subtask_without_runs_is_named_and_hidden_folders_are_not_looked_at(folders):
    shutil.rmtree(folders / TASK / PICK_FOLDER)
    (folders / TASK / PICK_FOLDER / ".ipynb_checkpoints").mkdir(parents=True)
    (folders / ".cache/huggingface").mkdir(parents=True)
    with pytest.raises(DemonstrationError, match="pick_up_the_bowl has no runs"):
        read(folders)
    report = ReadReport()
    assert len(list(read_demonstrations([Pi05FoldersSource(path=folders)], ROBOT, report))) == 2
    assert len(report.skipped) == 1


def test_a_folder_of_another_form_is_refused(folders, stages, tmp_path):
    (folders / "stage1").mkdir()
    with pytest.raises(DemonstrationError, match="has stages, and beside them put_the_bowl_on_the_plate"):
        read(folders)
    (stages / "stage_01").mkdir()
    with pytest.raises(DemonstrationError, match="has stage 1 twice: stage.*1 and stage.*1"):
        read(stages)
    (stages / "stage_01").rmdir()
    (stages / "instructions.json").unlink()
    with pytest.raises(DemonstrationError, match="stage1 has no text: .* of stages none"):
        read(stages)
    with pytest.raises(DemonstrationError, match="pick_up_the_bowl holds runs: expected TASK/SUBTASK/RUN"):
        read(folders / TASK)
    with pytest.raises(DemonstrationError, match="has no folders: expected TASK/SUBTASK/RUN or stage1/RUN"):
        (tmp_path / "empty").mkdir()
        read(tmp_path / "empty")
    with pytest.raises(DemonstrationError, match="cameras names"):
        read(stages, cameras={"third_eye": "cam"})


def test_plans_in_another_order_and_substeps_done_again_come_back_as_they_were(tmp_path):
    """What comes next, and what comes last, is each demonstration's own."""
    again = (PICK, PLACE, PICK)
    plans = [again, (PLACE, PICK), again]
    demos, labels = [ToyDemo(12, seed=seed) for seed in range(3)], SubstepLabels()
    for number, plan in enumerate(plans):
        ends = [3, 7, 11][-len(plan) :]
        steps = [Substep(text, "") for text in plan]
        found = labels_from_boundaries(INSTRUCTION, steps, ends, np.zeros(12, int))
        labels.add("libero_goal", TASK, f"episode_{number}", found)
    write_hdf5(tmp_path / "demos/libero_goal", demos)
    labels.save(tmp_path / "demos/substep_labels.json")
    out = tmp_path / "folders"
    assert main(["data", "export", str(tmp_path / "demos"), "--format", "pi05-folders", "--out", str(out)]) == 0
    assert len(list(out.glob("*/*/run_*"))) == 3 + 2 + 3
    shown = Counter()
    for run in read(out):
        texts = tuple(step.instruction for step in run.labels.substeps)
        shown[texts, int(run.labels.substep_index[0])] += 1
    assert shown == Counter((plan, place) for plan in plans for place in range(len(plan)))


@pytest.mark.parametrize("instruction", ["stage 1", "../up", ".", "a" * 300, "put it *here*?"])
def test_any_task_is_a_folder_of_its_own(instruction, tmp_path):
    names = FolderNames()
    name = names.of(instruction, 0)
    (tmp_path / name / "subtask" / "run_001").mkdir(parents=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (place,) = find_places(tmp_path, None)
    assert place.task == name and names.of(instruction, 1) != name == names.of(instruction, 0)


def test_an_export_writes_into_a_new_folder_alone(exported, capsys):
    assert main(["data", "export", str(exported.parent), "--out", str(exported)]) == 2
    assert "holds something already: choose a new folder" in capsys.readouterr().err
