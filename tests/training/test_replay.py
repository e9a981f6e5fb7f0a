"""What a recorded demonstration's start and actions give again: frames and states, in LIBERO's layout."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LIBERO, LiberoSource
from substep_core.rotation import quaternion_to_axis_angle
from substep_demonstrator import Demonstrator
from tests.training.toy import ROBOT
from training.collect.looks import LookVariation
from training.collect.recording import Recording, draw_start, record_episode
from training.collect.recording_files import task_file, write_task_file
from training.collect.replay import RenderConfig
from training.collect.rerender import rerender
from training.collect.settings import Variation
from training.data.readers import LiberoHdf5Source, ReadReport, read_demonstrations

TASK = LiberoSource().task("libero_object", 4)
SIZE, OTHER_SIZE = 64, 48
BEGINNING = 24  # timesteps, where the whole episode would show no more
CAMERAS = {"agentview": "agentview_rgb", "eye_in_hand": "eye_in_hand_rgb"}
pytestmark = pytest.mark.xdist_group("replay")  # one worker plays the episode once


class Watched(Simulation):
    """Keeps what was seen and how the world stood at every observation."""

    def __init__(self) -> None:
        super().__init__(SimulationConfig(TASK.suite, TASK.index, image_size=(SIZE, SIZE)))
        self.seen: list[dict[str, np.ndarray]] = []
        self.seen_otherwise: list[dict[str, np.ndarray]] = []
        self.states: list[np.ndarray] = []

    def observe(self, images: bool = True):
        observation = super().observe(images)
        self.seen.append(dict(observation.images))
        if len(self.seen) <= BEGINNING:
            self.seen_otherwise.append({camera: self.render(camera, OTHER_SIZE, OTHER_SIZE) for camera in CAMERAS})
        self.states.append(self.state())
        return observation


@dataclass(frozen=True)
class Played:
    """An episode as it was played, the folder with its file, and one with the file of its beginning."""

    folder: Path
    beginning: Path
    recording: Recording
    frames: dict[int, dict[str, np.ndarray]]
    states: np.ndarray


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Played:
    """One demonstration with images, from a widened start with noise and a disturbance."""
    simulation = Watched()
    variation = Variation(widened=1.0, noise=0.15, disturbance=0.05)
    start = replace(draw_start(variation, LiberoSource().splits["training"], (3,)), arm_distance=0.4)
    assert start.noise > 0
    recording, result = record_episode(simulation, Demonstrator(), start, variation)
    assert recording is not None, result
    simulation.close()
    folder, beginning = (tmp_path_factory.mktemp(name) for name in ("played", "beginning"))
    for place, episode in ((folder, recording), (beginning, cut(recording, BEGINNING))):
        write_task_file(task_file(place, TASK.suite, TASK.name), LIBERO, TASK, [episode])
    length = len(recording.actions)
    frames = {
        size: {camera: np.stack([images[camera] for images in seen[:length]]) for camera in CAMERAS}
        for size, seen in ((SIZE, simulation.seen), (OTHER_SIZE, simulation.seen_otherwise))
    }
    return Played(folder, beginning, recording, frames, np.stack(simulation.states[:length]))


def cut(recording: Recording, length: int) -> Recording:
    """Its first timesteps, as if both substeps had ended there."""
    parts = {name: getattr(recording, name)[:length] for name in ("actions", "taught_actions", "taught", "proprio")}
    return replace(recording, ends=(length // 2, length - 1), **parts)


@pytest.fixture(scope="module")
def full(played: Played, tmp_path_factory) -> Path:
    """The file of ``./substep data rerender``."""
    out = tmp_path_factory.mktemp("full")
    rerender(played.folder, out, RenderConfig(SIZE), workers=0)
    return task_file(out, TASK.suite, TASK.name)


def rendered(folder: Path, size: int, looks: LookVariation | None = None) -> dict[str, np.ndarray]:
    """The frames of the only demonstration there."""
    source = LiberoHdf5Source(path=folder, render_size=size, looks=looks)
    (demo,) = read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False)
    return dict(demo.frames())


@pytest.mark.parametrize("size", [SIZE, OTHER_SIZE])
def test_frames_come_back_to_the_pixel_as_they_were_when_it_was_played(played: Played, size: int):
    again = rendered({SIZE: played.folder, OTHER_SIZE: played.beginning}[size], size)
    for camera, frames in played.frames[size].items():
        assert np.array_equal(again[camera], frames), camera
        assert frames.std() > 20 and not np.array_equal(frames[0], frames[-1]), "pictures of something that moves"


def test_a_rendering_with_another_look_shows_the_same_motion_otherwise(played: Played):
    """Another camera, other lights and surfaces, noise; the plain rendering after it is as it was, to the pixel."""
    everything = LookVariation(camera=1, lights=1, surfaces=1, noise=1)
    nothing = LookVariation(camera=0, lights=0, surfaces=0, noise=0)
    looks = everything, everything, replace(everything, seed=1), nothing
    varied, again, other, plain = (rendered(played.beginning, SIZE, look) for look in looks)
    for camera in CAMERAS:
        assert np.array_equal(varied[camera], again[camera]), "a function of the seed"
        for different in (plain, other):
            assert np.abs(varied[camera].astype(int) - different[camera]).mean() > 10
        assert np.array_equal(plain[camera], played.frames[SIZE][camera][:BEGINNING])


def test_states_come_back_to_the_bit(played: Played, full: Path):
    with h5py.File(full) as file:
        assert np.array_equal(file["data/demo_0/states"][:], played.states)


def test_a_full_file_has_what_readers_of_liberos_files_look_for(played: Played, full: Path):
    length = len(played.recording.actions)
    shapes = {
        "actions": (7,),
        "states": TASK.init_states().shape[1:],
        "robot_states": (9,),
        "rewards": (),
        "dones": (),
        "obs/agentview_rgb": (SIZE, SIZE, 3),
        "obs/eye_in_hand_rgb": (SIZE, SIZE, 3),
        "obs/ee_states": (6,),
        "obs/ee_pos": (3,),
        "obs/ee_ori": (3,),
        "obs/gripper_states": (2,),
        "obs/joint_states": (7,),
    }
    with h5py.File(full) as file:
        data, demo = file["data"], file["data/demo_0"]
        assert {name: demo[name].shape for name in shapes} == {name: (length, *rest) for name, rest in shapes.items()}
        assert demo.attrs["num_samples"] == data.attrs["total"] == length and data.attrs["num_demos"] == 1
        assert data.attrs["macros_image_convention"] == "opengl"
        assert data.attrs["bddl_file_name"].split("bddl_files/")[1] == f"{TASK.suite}/{TASK.name}.bddl"
        assert json.loads(data.attrs["problem_info"]) == {
            "problem_name": "libero_floor_manipulation",
            "domain_name": "robosuite",
            "language_instruction": TASK.instruction,
        }


def test_the_values_of_a_full_file_mean_what_liberos_do(played: Played, full: Path):
    with h5py.File(full) as file:
        demo = file["data/demo_0"]
        obs = {name: values[:] for name, values in demo["obs"].items()}
        states, robot = demo["states"][:], demo["robot_states"][:]
        end = [0] * (len(states) - 1) + [1]
        assert demo["rewards"][:].tolist() == demo["dones"][:].tolist() == end
        assert np.array_equal(demo.attrs["init_state"], states[0])
    for camera, name in CAMERAS.items():
        assert np.array_equal(obs[name][:, ::-1], played.frames[SIZE][camera]), "upside down, as robosuite's are"
    assert np.array_equal(obs["ee_states"], np.hstack([obs["ee_pos"], obs["ee_ori"]]))
    assert np.array_equal(np.hstack([obs["ee_states"], obs["gripper_states"]]), played.recording.proprio)
    orientation = np.stack([quaternion_to_axis_angle(quaternion) for quaternion in robot[:, 5:]])
    expected = np.hstack([obs["gripper_states"], obs["ee_states"]])
    assert np.allclose(np.hstack([robot[:, :5], orientation]), expected, atol=1e-6)
    assert np.allclose(np.diff(states[:, 0]), 0.05), "seconds of world time"
    assert np.array_equal(states[:, 1:8], obs["joint_states"]), "the arm's joints come first in qpos"
    assert np.ptp(obs["joint_states"], axis=0).max() > 0.3


def test_a_state_puts_liberos_world_where_the_demonstration_was(full: Path):
    """As OpenVLA's regeneration sets it; poses that are observed lag behind by a simulation step of 2 ms."""
    with h5py.File(full) as file:
        states, position = file["data/demo_0/states"][:], file["data/demo_0/obs/ee_pos"][:]
    simulation = Simulation(SimulationConfig(TASK.suite, TASK.index, render=False))
    simulation.reset()
    for step in (0, 50):
        simulation._env.sim.set_state_from_flattened(states[step])
        simulation._env.sim.forward()
        assert np.allclose(simulation.grip_site_pose().position, position[step], atol=1e-3)
    simulation.close()


