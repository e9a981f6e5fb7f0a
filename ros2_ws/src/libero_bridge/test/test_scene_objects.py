"""The embedded pack's movable objects: LIBERO loads them, they have its sizes, stand where they are put, look apart.

The expected numbers are measured from LIBERO's own models (contact geometry in the benchmark's orientation), but for
the plate, whose origin is 2.5 mm lower here: its contact geometry ends where its drawn one does.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import mujoco
import numpy as np
import pytest

from libero_bridge import libero_setup
from libero_bridge.scenes.builder import rotate
from libero_bridge.scenes.objects import ASSETS
from libero_bridge.scenes.pack import pack_path

CAN = (0, 0, 0.70711, 0.70711)
ALONG_Y = (0.5, 0.5, 0.5, 0.5)
QUARTER = (0.70711, 0, 0, 0.70711)
HALF = (0, 0, 0, 1)
MUG = (-0.70711, 0, 0, 0.70711)


@dataclass(frozen=True)
class Fact:
    """Of one category: benchmark orientation (w, x, y, z), mass (kg), heights (m) and LIBERO's placement sites."""

    quat: tuple[float, ...]
    mass: float
    rest: float  # height of the origin above what it stands on
    top: float  # highest contact point above what it stands on
    sites: tuple[float, float, float] = (-0.06, 0.04, 0.025)
    axis: tuple[float, float] = (0.0, 0.0)  # of the round part, in the object's frame


FACTS = {
    "akita_black_bowl": Fact(QUARTER, 0.0658, -0.0016, 0.0505),
    "alphabet_soup": Fact(CAN, 0.0537, 0.0386, 0.0762, (-0.04, 0.04, 0.025)),
    "basket": Fact(QUARTER, 0.6532, -0.0042, 0.1415),
    "bbq_sauce": Fact(QUARTER, 0.0241, 0.0546, 0.1071, (-0.06, 0.06, 0.015)),
    "black_book": Fact(MUG, 0.1559, -0.0022, 0.1344),
    "butter": Fact(HALF, 0.0103, 0.0087, 0.0174, (-0.02, 0.02, 0.02)),
    "chefmate_8_frypan": Fact(QUARTER, 0.2032, -0.0008, 0.0579),
    "chocolate_pudding": Fact(HALF, 0.0216, 0.0131, 0.0274),
    "cookies": Fact(QUARTER, 0.0191, 0.0094, 0.0188),
    "cream_cheese": Fact(HALF, 0.0124, 0.0089, 0.0178, (-0.025, 0.025, 0.03)),
    "glazed_rim_porcelain_ramekin": Fact(QUARTER, 0.038, -0.0007, 0.042),
    "ketchup": Fact(ALONG_Y, 0.0493, 0.0724, 0.1456),
    "milk": Fact(ALONG_Y, 0.0685, 0.0698, 0.1312, (-0.06, 0.04, 0.03)),
    "moka_pot": Fact(HALF, 0.1311, 0.0661, 0.1518),
    "new_salad_dressing": Fact(ALONG_Y, 0.0449, 0.0227, 0.1456),
    "orange_juice": Fact(ALONG_Y, 0.0676, 0.0698, 0.1312),
    "plate": Fact(QUARTER, 0.0305, 0.0, 0.0125),
    "porcelain_mug": Fact(MUG, 0.1206, -0.0024, 0.1061, axis=(0.0153, -0.0017)),
    "red_coffee_mug": Fact(MUG, 0.124, 0.0018, 0.1326, axis=(-0.0155, -0.001)),
    "salad_dressing": Fact(ALONG_Y, 0.0449, 0.0727, 0.1455),
    "tomato_sauce": Fact(CAN, 0.0545, 0.0386, 0.0762),
    "white_bowl": Fact(QUARTER, 0.0223, -0.0006, 0.0345),
    "white_yellow_mug": Fact(MUG, 0.1209, 0.0001, 0.1032, axis=(-0.0179, -0.001)),
    "wine_bottle": Fact(HALF, 0.0509, -0.0011, 0.1569),
    "wooden_tray": Fact(HALF, 0.5154, 0.001, 0.0819),
    "yellow_book": Fact(MUG, 0.1078, -0.002, 0.1222),
}
REST_TOLERANCE = 0.0015
STACKS = [
    ("akita_black_bowl", "plate"),
    ("akita_black_bowl", "cookies"),
    ("akita_black_bowl", "glazed_rim_porcelain_ramekin"),
    ("akita_black_bowl", "akita_black_bowl"),
    ("white_bowl", "plate"),
    ("porcelain_mug", "plate"),
    ("red_coffee_mug", "plate"),
    ("white_yellow_mug", "plate"),
]
FOODS = ("alphabet_soup", "tomato_sauce", "cream_cheese", "butter", "chocolate_pudding", "ketchup", "bbq_sauce")
FOODS += ("salad_dressing", "milk", "orange_juice", "cookies")
LOOK_ALIKES = [
    FOODS,
    ("porcelain_mug", "red_coffee_mug", "white_yellow_mug"),
    ("akita_black_bowl", "white_bowl", "plate"),
    ("black_book", "yellow_book"),
    ("chefmate_8_frypan", "moka_pot"),
]


