"""Phrases of the instructions must find the objects, places and moving parts that a person would point at."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.language.phrases import Thing, make_place, read_thing
from substep_core.scene import SceneJoint, SceneObject, SceneRegion, SceneState
from substep_demonstrator.destinations import find_destination
from substep_demonstrator.grounding import find_joint, find_object

UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


def thing(name: str, position: tuple[float, float, float], size=(0.1, 0.1, 0.05), movable: bool = True) -> SceneObject:
    """Standing on its origin."""
    half = np.array(size) / 2
    lower, upper = np.array([-half[0], -half[1], 0.0]), np.array([half[0], half[1], size[2]])
    return SceneObject(name, name.rsplit("_", 1)[0], movable, np.array(position), UPRIGHT, lower, upper)


def scene_of(*things: SceneObject, joints=(), regions=(), grasped=()) -> SceneState:
    return SceneState(
        objects={each.name: each for each in things},
        joints={joint.name: joint for joint in joints},
        regions={region.name: region for region in regions},
        grasped=frozenset(grasped),
        predicates={},
    )


def region(name: str, owner: str, position: tuple[float, float, float], half=(0.05, 0.05, 0.05)) -> SceneRegion:
    return SceneRegion(name, owner, np.array(position), UPRIGHT, np.array(half))


@pytest.fixture
def spatial() -> SceneState:
    """Two bowls: one between plate and ramekin, one on the cookie box; a cabinet with an open top drawer."""
    cabinet = thing("wooden_cabinet_1", (0.0, -0.4, 0.9), (0.25, 0.2, 0.22), movable=False)
    drawer = SceneJoint(
        "wooden_cabinet_1_top_level",
        "wooden_cabinet_1",
        -0.15,
        cabinet.position,
        np.array([0.0, -1.0, 0.0]),
        cabinet.position,
        UPRIGHT,
        np.array([-0.1, -0.05, 0.15]),
        np.array([0.1, 0.15, 0.22]),
    )
    return scene_of(
        thing("akita_black_bowl_1", (-0.05, 0.1, 0.9)),
        thing("akita_black_bowl_2", (0.2, 0.0, 0.92)),
        thing("cookies_1", (0.2, 0.0, 0.9), (0.12, 0.12, 0.02)),
        thing("plate_1", (0.05, 0.2, 0.9), (0.14, 0.14, 0.02)),
        thing("glazed_rim_porcelain_ramekin_1", (-0.15, 0.0, 0.9)),
        cabinet,
        joints=[drawer],
        regions=[region("wooden_cabinet_1_top_region", "wooden_cabinet_1", (0.0, -0.25, 1.08))],
    )


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("the black bowl between the plate and the ramekin", "akita_black_bowl_1"),
        ("the black bowl next to the ramekin", "akita_black_bowl_1"),
        ("the black bowl on the cookie box", "akita_black_bowl_2"),
        ("the black bowl at the front", "akita_black_bowl_2"),
        ("the left bowl", "akita_black_bowl_2"),
        ("the bowl on the right", "akita_black_bowl_1"),
        ("the ramekin", "glazed_rim_porcelain_ramekin_1"),
    ],
)
def test_a_phrase_finds_what_it_means(spatial: SceneState, phrase: str, name: str) -> None:
    assert find_object(spatial, read_thing(phrase)).name == name


def test_an_instances_own_name_means_it(spatial: SceneState) -> None:
    assert find_object(spatial, Thing("akita_black_bowl_2")).name == "akita_black_bowl_2"


def test_an_ambiguous_phrase_names_the_candidates(spatial: SceneState) -> None:
    with pytest.raises(ValueError, match="akita_black_bowl_1, akita_black_bowl_2"):
        find_object(spatial, read_thing("the black bowl"))


def test_a_missing_object_is_named_with_what_there_is(spatial: SceneState) -> None:
    with pytest.raises(ValueError, match="no 'wine bottle'.*plate_1"):
        find_object(spatial, read_thing("the wine bottle"))


def test_an_unknown_noun_is_named(spatial: SceneState) -> None:
    with pytest.raises(ValueError, match="'teapot' names nothing known"):
        find_object(spatial, read_thing("the teapot"))


def test_the_drawer_is_the_joint_of_its_level(spatial: SceneState) -> None:
    assert find_joint(spatial, read_thing("the top drawer of the cabinet")).name == "wooden_cabinet_1_top_level"
    with pytest.raises(ValueError, match="0 moving parts"):
        find_joint(spatial, read_thing("the bottom drawer of the cabinet"))


def test_a_place_in_a_drawer_is_its_region(spatial: SceneState) -> None:
    bowl = spatial.objects["akita_black_bowl_1"]
    found = find_destination(spatial, make_place("in", read_thing("the top drawer of the cabinet")), bowl)
    assert (found.name, found.relation) == ("wooden_cabinet_1_top_region", "in")


def test_beside_an_object_is_a_free_spot_on_that_side(spatial: SceneState) -> None:
    bowl, plate = spatial.objects["akita_black_bowl_1"], spatial.objects["plate_1"]
    found = find_destination(spatial, make_place("to the right of", read_thing("the plate")), bowl)
    assert found.area.position[1] > plate.position[1] + 0.12


def test_on_a_plate_holds_within_liberos_tolerance(spatial: SceneState) -> None:
    place = find_destination(spatial, make_place("on", read_thing("the plate")), spatial.objects["akita_black_bowl_1"])
    assert place.holds(spatial, thing("akita_black_bowl_1", (0.06, 0.21, 0.91)))
    assert not place.holds(spatial, thing("akita_black_bowl_1", (0.05, 0.24, 0.91)))
