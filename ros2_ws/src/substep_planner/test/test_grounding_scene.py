"""What there is to name in a scene, and what plans call it."""

from __future__ import annotations

from substep_planner.decomposers.grounding.scene import Entity, entities_of, noun_for


def test_a_scene_has_things_their_parts_and_a_table():
    found = entities_of({"white_cabinet", "kitchen_table"})
    assert [entity.part for entity in found if entity.kind == "white_cabinet"] == [
        "", "top drawer", "middle drawer", "bottom drawer"
    ]  # fmt: skip
    assert Entity("table") in found and len(found) == 5


def test_a_noun_is_the_one_that_was_said_if_it_is_clear():
    two = frozenset({"akita_black_bowl", "white_bowl"})
    assert noun_for("akita_black_bowl", frozenset({"akita_black_bowl"}), "the bowl") == "bowl"
    assert noun_for("akita_black_bowl", two, "the bowl") == "black bowl"
    assert noun_for("akita_black_bowl", two, "the bowl", vague=True) == "bowl"
    assert noun_for("my_cup", two) == "my cup"