@pytest.fixture(scope="module")
def load():
    """Category -> the object as LIBERO loads it from the pack, under another name if asked."""
    libero_setup.use_assets(pack_path())
    from libero.libero.envs.objects import get_object_fn

    return lambda category, name=None: get_object_fn(category)(**({"name": name} if name else {}))


def _world(objects, poses):
    """A floor with the given LIBERO objects; poses are (position, quaternion) of each."""
    root = ET.fromstring(
        "<mujoco><compiler angle='radian'/><option timestep='0.002'/><visual><headlight ambient='.4 .4 .4'/></visual>"
        "<asset/><worldbody><geom name='floor' type='box' size='5 5 0.1' pos='0 0 -0.1' rgba='0 0 1 1' group='1'"
        " solref='0.001 1' solimp='0.998 0.998 0.001' friction='1 0.005 0.0001'/></worldbody></mujoco>"
    )
    for item in objects:
        root.find("asset").extend(item.asset)
        root.find("worldbody").append(item.get_obj())
    model = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    data = mujoco.MjData(model)
    for index, (position, quat) in enumerate(poses):
        data.qpos[7 * index : 7 * index + 7] = (*position, *quat)
    mujoco.mj_forward(model, data)
    return model, data


def _upright(data, index, quat):
    """Cosine of the angle between where the object's vertical was and is."""
    now, then = np.zeros(9), np.zeros(9)
    mujoco.mju_quat2Mat(now, data.qpos[7 * index + 3 : 7 * index + 7])
    mujoco.mju_quat2Mat(then, np.array(quat))
    return now.reshape(3, 3)[2] @ then.reshape(3, 3)[2]


def test_pack_has_every_movable_category_of_the_benchmark():
    assert {path.split("/")[1] for path in ASSETS} == set(FACTS)


@pytest.mark.parametrize("category", FACTS)
def test_placement_sites_and_mass_are_liberos(load, category):
    fact, item = FACTS[category], load(category)
    bottom, top, radius = fact.sites
    assert item.bottom_offset == pytest.approx([0, 0, bottom])
    assert item.top_offset == pytest.approx([0, 0, top])
    assert item.horizontal_radius == pytest.approx(radius)
    model, _ = _world([item], [((0, 0, 1), fact.quat)])
    assert model.body_mass.sum() == pytest.approx(fact.mass, rel=0.01)
    assert [model.joint(index).type[0] for index in range(model.njnt)] == [mujoco.mjtJoint.mjJNT_FREE]


