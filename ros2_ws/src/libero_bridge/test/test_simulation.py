"""The simulated world beside LIBERO's own loop: same physics, same verdicts, repeatable, images the right way up."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from robosuite.utils.errors import RandomizationError

from libero_bridge import libero_setup
from libero_bridge.control_loop import ControlledArm
from libero_bridge.environment import DRAWS
from libero_bridge.placement import NoRoomError, WidenedPlacement
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource
from substep_bridge.chunk_player import ChunkAnswer, ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.moment import RobotMoment, moment_of
from substep_core.chunk import Chunk
from substep_core.episode import Placement
from substep_core.keys import SubstepKey
from substep_core.protocol import HoldKind

pytestmark = pytest.mark.xdist_group("simulation")
SOUP = "alphabet_soup_1"
IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """Pick up the alphabet soup and place it in the basket."""
    with contextlib.closing(Simulation(SimulationConfig("libero_object", 0, image_size=(64, 64)))) as world:
        yield world


@pytest.fixture(scope="module")
def plain_environment():
    """LIBERO's own environment of the same task, from the same assets."""
    libero_setup.use_assets(libero_setup.EMBEDDED_ASSETS)
    from libero.libero.envs.env_wrapper import ControlEnv

    task = LiberoSource().task("libero_object", 0)
    environment = ControlEnv(str(task.bddl_file), use_camera_obs=False, has_offscreen_renderer=False)
    yield environment
    environment.close()


def test_a_closed_world_leaves_no_model_behind():
    """Python would collect it much later: it counts objects, and a model is one of many megabytes."""
    world = Simulation(SimulationConfig("libero_object", 0, image_size=(64, 64)))
    world.reset()
    left = weakref.ref(world._env.sim.model)
    world.close()
    assert left() is None


def test_trajectory_and_verdict_are_those_of_liberos_own_loop(simulation, plain_environment):
    plain_environment.seed(3)
    plain_environment.reset()
    plain_environment.set_init_state(LiberoSource().task("libero_object", 0).init_states()[5])
    for _ in range(simulation.config.settle_steps):
        plain_environment.step(IDLE)
    simulation.reset(init_state=5, seed=3)

    verdicts = []
    for step, action in enumerate(wild_actions(60)):
        if step == 30:
            for env in (simulation._env, plain_environment.env):
                put_above(env, SOUP, "basket_1")
        simulation.step(action)
        done = plain_environment.step(action)[2]
        assert np.abs(simulation._data.qpos - plain_environment.sim.data.qpos).max() < 1e-9
        verdicts.append((bool(done), all(simulation.scene().predicates.values())))
    assert all(plain == ours for plain, ours in verdicts)
    assert [plain for plain, _ in verdicts].count(True) > 5, "the soup never was in the basket: nothing was compared"
    assert simulation.success and simulation.over == "success"


def test_compiled_control_gives_the_torques_of_robosuites_own(simulation, monkeypatch):
    differences = []

    def drive_and_compare(arm: ControlledArm) -> None:
        arm.drive_as_robosuite()
        own = arm._control[arm._actuators]
        drive(arm)
        differences.append(np.abs(arm._control[arm._actuators] - own).max())

    drive = ControlledArm.drive
    monkeypatch.setattr(ControlledArm, "drive", drive_and_compare)
    simulation.reset(init_state=2)
    for action in wild_actions(10):
        simulation.step(action)
    assert len(differences) == 24 * (10 + simulation.config.settle_steps)
    assert max(differences) < 1e-9


def test_the_same_seed_gives_the_same_bits(simulation):
    first = rollout_hash(simulation)
    simulation.reset(init_state=9, seed=1)
    simulation.step(np.ones(7))
    assert rollout_hash(simulation) == first


def test_a_world_built_anew_gives_the_same_bits(simulation):
    with contextlib.closing(Simulation(simulation.config)) as other:
        with pytest.raises(RuntimeError, match="call reset first"):
            other.step(IDLE)
        assert rollout_hash(other) == rollout_hash(simulation)


def test_an_arm_begins_further_off_its_home_the_more_it_is_told_to(simulation):
    def start(arm_distance: float) -> np.ndarray:
        simulation.reset(0, seed=3, arm_distance=arm_distance)
        return np.array(list(simulation.arm_joint_positions().values()))

    home = start(0.0)
    near, far = (np.linalg.norm(start(distance) - home) for distance in (0.2, 0.4))
    assert 0.05 < near < 0.2 and 1.5 * near < far < 0.4, "the controller pulls it part of the way"
    assert np.array_equal(start(0.0), home), "the next episode begins as if it had not been"


def test_world_time_goes_on_across_resets(simulation):
    stamps = [simulation.reset().stamp, simulation.step(IDLE).stamp, simulation.reset().stamp]
    assert np.diff(stamps).tolist() == [50_000_000, 50_000_000]
    assert simulation.step_count == 0 and not simulation.success


