"""Widened placements: wider than the benchmark, free of collisions, repeatable, and what the task says stays true."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.episode import Placement
from substep_core.scene import SceneState

pytestmark = pytest.mark.xdist_group("simulation")
SEEDS = range(6)
IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])


@pytest.fixture(scope="module")
def build() -> Iterator[Callable[[str, int], Simulation]]:
    worlds: dict[tuple[str, int], Simulation] = {}

    def build_once(suite: str, task_index: int) -> Simulation:
        if (suite, task_index) not in worlds:
            worlds[suite, task_index] = Simulation(SimulationConfig(suite, task_index, render=False))
        return worlds[suite, task_index]

    yield build_once
    for world in worlds.values():
        world.close()


@pytest.mark.parametrize(("suite", "task_index"), [("libero_object", 0), ("libero_spatial", 5), ("libero_10", 6)])
def test_objects_lie_further_apart_than_in_the_benchmark_and_stay_where_they_are(build, suite, task_index):
    world = build(suite, task_index)
    start = world.reset().scene
    spread = []
    for seed in SEEDS:
        scene = world.reset(seed=seed, placement=Placement.WIDENED).scene
        assert scene.predicates == start.predicates, "the task is solved, or undone, by its placement"
        assert not scene.grasped
        spread.append([item.position[:2] for item in scene.objects.values() if item.movable])
        for _ in range(10):
            settled = world.step(IDLE).scene
        for name, item in settled.objects.items():
            assert np.linalg.norm(item.position - scene.objects[name].position) < 0.005, f"{name} moves, seed {seed}"
            assert abs(item.position[2] - start.objects[name].position[2]) < 0.01, f"{name} does not stand, seed {seed}"
    assert np.ptp(spread, axis=0).max() > 0.1


def test_the_seed_decides(build):
    world = build("libero_object", 0)
    positions = [position(world.reset(seed=seed, placement=Placement.WIDENED).scene, "milk_1") for seed in (4, 5, 4)]
    assert (positions[0] == positions[2]).all() and (positions[0] != positions[1]).any()


def test_between_the_plate_and_the_ramekin_stays_true(build):
    world = build("libero_spatial", 0)
    for seed in SEEDS:
        scene = world.reset(seed=seed, placement=Placement.WIDENED).scene
        plate, ramekin = position(scene, "plate_1"), position(scene, "glazed_rim_porcelain_ramekin_1")
        bowl = position(scene, "akita_black_bowl_1")
        along = np.dot(bowl - plate, ramekin - plate) / np.dot(ramekin - plate, ramekin - plate)
        aside = np.linalg.norm(bowl - plate - along * (ramekin - plate))
        assert 0.2 < along < 0.8 and aside < 0.06


def test_what_stands_on_an_object_goes_along(build):
    world = build("libero_spatial", 5)
    for seed in SEEDS:
        scene = world.reset(seed=seed, placement=Placement.WIDENED).scene
        support = position(scene, "glazed_rim_porcelain_ramekin_1")
        assert np.linalg.norm(position(scene, "akita_black_bowl_1") - support) < 0.04


def test_a_goal_beside_an_object_stays_beside_it(build):
    """The region "right of the plate" is drawn on the table, so the plate must not move away from it."""
    world = build("libero_10", 6)
    plate = position(world.reset().scene, "plate_1")
    scene = world.reset(seed=1, placement=Placement.WIDENED).scene
    np.testing.assert_allclose(position(scene, "plate_1"), plate, atol=1e-3)


def test_left_middle_and_right_stay_so(build):
    world = build("libero_90", 86)
    books = ["yellow_book_1", "black_book_1", "yellow_book_2"]
    order = np.argsort([position(world.reset().scene, book)[1] for book in books])
    for seed in SEEDS:
        scene = world.reset(seed=seed, placement=Placement.WIDENED).scene
        assert (np.argsort([position(scene, book)[1] for book in books]) == order).all()


def position(scene: SceneState, name: str) -> np.ndarray:
    return scene.objects[name].position[:2]
