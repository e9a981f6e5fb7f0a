"""LIBERO-plus's tasks on LIBERO: names, camera, the arm's start, noise, and stand-ins for what needs its assets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from libero_bridge.plus.camera import turned_pose
from libero_bridge.plus.names import CameraView, parse_name
from libero_bridge.plus.robot_start import HOME, start_joints
from libero_bridge.plus.sensor_noise import noisy
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource
from substep_core.tasks import Stratum, task_source

BOWL = LiberoSource().task("libero_goal", 8)  # put the bowl on the plate
PLAIN = f"{BOWL.name}_view_0_0_100_0_0_initstate_0"
NAMES = {
    f"{BOWL.name}_table_1": ("Background Textures", 1),
    f"{BOWL.name}_view_20_0_100_0_0_initstate_0": ("Camera Viewpoints", 2),
    f"{BOWL.name}_view_0_0_100_0_0_initstate_401": ("Robot Initial States", 5),
    f"{PLAIN}_noise_35": ("Sensor Noise", 3),
    f"{BOWL.name}_language_7_view_0_0_100_0_0_initstate_0": ("Language Instructions", 4),
    f"{BOWL.name}_light_3": ("Light Conditions", None),
    f"{BOWL.name}_add_2": ("Objects Layout", 1),
    f"{BOWL.name}_moved_level1_sample1": ("Objects Layout", 2),
    f"{BOWL.name}_language_8_view_0_0_100_0_0_initstate_0": ("Language Instructions", 4),  # its file is not there
}
TABLE, CAMERA, ROBOT, NOISE, LANGUAGE, LIGHT, ADDED, MOVED, MISSING = range(len(NAMES))
SCENE = "tabletop_light_sync_modified_9"
SIZE = (64, 64)
IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])
LIBEROS_CAMERA = (
    np.array([0.6586131746834771, 0.0, 1.6103500240372423]),
    np.array([0.6380177736282349, 0.3048497438430786, 0.30484986305236816, 0.6380177736282349]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkout in small: files in LIBERO-plus's layout, made out of one of LIBERO's own."""
    folder = tmp_path_factory.mktemp("plus")
    files = folder / "libero" / "libero" / "bddl_files" / "libero_goal"
    files.mkdir(parents=True)
    text = BOWL.bddl_file.read_text()
    problem, bowl = "LIBERO_Tabletop_Manipulation", "- akita_black_bowl"
    assert problem in text and bowl in text
    added = text.replace(bowl, f"{bowl}\n    bottle_of_oil_1 - bottle_of_oil")
    added = added.replace("(:init", "(:init\n    (On bottle_of_oil_1 main_table_oil_region)")
    region = (
        "(:regions\n      (oil_region (:target main_table) (:ranges ((0.2 0.2 0.22 0.22))) (:yaw_rotation ((0 0))))"
    )
    made = {
        "": text,
        "_table_1": text.replace(problem, f"{problem}_tabletop_table_Marble01"),
        "_light_3": text.replace(problem, f"{problem}_{SCENE}"),
        "_language_7": text.replace("Put the bowl on the plate", "Could you set the bowl onto the plate"),
        "_add_2": added.replace("(:regions", region),
        "_moved_level1_sample1": text,
    }
    for suffix, content in made.items():
        (files / f"{BOWL.name}{suffix}.bddl").write_text(content)
    listed = [
        {"id": index + 1, "name": name, "category": category, "difficulty_level": level}
        for index, (name, (category, level)) in enumerate(NAMES.items())
    ]
    table = folder / "libero" / "libero" / "benchmark" / "task_classification.json"
    table.parent.mkdir()
    table.write_text(json.dumps({"libero_goal": listed[::-1]}))
    return folder


@pytest.fixture(scope="module")
def source(folder: Path):
    return task_source(f"libero_plus:{folder}")


