"""Coordinate frames of robot and cameras: as the URDF says for these joints, as robosuite says for these cameras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest
from robosuite.utils.camera_utils import get_camera_extrinsic_matrix

from libero_bridge.simulation import EEF_POSE, Simulation, SimulationConfig
from substep_core.rotation import rotation_matrix

pytestmark = pytest.mark.xdist_group("simulation")


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """The arm somewhere in the middle of a motion."""
    config = SimulationConfig("libero_object", 0, render=False)
    with contextlib.closing(Simulation(config)) as world:
        world.reset()
        for _ in range(12):
            world.step(np.array([0.4, 0.3, -0.2, 0.1, 0.2, 0.3, 1.0]))
        world._env.sim.forward()  # after a step MuJoCo's poses are those before its last 2 ms, the joints those after
        yield world


def transform(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return matrix


def pose_matrix(pose) -> np.ndarray:
    x, y, z, w = pose.quaternion
    angle, axis = 2 * np.arctan2(np.linalg.norm([x, y, z]), w), np.array([x, y, z])
    length = np.linalg.norm(axis)
    return transform(pose.position, rotation_matrix(axis / length * angle if length else np.zeros(3)))


@pytest.fixture(scope="module")
def in_world(simulation) -> dict[str, np.ndarray]:
    """Frame -> (4, 4) in the world; every frame has one parent, which leads to the world."""
    frames = {frame.name: frame for frame in simulation.frames()}
    assert len(frames) == len(simulation.frames())

    def place(name: str) -> np.ndarray:
        return np.eye(4) if name == "world" else place(frames[name].parent) @ pose_matrix(frames[name].pose)

    return {name: place(name) for name in frames}


def numbers(element: ElementTree.Element, name: str) -> np.ndarray:
    return np.array([float(text) for text in element.get(name).split()])


def origin(joint: ElementTree.Element) -> np.ndarray:
    roll, pitch, yaw = np.diag(numbers(joint.find("origin"), "rpy"))
    return transform(
        numbers(joint.find("origin"), "xyz"), rotation_matrix(yaw) @ rotation_matrix(pitch) @ rotation_matrix(roll)
    )


def test_the_urdf_has_the_joints_of_joint_states_and_leads_to_the_same_frames(simulation, in_world):
    robot = ElementTree.fromstring(simulation.robot_description())
    positions = simulation.joint_positions()
    assert {joint.get("name") for joint in robot.iter("joint") if joint.get("type") != "fixed"} == set(positions)
    links = {"panda_link0": in_world["panda_link0"]}
    waiting = list(robot.iter("joint"))
    while waiting:
        joint = waiting.pop(0)
        parent = links.get(joint.find("parent").get("link"))
        if parent is None:
            waiting.append(joint)
            continue
        motion = np.eye(4)
        if joint.get("type") != "fixed":
            moved = numbers(joint.find("axis"), "xyz") * positions[joint.get("name")]
            turns = joint.get("type") == "revolute"
            motion = transform(np.zeros(3), rotation_matrix(moved)) if turns else transform(moved, np.eye(3))
        links[joint.find("child").get("link")] = parent @ origin(joint) @ motion
    assert len(links) == 11
    for link, expected in links.items():
        np.testing.assert_allclose(in_world[link], expected, atol=1e-5, err_msg=link)


def test_the_urdfs_meshes_are_there(simulation):
    meshes = [mesh.get("filename") for mesh in ElementTree.fromstring(simulation.robot_description()).iter("mesh")]
    assert len(meshes) == 22
    assert all(Path(unquote(urlparse(mesh).path)).is_file() for mesh in meshes)


def test_the_grip_site_is_the_pose_of_the_end_effector(simulation, in_world):
    pose = simulation.readings().poses[EEF_POSE]
    np.testing.assert_allclose(in_world["grip_site"], pose_matrix(pose), atol=1e-4)  # the hand's tilt in its file


def test_cameras_look_where_robosuite_says(simulation, in_world):
    for camera in simulation.contract.cameras:
        expected = get_camera_extrinsic_matrix(simulation._env.sim, camera.driver_name)
        np.testing.assert_allclose(in_world[camera.frame], expected, atol=1e-6, err_msg=camera.name)
