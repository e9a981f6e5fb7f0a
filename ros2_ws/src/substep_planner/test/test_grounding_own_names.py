"""Things of one's own: a name in the scene may be said, whatever the embedded language model was taught."""

from __future__ import annotations

import pytest

from substep_core.errors import PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.grounding.decomposer import create
from substep_planner.decomposers.registry import DecomposerSettings

TOOLS = frozenset({"blue_block", "tool_box", "teapot", "parts_bin", "grey_tray"})
BENCH = frozenset({"screwdriver", "cardboard_box", "safety_goggles"})
CABINET = frozenset({"tool_cabinet", "pliers", "hex_key"})


@pytest.fixture(scope="module")
def grounding():
    return create(DecomposerSettings())


def planned(decomposer, text: str, scene: frozenset[str]) -> list[str]:
    plan = decomposer.decompose(PlanRequest(text, objects=scene)).plan
    return [step.instruction for step in plan.substeps]


@pytest.mark.parametrize(
    ("scene", "text", "moved", "place"),
    [
        (TOOLS, "put the blue block in the tool box", "blue block", "in the tool box"),
        (TOOLS, "put the blueblock on the gray tray", "blue block", "in the grey tray"),
        (TOOLS, "put the blue-block in the toolbox", "blue block", "in the tool box"),
        (TOOLS, "put the bleu blokc in the parts bin", "blue block", "in the parts bin"),
        (TOOLS, "please move the tea pot onto the tray", "teapot", "in the grey tray"),
        (BENCH, "put the screw driver in the cardbord box", "screwdriver", "in the cardboard box"),
        (BENCH, "place the safety-goggles in the box", "safety goggles", "in the cardboard box"),
    ],
)
def test_names_are_understood_as_people_write_them(grounding, scene, text, moved, place):
    assert planned(grounding, text, scene) == [f"pick up the {moved}", f"place the {moved} {place}"]


@pytest.mark.parametrize(
    ("scene", "text", "moved"),
    [
        (TOOLS, "put the azure cube in the parts bin", "blue block"),
        (TOOLS, "put the kettle on the tray", "teapot"),
        (BENCH, "put the protective glasses in the carton", "safety goggles"),
        (CABINET, "put the allen key in the lower drawer", "hex key"),
    ],
)
def test_other_words_for_them_are_known_by_their_meaning(grounding, scene, text, moved):
    assert planned(grounding, text, scene)[0] == f"pick up the {moved}"


@pytest.mark.parametrize(
    ("scene", "text"),
    [
        (TOOLS, "put the vase on the tray"),
        (TOOLS, "put the red block in the parts bin"),
        (BENCH, "put the hammer in the box"),
        (CABINET, "put the banana in the top drawer"),
    ],
)
def test_what_is_another_thing_is_not_there(grounding, scene, text):
    with pytest.raises(PlanningError, match="the scene has no"):
        planned(grounding, text, scene)


def test_plurals_are_several_and_a_thing_may_only_be_lifted(grounding):
    assert planned(grounding, "put the blue blocks in the parts bin", TOOLS) == [
        "pick up the left blue block", "place the left blue block in the parts bin",
        "pick up the right blue block", "place the right blue block in the parts bin",
    ]  # fmt: skip
    assert planned(grounding, "pick up the teapot", TOOLS) == ["pick up the teapot"]


def test_drawers_of_ones_own_cabinet_are_known_by_every_word_for_their_side(grounding):
    assert planned(grounding, "open the central drawer", CABINET) == ["open the middle drawer of the tool cabinet"]
    assert planned(grounding, "open the lower drawer of the cabinet and put the pliers inside", CABINET) == [
        "open the bottom drawer of the tool cabinet",
        "pick up the pliers",
        "place the pliers in the bottom drawer of the tool cabinet",
    ]


def test_the_middle_one_may_be_the_center_or_centre_one(grounding):
    bowls = frozenset({"akita_black_bowl", "plate"})
    for word in ("middle", "center", "centre", "central"):
        assert planned(grounding, f"put the {word} bowl on the plate", bowls) == [
            "pick up the bowl in the middle", "place the bowl on the plate"
        ]  # fmt: skip


def test_a_suites_plans_decide_which_noun_is_used(grounding):
    request = PlanRequest(
        "put the bowl on the plate", "libero_spatial", objects=frozenset({"akita_black_bowl", "plate"})
    )
    assert grounding.decompose(request).plan.substeps[0].instruction == "pick up the black bowl"