def world(folder: Path, index: int, source: str = "libero_plus", **changes) -> Simulation:
    return Simulation(
        SimulationConfig("libero_goal", index, tasks_from=f"{source}:{folder}", image_size=SIZE, **changes)
    )


def agentview(folder: Path, index: int, **changes) -> np.ndarray:
    simulation = world(folder, index, cameras=("agentview",), **changes)
    try:
        return simulation.reset(0, 0).images["agentview"].astype(int)
    finally:
        simulation.close()


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    simulation = Simulation(SimulationConfig("libero_goal", 8, image_size=SIZE, cameras=("agentview",)))
    seen = simulation.reset(0, 0).images["agentview"].astype(int)
    simulation.close()
    return seen


def test_tasks_are_listed_as_the_benchmark_lists_them(source):
    assert source.suites == ("libero_goal",)
    assert source.names("libero_goal") == tuple(NAMES)
    assert source.splits["evaluation"].init_states == range(1)
    light = source.task("libero_goal", LIGHT)
    assert (light.category, light.difficulty, light.variant) == ("Light Conditions", None, "embedded")
    added, moved = source.task("libero_goal", ADDED), source.task("libero_goal", MOVED)
    assert (added.variant, moved.variant) == ("embedded, start drawn", "start drawn")
    assert source.task("libero_goal", ROBOT).variant == ""


def test_a_task_without_its_file_is_not_playable_and_said_so_when_asked_for(source):
    assert list(source.playable("libero_goal")) == list(range(MISSING))
    assert source.playable("libero_goal")[CAMERA] == Stratum("Camera Viewpoints", 2)
    with pytest.raises(
        ValueError, match=r"libero_goal task 8 of LIBERO-plus cannot be played: there is no .*_language_8"
    ):
        source.task("libero_goal", MISSING)


def test_the_instruction_is_the_files_and_what_published_runners_told_is_a_choice(folder: Path, source):
    assert source.task("libero_goal", LANGUAGE).instruction == "could you set the bowl onto the plate"
    assert source.task("libero_goal", CAMERA).instruction == "put the bowl on the plate"
    published = task_source(f"libero_plus_published_prompt:{folder}")
    task = published.task("libero_goal", CAMERA)
    assert task.instruction == "put the bowl on the plate view 20 0 100 0 0 initstate 0"
    assert task.variant == "published prompt"
    assert published.task("libero_goal", LANGUAGE).instruction == "could you set the bowl onto the plate"
    assert published.task("libero_goal", LIGHT).variant == "embedded, published prompt"
    assert published.task("libero_goal", LANGUAGE).variant == "", "told alike everywhere"
    joints = task_source(f"libero_plus_true_joints:{folder}")
    assert [joints.task("libero_goal", index).variant for index in (ROBOT, CAMERA)] == ["true joints", ""]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("put_the_bowl_on_the_plate", "is not one of LIBERO-plus's"),
        ("a_view_0_0_100_0_0_initstate_501", "initstate 501 and noise 0: expected at most 500 and 50"),
    ],
)
def test_other_names_are_refused(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_name(name)


def test_folders_that_are_none_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="expected task_classification.json in it"):
        task_source(f"libero_plus:{tmp_path}")
    with pytest.raises(ValueError, match="write libero_plus:FOLDER"):
        task_source("libero_plus")
    (tmp_path / "task_classification.json").write_text('{"libero_goal": [{"id": 1}]}')
    with pytest.raises(ValueError, match="has no BDDL files"):
        task_source(f"libero_plus:{tmp_path}")
    (tmp_path / "libero_goal").mkdir()
    with pytest.raises(ValueError, match=r"is no table of LIBERO-plus's tasks \(KeyError\('difficulty_level'\)\)"):
        task_source(f"libero_plus:{tmp_path}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"id": 3}, "the ids of libero_goal are not 1 to 2, each once"),
        ({"id": 1}, "the ids of libero_goal are not 1 to 2, each once"),
        ({"category": None}, "a task is called 'b_light_1' and of category None"),
        ({"difficulty_level": "hard"}, "invalid literal for int"),
    ],
)
def test_a_table_that_says_what_cannot_be_is_refused(tmp_path: Path, changed: dict, message: str):
    """A task is asked for by the benchmark's id: with a gap in the ids it would be another one."""
    listed = [
        {"id": 1, "name": "a_light_1", "category": "Light", "difficulty_level": None},
        {"id": 2, "name": "b_light_1", "category": "Light", "difficulty_level": 1} | changed,
    ]
    (tmp_path / "libero_goal").mkdir()
    (tmp_path / "task_classification.json").write_text(json.dumps({"libero_goal": listed}))
    with pytest.raises(ValueError, match=message):
        task_source(f"libero_plus:{tmp_path}")


