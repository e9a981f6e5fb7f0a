"""What the stand-in gives a policy of a scene at rest, and how far a command goes, beside the simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from arm_bridge.images import rgb
from arm_bridge.sensors import PoseReader, joint_sample
from arm_bridge.settings import load_arm
from libero_bridge.simulation import Simulation, SimulationConfig
from substep_bridge.messages import pose_stamped
from substep_core.contract import Pose, Readings, state_vector
from substep_core.episode import EpisodeStart
from substep_core.ros.messages import to_time
from substep_core.rotation import conjugate, quaternion_product
from substep_standin import messages
from substep_standin.plant import Plant
from training.bench.robot.world import StandInWorld

CONFIG = SimulationConfig("libero_object", 0)
SMALL = (32, 32)  # pixels
STAMP = to_time(1)


@pytest.fixture(scope="module")
def worlds() -> Iterator[tuple[Simulation, Plant]]:
    simulation, plant = Simulation(CONFIG), Plant(CONFIG)
    simulation.reset(init_state=0, seed=0)
    plant.reset(EpisodeStart(init_state=0, seed=0))
    yield simulation, plant
    simulation.close(), plant.close()


def test_proprioception_is_the_same_in_order_units_frame_and_sign(worlds):
    simulation, plant = worlds
    settings, contract = load_arm("standin")
    pose = pose_stamped(plant.hand_pose(), contract.base_frame, STAMP)
    reader = PoseReader(settings.poses["eef_pose"], contract.base_frame)
    readings = Readings(
        {"eef_pose": reader.sample(pose).value},
        {"joint_states": joint_sample(messages.joint_state(plant.state(), STAMP)).value},
    )
    given = state_vector(contract, readings)
    assert [group.name for group in contract.state] == [group.name for group in CONFIG.contract.state]
    assert given == pytest.approx(state_vector(CONFIG.contract, simulation.readings()), abs=5e-4)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_pictures_are_the_same_to_a_grey_level(worlds, encoding):
    simulation, plant = worlds
    for camera, seen in simulation.images(CONFIG.contract.camera_names).items():
        given = rgb(messages.image(plant.picture(camera), encoding, "frame", STAMP))
        assert given.shape == seen.shape
        assert np.abs(given.astype(int) - seen).mean() < 0.1, camera


def displacement(world: Simulation | StandInWorld, pose: Callable[[], Pose], axis: int) -> float:
    """m or rad along an axis in eight control steps of 0.3, from rest."""
    world.reset(init_state=0, seed=0)
    still, action = np.zeros(7), np.zeros(7)
    action[axis], action[6], still[6] = 0.3, -1.0, -1.0
    world.step(still)
    before = pose()
    for _ in range(8):
        world.step(action)
    after = pose()
    turned = quaternion_product(after.quaternion, conjugate(before.quaternion))
    turned *= np.sign(turned[3])
    return float(np.concatenate([after.position - before.position, 2 * np.arcsin(turned[:3])])[axis])


@pytest.fixture(scope="module")
def moved() -> Iterator[tuple[Simulation, StandInWorld]]:
    """Two worlds that are moved, with pictures as small as can be."""
    config = replace(CONFIG, image_size=SMALL)
    simulation, standin = Simulation(config), StandInWorld(config)
    yield simulation, standin
    simulation.close(), standin.close()


@pytest.mark.parametrize("axis", [0, 1, 2, 3, 5])
def test_a_command_moves_the_stand_in_as_far_as_the_simulated_arm(moved, axis):
    simulation, standin = moved
    there = displacement(simulation, simulation.grip_site_pose, axis)
    here = displacement(standin, standin._plant.hand_pose, axis)  # what is measured comes late
    assert here == pytest.approx(there, rel=0.15)