def test_images_show_objects_where_the_camera_geometry_says(simulation):
    """Row 0 is the top, column 0 the left: an object that is hidden changes the image at its projected place."""
    simulation.reset()
    model, data = simulation._model, simulation._data
    for camera, size in (("agentview", (240, 320)), ("eye_in_hand", (200, 200))):
        with_soup = simulation.render(camera, *size).astype(int)
        hidden = [g for g in range(model.ngeom) if model.body(model.geom_bodyid[g]).name.startswith(SOUP)]
        alpha = model.geom_rgba[hidden, 3].copy()
        model.geom_rgba[hidden, 3] = 0
        changed = np.abs(simulation.render(camera, *size).astype(int) - with_soup).sum(axis=2) > 30
        model.geom_rgba[hidden, 3] = alpha
        rows, columns = np.nonzero(changed)
        row, column = project(simulation, data, camera, size, object_centre(simulation, SOUP))
        assert len(rows) > 20
        assert abs(np.median(rows) - row) < 12 and abs(np.median(columns) - column) < 12


def test_with_effects_images_are_those_of_liberos_renderer_the_right_way_up():
    with contextlib.closing(Simulation(SimulationConfig("libero_object", 0, effects=True))) as world:
        images = world.reset().images
        from robosuite.utils.binding_utils import MjRenderContextOffscreen

        renderer = MjRenderContextOffscreen(world._env.sim, device_id=-1)
        renderer.vopt.geomgroup[0] = 0
        for camera in world.contract.cameras:
            renderer.render(128, 128, world._model.cam(camera.driver_name).id)
            difference = np.abs(images[camera.name].astype(int) - renderer.read_pixels(128, 128)[::-1])
            assert difference.max() <= 8 and (difference > 0).mean() < 0.01  # it draws into a part of a larger buffer


def test_the_scene_says_what_there_is(simulation):
    simulation.reset()
    scene = simulation.scene()
    assert scene.predicates == {"in alphabet_soup_1 basket_1_contain_region": False}
    soup, basket = scene.objects[SOUP], scene.objects["basket_1"]
    assert (soup.category, soup.movable) == ("alphabet_soup", True)
    assert (soup.upper > soup.lower).all() and (basket.upper - basket.lower > 0.1).all()
    region = scene.regions["basket_1_contain_region"]
    assert region.object == "basket_1"
    assert np.linalg.norm(region.position - basket.position) < 0.1
    assert scene.regions["floor_target_object_region"].object == "floor"
    assert scene.grasped == frozenset()


def test_an_object_between_both_fingers_is_grasped(simulation):
    simulation.reset()
    soup = object_centre(simulation, SOUP)
    drive(simulation, soup + [0, 0, 0.12], gripper=-1)
    drive(simulation, soup, gripper=-1)
    assert simulation.scene().grasped == frozenset()
    drive(simulation, soup, gripper=1)
    assert simulation.scene().grasped == {SOUP}


def test_joints_of_fixtures_have_an_axis_and_move_with_their_body():
    with contextlib.closing(Simulation(SimulationConfig("libero_goal", 0, render=False))) as world:
        before = world.reset().scene
        middle = before.joints["wooden_cabinet_1_middle_level"]
        assert middle.object == "wooden_cabinet_1"
        world._env.sim.data.set_joint_qpos("wooden_cabinet_1_middle_level", -0.15)
        world._env.sim.forward()
        after = world.scene()
        moved = after.joints["wooden_cabinet_1_middle_level"]
        np.testing.assert_allclose(moved.body_position - middle.body_position, -0.15 * middle.axis, atol=1e-6)
        assert after.predicates == {"open wooden_cabinet_1_middle_region": True}
        assert not before.predicates["open wooden_cabinet_1_middle_region"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suite": "libero_nothing"}, "libero_nothing.*libero_spatial"),
        ({"task_index": 10}, "10.*libero_object.*0 to 9"),
        ({"assets": "/nowhere"}, "/nowhere"),
        ({"cameras": ("frontview",)}, "frontview.*agentview"),
        ({"horizon": -1}, "horizon -1"),
        ({"image_size": (128, 8)}, "image size 128x8"),
        ({"settle_steps": -1}, "settle_steps -1"),
    ],
)
def test_a_wrong_configuration_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        Simulation(SimulationConfig(**{"suite": "libero_object", "task_index": 0, **change}))


def test_a_wrong_initial_state_or_action_is_named(simulation):
    with pytest.raises(ValueError, match="init_state 50 .*0 to 49"):
        simulation.reset(init_state=50)
    simulation.reset()
    for action in (np.zeros(6), np.full(7, np.nan)):
        with pytest.raises(ValueError, match="finite vector of 7 values"):
            simulation.step(action)
    with pytest.raises(ValueError, match="image size 8x128"):
        simulation.render("agentview", 8, 128)