def test_a_table_of_other_suites_and_a_folder_around_the_checkout_are_named(tmp_path: Path, folder: Path):
    (tmp_path / "libero_goal").mkdir()
    (tmp_path / "task_classification.json").write_text('{"suite": []}')
    with pytest.raises(ValueError, match="it has none of libero_spatial, libero_object, libero_goal, libero_10"):
        task_source(f"libero_plus:{tmp_path}")
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "LIBERO-plus-main").symlink_to(folder)
    with pytest.raises(ValueError, match="of a checkout; LIBERO-plus-main in it is one"):
        task_source(f"libero_plus:{tmp_path / 'unpacked'}")


@pytest.mark.parametrize(
    ("view", "position", "quaternion"),  # computed with LIBERO-plus's own functions
    [
        (CameraView(), (0.6586, 0.0, 1.6104), (0.638, 0.3048, 0.3048, 0.638)),
        (CameraView(turned=2, tilted=352), (0.6586, 0.0, 1.6104), (-0.6036, -0.3439, -0.3531, -0.6266)),
        (CameraView(11, 15), (0.4186, 0.0814, 1.7532), (0.6048, 0.197, 0.239, 0.7337)),
        (CameraView(15, 15), (0.4119, 0.1104, 1.7532), (0.5788, 0.1885, 0.2457, 0.7544)),
        (CameraView(scale=130), (0.8562, 0.0, 1.8535), (0.638, 0.3048, 0.3048, 0.638)),
        (CameraView(20), (0.6189, 0.2253, 1.6104), (0.5175, 0.2473, 0.3532, 0.7391)),
    ],
)
def test_camera_poses_are_the_benchmarks(view: CameraView, position: tuple, quaternion: tuple):
    moved, turned = turned_pose(*LIBEROS_CAMERA, view)
    assert np.allclose(moved, position, atol=1e-9)
    assert np.allclose(turned * np.sign(turned @ np.array(quaternion)), quaternion, atol=1.01e-4)


def test_the_arms_starts_lie_at_five_distances():
    for number, radius in ((1, 0.1), (100, 0.1), (101, 0.2), (500, 0.5)):
        assert np.linalg.norm(start_joints(number) - HOME) == pytest.approx(radius, abs=1e-12)
    first = np.random.RandomState(42).randn(7)
    assert np.allclose(start_joints(1), HOME + 0.1 * first / np.linalg.norm(first))


def test_the_perturbed_arm_is_pulled_away_from_the_initial_state_as_in_the_benchmark(folder: Path):
    """0.5 rad in the reset, undone by LIBERO's initial state, 0.42 after the ten idle steps that follow it."""
    wanted = start_joints(401)
    away = {}
    for name in ("libero_plus", "libero_plus_true_joints"):
        simulation = world(folder, ROBOT, name, settle_steps=0, render=False)
        simulation.reset(0, 0)
        for steps in (0, 10):
            for _ in range(steps):
                simulation.step(IDLE)
            joints = list(simulation.joint_positions().values())[:7]
            away[name, steps] = np.linalg.norm(np.array(joints) - wanted), np.linalg.norm(np.array(joints) - HOME)
        simulation.close()
    assert away["libero_plus", 0][1] < 0.1 < 0.35 < away["libero_plus", 10][1] < 0.48
    assert away["libero_plus_true_joints", 0][0] < 1e-9
    assert away["libero_plus_true_joints", 10][0] < 0.02


