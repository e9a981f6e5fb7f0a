"""LIBERO-PRO's tasks: composed from its tables, read from its folders, and what is wrong in the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from libero_bridge.derived_bddl import object_categories, problem_name
from libero_bridge.libero_setup import import_libero
from libero_bridge.pro.appearance import Appearance, appearance_of, vary
from libero_bridge.pro.compose import in_living_room, swapped, with_other_objects
from libero_bridge.pro.source import create
from libero_bridge.pro.tables import balanced
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource
from substep_core.tasks import Stratum, task_source

SOURCE = LiberoSource()
BOWL = SOURCE.task("libero_goal", 8)  # put the bowl on the plate
TEXT = BOWL.bddl_file.read_text()
ENTRIES = {
    "object": {"akita_black_bowl": ["red_bowl"], "milk": ["yellow_milk"]},
    "spatial_relation": {"akita_black_bowl_1": ["milk_1", "wine_bottle_1"]},
    "language": ["set the bowl down on the plate"],
    "task": {"Put the Bottle on the plate": {"goal": "(On wine_bottle_1 plate_1))", "obj_of_interest": ["plate_1"]}},
    "environment": ["main_table"],
}


def write_tables(folder: Path) -> None:
    """PRO's five tables, each with the same for all tasks."""
    for name, entry in ENTRIES.items():
        content = {suite: dict.fromkeys(SOURCE.names(suite), entry) for suite in SOURCE.default_suites}
        (folder / f"ood_{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pro")
    write_tables(folder)
    return folder


def task(folder: Path, suffix: str):
    return task_source(f"libero_pro:{folder}").task(f"libero_goal_{suffix}", 8)


def test_there_are_twenty_cells_of_ten_tasks(folder: Path):
    source = task_source(f"libero_pro:{folder}")
    assert len(source.suites) == 20 and source.suites[0] == "libero_spatial_object"
    assert source.names("libero_goal_swap") == SOURCE.names("libero_goal")
    assert source.playable("libero_goal_swap") == dict.fromkeys(range(10), Stratum("Position"))
    assert (len(source.splits["evaluation"].init_states), task(folder, "lan").base) == (20, ("libero_goal", BOWL.name))


def test_the_instruction_is_the_files_and_other_words_change_nothing_else(folder: Path):
    told = task(folder, "lan")
    assert (told.instruction, told.variant) == ("set the bowl down on the plate", "")
    assert np.array_equal(told.init_states(), BOWL.init_states())
    assert task(folder, "object").instruction == "put the bowl on the plate"


def test_another_task_has_its_goal_mended_and_says_so(folder: Path):
    other = task(folder, "task")
    assert (other.instruction, other.variant) == ("put the bottle on the plate", "goal's parentheses mended")
    text = other.bddl_file.read_text()
    assert "(And (On wine_bottle_1 plate_1))" in text and text.count("(") == text.count(")")
    assert "akita_black_bowl_1 plate_1" not in text


@pytest.mark.parametrize(
    ("goal", "mended"),
    [
        ("(And (On a b))", "(And (On a b))"),
        ("(On a b))", "(And (On a b))"),
        ("And (Turnon a) (On b c))", "(And (Turnon a) (On b c))"),
    ],
)
def test_goals_are_balanced(goal: str, mended: str):
    assert balanced(goal) == mended


def test_an_object_becomes_another_and_one_that_is_absent_is_named(folder: Path):
    other = task(folder, "object")
    assert other.variant == "embedded, milk is not in the scene, start drawn"
    assert object_categories(other.bddl_file.read_text())["akita_black_bowl_1"] == "white_bowl"
    simulation = Simulation(
        SimulationConfig("libero_goal_object", 8, tasks_from=f"libero_pro:{folder}", image_size=(64, 64))
    )
    image = simulation.reset(0, 0).images["agentview"].astype(int)
    simulation.close()
    red = (image[..., 0] > 1.8 * image[..., 1]) & (image[..., 0] > 1.8 * image[..., 2])
    plain = Simulation(SimulationConfig("libero_goal", 8, image_size=(64, 64)))
    before = plain.reset(0, 0).images["agentview"].astype(int)
    plain.close()
    was_red = (before[..., 0] > 1.8 * before[..., 1]) & (before[..., 0] > 1.8 * before[..., 2])
    assert red.sum() > was_red.sum() + 8


def test_two_kinds_of_objects_that_become_one_are_declared_together():
    """LIBERO's parser keeps the last line of a category alone: the others' instances would be missing in the scene."""
    assert TEXT.count("- plate") == 1
    made = with_other_objects(TEXT, {"akita_black_bowl": ["plate"]}, ("plate",))
    assert made.text.count("- plate") == 1
    categories = object_categories(made.text)
    assert categories["akita_black_bowl_1"] == categories["plate_1"] == "plate"
    assert set(categories) == set(object_categories(TEXT))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plate", Appearance("plate")),
        ("yellow_plate", Appearance("bowl", "yellow")),
        ("bigger_bowl", Appearance("white_bowl", scale=1.2)),
        ("white_mug", Appearance("mug")),
        ("short_thing", None),
    ],
)
def test_what_stands_in_for_a_replacement(name: str, shown: Appearance | None):
    known = ("plate", "mug") if name != "yellow_plate" else ("mug",)
    assert appearance_of(name, "bowl", known) == shown


