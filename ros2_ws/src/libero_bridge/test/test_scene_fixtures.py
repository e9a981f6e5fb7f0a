"""Fixtures, arenas and the light robot: what LIBERO's code and its initial states expect of them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from libero_bridge import libero_setup
from libero_bridge.environment import build_environment, reset_environment, set_state
from libero_bridge.scenes.arenas import ASSETS as ARENAS
from libero_bridge.scenes.check.command import table
from libero_bridge.scenes.check.settling import IDLE_STEPS, settle
from libero_bridge.scenes.check.task import TaskCheck, TaskReport, check_task
from libero_bridge.scenes.fixtures import ASSETS as FIXTURES
from libero_bridge.scenes.pack import pack_path, write_pack
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource
from substep_core.contract import load_robot

PANDA_FACES = 27_000  # robosuite's own robot has 168,000
CABINET_JOINTS = {level: ("slide", (-0.16, 0.01)) for level in ("top_level", "middle_level", "bottom_level")}
CABINET_SITES = {"top_region", "middle_region", "bottom_region", "top_side"}
JOINTS = {
    "wooden_cabinet": CABINET_JOINTS,
    "white_cabinet": CABINET_JOINTS,
    "flat_stove": {"button": ("hinge", (-0.005, 2.1))},
    "microwave": {"microjoint": ("hinge", (-2.094, 0.0))},
}
SITES = {
    "wooden_cabinet": CABINET_SITES,
    "white_cabinet": CABINET_SITES,
    "flat_stove": {"cook_region", "burner"},
    "microwave": {"heating_region", "top_side"},
    "desk_caddy": {f"{side}_contain_region" for side in ("left", "right", "front", "back")},
    "wine_rack": {"top_region"},
    "wooden_two_layer_shelf": {"top_region", "bottom_region", "top_side"},
}
# One task for each kind of goal that fixtures take part in.
GOAL_TASKS = [
    ("libero_10", 3),  # in a drawer, and the drawer closed
    ("libero_10", 5),  # a book in a compartment of the caddy
    ("libero_10", 8),  # two pots on one stove
    ("libero_10", 9),  # in the microwave, and its door closed
    ("libero_goal", 0),  # a drawer open
    ("libero_goal", 5),  # on a part of the table
    ("libero_goal", 9),  # on the wine rack
]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    write_pack(folder)
    return folder


@pytest.mark.parametrize("path", FIXTURES)
def test_fixture_has_the_joints_and_sites_libero_asks_for(pack, path):
    model = mujoco.MjModel.from_xml_path(str(pack / path))
    name = path.rpartition("/")[2].removesuffix(".xml")
    kinds = {mujoco.mjtJoint.mjJNT_SLIDE: "slide", mujoco.mjtJoint.mjJNT_HINGE: "hinge"}
    ranges = np.round(model.jnt_range, 4)
    joints = {model.joint(i).name: (kinds[model.jnt_type[i]], tuple(ranges[i])) for i in range(model.njnt)}
    assert joints == JOINTS.get(name, {})
    assert list(joints) == list(JOINTS.get(name, {}))  # the initial states list them in this order
    sites = {model.site(i).name for i in range(model.nsite)}
    assert sites >= SITES[name] | {"bottom_site", "top_site", "horizontal_radius_site"}


@pytest.mark.parametrize("path", FIXTURES)
def test_fixture_is_cheap_to_draw(pack, path):
    model = mujoco.MjModel.from_xml_path(str(pack / path))
    drawn = [geom for geom in range(model.ngeom) if model.geom_group[geom] == 1]
    assert sum(model.mesh_facenum[model.geom_dataid[geom]] for geom in drawn) < 1500
    assert not any(model.geom_contype[geom] or model.geom_conaffinity[geom] for geom in drawn)


@pytest.mark.parametrize("path", ARENAS)
def test_arena_has_the_cameras_libero_starts_from(pack, path):
    model = mujoco.MjModel.from_xml_path(str(pack / path))
    cameras = {model.camera(i).name for i in range(model.ncam)}
    assert cameras >= {"agentview", "frontview", "birdview", "sideview"}
    assert not model.light_castshadow.any()


@pytest.mark.parametrize(("suite", "index"), GOAL_TASKS)
def test_task_settles_and_its_goal_can_be_reached(suite, index):
    report = check_task(TaskCheck(suite, index, libero_setup.EMBEDDED_ASSETS, states=4))
    assert report.goals and all(report.goals.values())
    assert report.problems() == []


@pytest.mark.parametrize("index", [40, 42, 63], ids=["on a shelf", "under a shelf", "stacked in a tray"])
def test_goal_of_libero_90_can_be_reached(index):
    report = check_task(TaskCheck("libero_90", index, libero_setup.EMBEDDED_ASSETS, states=1))
    assert report.goals and all(report.goals.values())


def test_check_sees_an_object_that_is_thrown():
    env, states = _environment("libero_object", 0)
    thrown = states[:2].copy()
    thrown[1, 1 + env.sim.model.nq + 9] = 1.0  # m/s along x, of the first object
    assert settle(env, states[:2]).slid < 0.02
    settling = settle(env, thrown)
    assert settling.slid > 0.02
    assert settling.worst.startswith("state 1")


def test_table_names_what_went_wrong():
    report = TaskReport("libero_goal", 3, error="ValueError: no such thing")
    assert "FAIL ValueError: no such thing" in table([report])


def test_robot_keeps_its_dynamics_and_loses_most_of_its_faces():
    light, states = _environment("libero_spatial", 0, light=True)
    heavy, _ = _environment("libero_spatial", 0, light=False)
    names = [_names(env.sim.model._model) for env in (light, heavy)]
    assert names[0] == names[1]
    assert _robot_faces(light.sim.model._model) < PANDA_FACES < _robot_faces(heavy.sim.model._model) / 5
    trajectories = [_random_walk(env, states[0]) for env in (light, heavy)]
    np.testing.assert_array_equal(*trajectories)


def test_drawn_robot_stands_where_robosuites_does():
    pictures = []
    for assets in (libero_setup.EMBEDDED_ASSETS, str(pack_path())):
        simulation = Simulation(SimulationConfig("libero_object", 0, assets=assets, scene=False))
        simulation.reset()
        pictures.append(simulation.render("agentview", 128, 128).astype(float))
        simulation.close()
    difference = np.abs(pictures[0] - pictures[1]).max(axis=-1)
    assert 0 < (difference > 40).mean() < 0.03


def _environment(suite: str, index: int, light: bool = True):
    task = LiberoSource().task(suite, index)
    libero_setup.use_assets(libero_setup.EMBEDDED_ASSETS)
    env = build_environment(
        task, load_robot("libero_panda"), libero_setup.model_filter(libero_setup.EMBEDDED_ASSETS) if light else None
    )
    reset_environment(env, seed=0)
    return env, task.init_states()


def _names(model: mujoco.MjModel) -> list[str]:
    geoms = [model.geom(i).name for i in range(model.ngeom)]
    return geoms + [model.body(i).name for i in range(model.nbody)]


def _robot_faces(model: mujoco.MjModel) -> int:
    meshes = [geom for geom in range(model.ngeom) if model.geom_group[geom] == 1 and model.geom_dataid[geom] >= 0]
    robot = [geom for geom in meshes if model.geom(geom).name.startswith(("robot0_", "gripper0_", "mount0_"))]
    return sum(int(model.mesh_facenum[model.geom_dataid[geom]]) for geom in robot)


def _random_walk(env, state: np.ndarray) -> np.ndarray:
    """(nq,) joint positions after random torques of one control period."""
    set_state(env, state)
    model, data = env.sim.model._model, env.sim.data._data
    rng = np.random.default_rng(0)
    for _ in range(IDLE_STEPS * 10):
        data.ctrl[:] = rng.uniform(-1, 1, model.nu) * 5
        mujoco.mj_step(model, data)
    return data.qpos.copy()