@pytest.mark.parametrize("number", [10, 20, 30, 40, 50])
def test_noise_is_strong_at_its_worst_and_weak_at_its_weakest(number: int):
    grid = np.indices((128, 128)).sum(0) // 8 % 2
    image = np.stack([grid * 200 + 20] * 3, -1).astype(np.uint8)
    weak, strong = (noisy(image, at, np.random.default_rng(0)).astype(int) for at in (number - 9, number))
    assert weak.shape == strong.shape == image.shape
    changed = [np.abs(made - image).mean() for made in (weak, strong)]
    assert 1 < changed[0] < changed[1]
    again = noisy(image, number, np.random.default_rng(0))
    other = noisy(image, number, np.random.default_rng(1))
    assert np.array_equal(again, strong)
    is_random = number not in (20, 30)  # Gaussian and zoom blur draw nothing
    assert np.array_equal(other, strong) != is_random


def test_the_wrist_camera_sees_no_noise_and_who_looks_changes_nothing(folder: Path):
    simulation, plain = world(folder, NOISE), Simulation(SimulationConfig("libero_goal", 8, image_size=SIZE))
    seen, clear = simulation.reset(0, 3), plain.reset(0, 3)
    assert np.array_equal(seen.images["eye_in_hand"], clear.images["eye_in_hand"])
    assert np.abs(seen.images["agentview"].astype(int) - clear.images["agentview"]).mean() > 10
    assert np.array_equal(simulation.render("agentview", *SIZE), seen.images["agentview"])
    assert not np.array_equal(simulation.reset(0, 4).images["agentview"], seen.images["agentview"])
    simulation.close()
    plain.close()


def test_the_camera_moves(folder: Path, clean: np.ndarray):
    assert np.abs(agentview(folder, CAMERA) - clean).mean() > 10


def test_lights_and_textures_are_stood_in_for_by_changes_of_the_picture_alone(folder: Path, clean: np.ndarray):
    for index in (LIGHT, TABLE):
        seen = agentview(folder, index)
        assert np.abs(seen - clean).mean() > 5
        assert np.array_equal(seen, agentview(folder, index)), "the same task looks the same every time"


def test_an_object_that_libero_does_not_have_is_stood_in_for(folder: Path):
    simulation = world(folder, ADDED, render=False)
    simulation.reset(0, 0)
    (oil,) = (thing for name, thing in simulation.scene().objects.items() if name == "bottle_of_oil_1")
    assert np.allclose(oil.position[:2], (0.21, 0.21), atol=0.03)
    simulation.close()


def test_the_benchmarks_own_scene_is_taken_where_the_assets_have_it(folder: Path, tmp_path: Path, source):
    from libero_bridge.scenes.pack import pack_path

    for entry in pack_path().iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "scenes").unlink()
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for entry in (pack_path() / "scenes").iterdir():
        (scenes / entry.name).symlink_to(entry)
    task = source.task("libero_goal", LIGHT)
    assert task.in_assets(tmp_path) is task
    arena = (pack_path() / "scenes" / "libero_tabletop_base_style.xml").read_text()
    dark = scenes / f"{SCENE}.xml"
    dark.write_text(arena.replace('diffuse=".8 .8 .8"', 'diffuse="0 0 0"'))
    assert task.in_assets(tmp_path).variant == ""
    assert task.in_assets(tmp_path).scene_file == dark
    lit, unlit = agentview(folder, CAMERA, assets=str(tmp_path)), agentview(folder, LIGHT, assets=str(tmp_path))
    assert unlit.mean() < 0.8 * lit.mean()