def test_a_file_without_the_later_names_is_read_and_rendered_the_same(played: Played, tmp_path: Path):
    """As files were before: the benchmark's initial state under ``init_state``, no rewards, a shorter problem_info."""
    old = task_file(tmp_path / "old", TASK.suite, TASK.name)
    old.parent.mkdir(parents=True)
    old.write_bytes(task_file(played.beginning, TASK.suite, TASK.name).read_bytes())
    with h5py.File(old, "a") as file:
        data, demo = file["data"], file["data/demo_0"]
        del demo["rewards"], demo["dones"], demo.attrs["init_state_index"], data.attrs["bddl_file_name"]
        demo.attrs["init_state"] = played.recording.start.init_state
        data.attrs["problem_info"] = json.dumps({"language_instruction": TASK.instruction})
    for folder, name in ((tmp_path / "old", "again"), (played.beginning, "expected")):
        rerender(folder, tmp_path / name, RenderConfig(OTHER_SIZE), workers=0)
    files = (task_file(tmp_path / name, TASK.suite, TASK.name) for name in ("again", "expected"))
    with h5py.File(next(files)) as again, h5py.File(next(files)) as expected:
        names: list[str] = []
        expected.visit(names.append)
        assert len(names) > 12
        for name in names:
            assert set(again[name].attrs) == set(expected[name].attrs)
            assert all(np.array_equal(again[name].attrs[key], value) for key, value in expected[name].attrs.items())
            if isinstance(expected[name], h5py.Dataset):
                assert np.array_equal(again[name][:], expected[name][:]), name