def test_a_bigger_object_is_bigger_in_all_its_parts():
    xml = """<mujoco><asset><mesh name="m" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset><worldbody>
        <body name="a_1_main"><geom name="g" type="box" size=".1 .2 .3" pos=".1 0 0" group="1"/>
        <geom type="mesh" mesh="m" group="1"/></body></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(vary(xml, {"a_1": Appearance("a", "red", 1.2)}))
    assert np.allclose(model.geom("g").size, (0.12, 0.24, 0.36)) and np.allclose(model.geom("g").pos, (0.12, 0, 0))
    edges = np.linalg.norm(model.mesh_vert[:, None] - model.mesh_vert, axis=-1)  # MuJoCo turns a mesh to its own axes
    assert edges.max() == pytest.approx(1.2 * 2**0.5, rel=1e-5)
    assert np.allclose(model.geom("g").rgba, (0.75, 0.12, 0.10, 1))
    with pytest.raises(ValueError, match="the model has no body b_1_main"):
        vary(xml, {"b_1": Appearance("b")})


def test_things_change_places_and_the_same_ones_every_time(folder: Path):
    made = swapped(TEXT, ENTRIES["spatial_relation"])
    assert "(On akita_black_bowl_1 main_table_wine_bottle_region)" in made.text
    assert "(On wine_bottle_1 main_table_akita_black_bowl_region)" in made.text
    assert made.text == swapped(TEXT, ENTRIES["spatial_relation"]).text
    assert swapped(TEXT, {"milk_1": ["plate_1"]}).notes == ("nothing to swap with",)
    simulation = Simulation(SimulationConfig("libero_goal_swap", 8, tasks_from=f"libero_pro:{folder}", render=False))
    plain = Simulation(SimulationConfig("libero_goal", 8, render=False))
    moved, before = (world.reset(0, 0) and world.scene().objects for world in (simulation, plain))
    for now, then in (("akita_black_bowl_1", "wine_bottle_1"), ("wine_bottle_1", "akita_black_bowl_1")):
        assert np.allclose(moved[now].position[:2], before[then].position[:2], atol=0.05)
    simulation.close()
    plain.close()


def test_another_environment_is_the_living_room_and_tasks_of_it_stay(folder: Path):
    other = task(folder, "env")
    assert problem_name(other.bddl_file.read_text()) == "LIBERO_Living_Room_Tabletop_Manipulation"
    simulation = Simulation(SimulationConfig("libero_goal_env", 8, tasks_from=f"libero_pro:{folder}", render=False))
    simulation.reset(0, 0)
    assert simulation.workspace_origin[2] == pytest.approx(0.41)
    simulation.close()
    again = in_living_room(other.bddl_file.read_text(), ["main_table"])
    assert again.notes == ("in the living room already",)


def test_pros_own_files_are_taken_where_they_are(tmp_path: Path):
    own = tmp_path / "bddl_files" / "libero_goal_swap"
    states = tmp_path / "init_files" / "libero_goal_swap"
    own.mkdir(parents=True)
    states.mkdir(parents=True)
    (own / f"{BOWL.name}.bddl").write_text(TEXT.replace("Put the bowl on the plate", "Put it there"))
    np.save(states / f"{BOWL.name}.npy", BOWL.init_states()[:3])
    source = create(tmp_path)
    assert source.suites == ("libero_goal_swap",)
    found = source.task("libero_goal_swap", 8)
    assert (found.instruction, found.variant, len(found.init_states())) == ("put it there", "", 3)
    with pytest.raises(ValueError, match=r"libero_goal_swap task 0 of LIBERO-PRO cannot be played: there is no"):
        source.task("libero_goal_swap", 0)


def test_what_is_wrong_in_pros_own_files_is_mended_and_said(tmp_path: Path):
    """As its script leaves them: a table's goal is put between "(:goal" and its end as it is."""
    import_libero()
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    own = tmp_path / "liberopro" / "liberopro" / "bddl_files" / "libero_goal_task"
    own.mkdir(parents=True)
    goal = TEXT[TEXT.index("(:goal") :]
    for index, wrong in (
        (8, "(:goal\n    (On wine_bottle_1 plate_1))\n  )\n\n)\n"),
        (2, "(:goal\n    And (Turnon stove_1) (On wine_bottle_1 plate_1))\n  )\n\n)\n"),
        (3, "(:goal\n    (And (On wine_bottle_1 plate_1)\n  )\n\n)\n"),
        (4, None),
    ):
        plain = SOURCE.task("libero_goal", index)
        changed = plain.bddl_file.read_text() if wrong is None else TEXT.replace(goal, wrong)
        (own / f"{plain.name}.bddl").write_text(changed)
    source = create(tmp_path)
    assert source.suites == ("libero_goal_task",)
    assert list(source.playable("libero_goal_task")) == [2, 3, 4, 8]
    for index, expected in (
        (8, [["on", "wine_bottle_1", "plate_1"]]),
        (2, [["turnon", "stove_1"], ["on", "wine_bottle_1", "plate_1"]]),
        (3, [["on", "wine_bottle_1", "plate_1"]]),
    ):
        mended = source.task("libero_goal_task", index)
        assert mended.variant == "goal's parentheses mended, start drawn"
        assert robosuite_parse_problem(str(mended.bddl_file))["goal_state"] == expected
    assert source.task("libero_goal_task", 4).variant == "as the plain task, start drawn"


def test_tables_that_do_not_fit_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="is no folder of LIBERO-PRO"):
        create(tmp_path)
    write_tables(tmp_path)
    (tmp_path / "ood_task.yaml").write_text("libero_goal: {other: {}}")
    with pytest.raises(ValueError, match=r"ood_task.yaml does not fit libero_goal task 'put_the_bowl_on_the_plate'"):
        create(tmp_path).task("libero_goal_task", 8)
    (tmp_path / "ood_language.yaml").write_text("[]")
    with pytest.raises(ValueError, match="ood_language.yaml holds a list, expected a table of LIBERO-PRO's"):
        replace(create(tmp_path)).task("libero_goal_lan", 8)