def test_everything_stands_still_at_liberos_height(load):
    poses = [((0.5 * (i % 6), 0.5 * (i // 6), fact.rest + 0.005), fact.quat) for i, fact in enumerate(FACTS.values())]
    model, data = _world([load(category) for category in FACTS], poses)
    for _ in range(250):
        mujoco.mj_step(model, data)
    settled = data.qpos.copy()
    for _ in range(250):
        mujoco.mj_step(model, data)
    for index, (category, fact) in enumerate(FACTS.items()):
        here = slice(7 * index, 7 * index + 3)
        assert data.qpos[here][2] == pytest.approx(fact.rest, abs=REST_TOLERANCE), category
        assert np.linalg.norm(data.qpos[here][:2] - poses[index][0][:2]) < 0.003, category
        assert np.linalg.norm(data.qpos[here] - settled[here]) < 1e-4, f"{category} creeps"
        assert _upright(data, index, fact.quat) > np.cos(0.02), f"{category} leans"


@pytest.mark.parametrize("category", FACTS)
def test_contact_geometry_reaches_liberos_height_and_is_not_drawn(load, category):
    fact = FACTS[category]
    model, data = _world([load(category)], [((0, 0, fact.rest), fact.quat)])
    collides = (model.geom_contype > 0) & (model.geom_bodyid > 0)
    assert set(model.geom_group[collides]) == {0}
    assert set(model.geom_group[~collides]) == {1}
    highest = max(_corners(model, data, geom)[:, 2].max() for geom in np.flatnonzero(collides))
    assert highest == pytest.approx(fact.top, abs=0.002)


def _corners(model, data, geom):
    signs = np.array(list(itertools.product((-1, 1), repeat=3)))
    return data.geom_xpos[geom] + (signs * model.geom_size[geom]) @ data.geom_xmat[geom].reshape(3, 3).T


@pytest.mark.parametrize(("upper", "lower"), STACKS)
def test_stacks_hold(load, upper, lower):
    below, above = FACTS[lower], FACTS[upper]
    x, y, _ = rotate(above.quat, (*above.axis, 0))
    start = [((0, 0, below.rest + 0.001), below.quat), ((-x, -y, below.top + above.rest + 0.01), above.quat)]
    model, data = _world([load(lower, "lower"), load(upper, "upper")], start)
    for _ in range(400):
        mujoco.mj_step(model, data)
    assert _upright(data, 1, above.quat) > np.cos(np.radians(8))
    assert np.linalg.norm(data.qpos[7:9] - data.qpos[:2]) < 0.03, "LIBERO's On asks for less"
    assert np.linalg.norm(data.qvel[6:9]) < 0.02
    assert data.qpos[9] > above.rest + 0.004


@pytest.mark.parametrize("category", ["basket", "wooden_tray"])
def test_contain_region_lies_between_the_walls(load, category):
    fact = FACTS[category]
    model, data = _world([load(category)], [((0, 0, fact.rest), fact.quat)])
    site = model.site(f"{category}_contain_region").id
    assert model.site_type[site] == mujoco.mjtGeom.mjGEOM_BOX
    extent = np.abs(data.site_xmat[site].reshape(3, 3) @ model.site_size[site])
    corners = np.concatenate([_corners(model, data, geom) for geom in np.flatnonzero(model.geom_contype > 0)[1:]])
    assert (data.site_xpos[site] - extent > corners.min(axis=0) - 0.004).all()
    assert (data.site_xpos[site] + extent < corners.max(axis=0) + 0.004).all()


@pytest.mark.parametrize("group", LOOK_ALIKES, ids=lambda group: group[0])
def test_objects_one_could_confuse_have_their_own_colours(load, group):
    pictures = {category: _palette(load(category), FACTS[category]) for category in group}
    for one, other in itertools.combinations(group, 2):
        difference = np.abs(pictures[one] - pictures[other]).sum() / 2
        assert difference > 0.35, f"{one} and {other} share {1 - difference:.0%} of their colours"


def _palette(item, fact):
    """Share of each of 4 x 4 x 4 colours among the object's pixels, seen as small as in a benchmark image."""
    model, data = _world([item], [((0, 0, fact.rest), fact.quat)])
    camera = mujoco.MjvCamera()
    camera.lookat[:] = (0, 0, fact.top / 2)
    camera.distance, camera.azimuth, camera.elevation = 0.6, 180, -35
    with mujoco.Renderer(model, 128, 128) as renderer:
        options = mujoco.MjvOption()
        options.geomgroup[0] = 0
        renderer.update_scene(data, camera, options)
        image = renderer.render()
        renderer.enable_segmentation_rendering()
        renderer.update_scene(data, camera, options)
        geoms = renderer.render()[..., 0]
    pixels = image[(geoms > 0)] // 64
    assert len(pixels) > 100, "the object is not seen"
    counts = np.bincount(pixels @ [16, 4, 1], minlength=64)
    return counts / counts.sum()