def wild_actions(count: int) -> np.ndarray:
    """(count, 7) downwards into the objects, with turns and a gripper that opens and closes."""
    actions = np.random.default_rng(0).uniform(-1, 1, (count, 7))
    actions[:, 2] = actions[:, 2] * 0.5 - 0.5
    return actions


def rollout_hash(simulation: Simulation) -> str:
    """Of everything that is observed in some steps after a reset."""
    digest = hashlib.sha256()
    observations = [simulation.reset(init_state=2, seed=7), *(simulation.step(action) for action in wild_actions(15))]
    for observation in observations:
        digest.update(observation.proprio.tobytes())
        for image in observation.images.values():
            digest.update(image.tobytes())
        for item in observation.scene.objects.values():
            digest.update(item.position.tobytes() + item.quaternion.tobytes())
    return digest.hexdigest()


def put_above(env, name: str, place: str) -> None:
    """Lets an object fall from 10 cm above another one."""
    joint = env.objects_dict[name].joints[-1]
    pose = env.sim.data.get_joint_qpos(joint).copy()
    pose[:3] = env.sim.data.body_xpos[env.obj_body_id[place]] + [0, 0, 0.1]
    env.sim.data.set_joint_qpos(joint, pose)
    env.sim.data.set_joint_qvel(joint, np.zeros(6))


def object_centre(simulation: Simulation, name: str) -> np.ndarray:
    """(3,) m: middle of an object's collision geometry in the world frame."""
    body = simulation._env.obj_body_id[name]
    item = simulation.scene().objects[name]
    return simulation._data.xpos[body] + simulation._data.xmat[body].reshape(3, 3) @ (item.lower + item.upper) / 2


def project(simulation: Simulation, data, camera: str, size: tuple[int, int], point: np.ndarray) -> tuple[float, float]:
    """Row and column of a world point in an upright image, by the pinhole model."""
    view = data.cam(simulation.contract.camera(camera).driver_name)
    x, y, z = view.xmat.reshape(3, 3).T @ (point - view.xpos) * [1, -1, -1]  # x right, y down, z forward
    column, row, _ = simulation.intrinsics(camera, *size) @ [x / z, y / z, 1]
    return row, column


def drive(simulation: Simulation, target: np.ndarray, gripper: float, steps: int = 40) -> None:
    for _ in range(steps):
        error = target - simulation.grip_site_pose().position
        simulation.step(np.array([*np.clip(20 * error, -1, 1), 0, 0, 0, gripper]))


def test_a_reset_that_finds_no_room_leaves_the_world_as_it_was(simulation, monkeypatch):
    simulation.reset(init_state=2)
    for _ in range(3):
        simulation.step(IDLE)
    before = simulation.state(), simulation.step_count
    monkeypatch.setattr(WidenedPlacement, "DRAWS_OF_ALL", 0)
    with pytest.raises(NoRoomError, match="no collision-free placement of .*alphabet_soup_1"):
        simulation.reset(init_state=5, placement=Placement.WIDENED)
    assert np.array_equal(simulation.state(), before[0]) and simulation.step_count == before[1]
    simulation.step(IDLE)


def test_a_task_without_room_for_its_objects_is_refused_and_not_drawn_for_ever(simulation, monkeypatch):
    draws = []

    def fail() -> None:
        draws.append(True)
        raise RandomizationError("Cannot place all objects ):")

    monkeypatch.setattr(simulation._env, "reset", fail)
    with pytest.raises(NoRoomError, match=r"bddl: no room for all objects in their regions, in \d+ draws"):
        simulation.reset(init_state=2)
    assert len(draws) == DRAWS


@pytest.mark.parametrize("turning", [0.0, 1.0])
def test_the_guard_keeps_the_hand_in_the_workspace_sideways_with_a_turning_wrist(simulation, turning):
    """Where what is predicted of a chunk's way lies far from it; every value is one that an action may have."""
    simulation.reset(init_state=0)
    contract, workspace = simulation.contract, simulation.contract.workspace
    player = ChunkPlayer(contract, SafetyGuard(contract, GuardSettings(max_age=0.0)))

    def moment() -> RobotMoment:
        return moment_of(contract, simulation.observe().stamp, simulation.readings(), simulation.workspace_origin)

    player.reset(1, moment())
    player.activate(SubstepKey("plan", 0, 0))
    chunk = Chunk(np.tile(np.float32([0, 1, 0, 0, 0, turning, -1]), (8, 1)))
    outside = 0.0
    for _ in range(120):
        if not player.may_step:
            if not player.wants_request:
                break
            player.receive(ChunkAnswer(player.request(), chunk))
            continue
        simulation.step(player.next_action())
        player.after_step(moment(), None)
        over = np.maximum(moment().position - workspace.high, workspace.low - moment().position)
        outside = max(outside, over.max())
    assert player.hold.kind is HoldKind.LATCHED
    assert outside < 0.03, "m; a step of this robot is up to 20 mm"
