"""A package that is only installed adds one of each kind, in this process and in the nodes of a graph."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource
from substep_bringup.checked_config import CheckedGraphConfig
from substep_bringup.graph_config import GraphConfig
from substep_core.configuration import dump, parse
from substep_core.contract import load_robot
from substep_core.tasks import task_source
from substep_planner.completion.registry import SCORERS, CompletionSettings, load_scorer
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.registry import DECOMPOSERS, DecomposerSettings, load_decomposers
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.registry import POLICIES, PolicySettings
from tests import outside
from tests.probe import Goal
from tests.running_graph import SMALL
from training.data.readers import ReadReport, read_demonstrations
from training.train.config import DataConfig

pytestmark = pytest.mark.xdist_group("outside")
INSTRUCTION = "put the alphabet soup in the basket"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(outside.install(tmp_path))


def test_policies_decomposers_scorers_and_rules_of_a_package_are_found(installed):
    assert POLICIES.load("still", PolicySettings(seed=5)).seed == 5
    (decomposer,) = load_decomposers(("two_steps",), DecomposerSettings())
    plan = decomposer.decompose(PlanRequest(INSTRUCTION, "")).plan
    assert [step.instruction for step in plan.substeps][0] == "pick up the alphabet soup"
    assert load_scorer("darkness", CompletionSettings()).score({"agentview": np.zeros((2, 2, 3))}, 0) == 1.0
    assert not make_switch_rule("trusting").uses_vision
    assert {"two_steps", "rules"} <= set(DECOMPOSERS.names) and {"darkness", "compact"} <= set(SCORERS.names)
    with pytest.raises(ValueError, match=r"rules \(substep_planner .*two_steps \(outside 1.0\)"):
        DECOMPOSERS.check("three_steps")


def test_a_task_source_of_a_package_is_found_and_its_tasks_are_not_for_liberos_world(installed):
    task = task_source("shelf").task("shelf", 1)
    assert (task.instruction, task.category, task.difficulty) == ("take the lid", "reach", 2)
    assert CheckedGraphConfig(tasks_from="shelf", suite="shelf", task=1, policy="still", init_state=3).task == 1
    with pytest.raises(ValueError, match="task 2 is not one of shelf, expected one of these:\n   0  take the box"):
        CheckedGraphConfig(tasks_from="shelf", suite="shelf", task=2, policy="still")
    with pytest.raises(ValueError, match="tasks of 'shelf' are for another world: 'take_the_box' has no BDDL file"):
        Simulation(SimulationConfig("shelf", 0, tasks_from="shelf"))


def test_demonstrations_in_a_format_of_a_package_are_read(installed, tmp_path: Path):
    (tmp_path / "stand.txt").write_text("3")
    source = {"type": "text_files", "path": str(tmp_path), "collection": "mine"}
    config = parse(DataConfig, {"sources": [source], "cache": "c"}, "training.yaml")
    (demo,) = read_demonstrations(config.sources, load_robot("libero_panda"), ReadReport())
    assert (demo.key, len(demo)) == ("mine:texts/stand/episode_0", 3)
    assert dump(config)["sources"] == [source | {"labels": None}]
    assert parse(DataConfig, dump(config), "again") == config
    for wrong, message in (
        ({"type": "text_files", "collection": "mine"}, "training.yaml: sources.0.path is missing"),
        (source | {"depth": 3}, "sources.0.depth is not a known key"),
        (source | {"type": "scrolls"}, r"unknown data reader 'scrolls': expected one of .*text_files \(outside 1.0\)"),
        ({"path": "x"}, "a source needs a type: one of bag"),
    ):
        with pytest.raises(ValueError, match=message):
            parse(DataConfig, {"sources": [wrong], "cache": "c"}, "training.yaml")


@pytest.fixture(scope="module")
def graph(start_graph, tmp_path_factory):
    """Every node finds the package; the task is LIBERO's soup, told in other words and moved, in a folder."""
    folder, package = tmp_path_factory.mktemp("tasks"), outside.install(tmp_path_factory.mktemp("package"))
    bddl = LiberoSource().task("libero_object", 0).bddl_file.read_text()
    region = "(-0.145 -0.265 -0.095 -0.215)"
    assert region in bddl
    (folder / "moved").mkdir()
    changed = bddl.replace(region, "(-0.125 -0.245 -0.075 -0.195)")
    (folder / "moved" / "soup.bddl").write_text(
        changed.replace("Pick the alphabet soup and place it in the basket", INSTRUCTION)
    )
    (folder / "moved" / "unchanged.bddl").write_text(bddl)
    config = GraphConfig(tasks_from=str(folder), suite="moved", task=0, policy="demonstrator", image_size=SMALL)
    planner = {"decomposers": ["two_steps"], "switch_rule": "trusting"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{package}{os.pathsep}{os.environ['PYTHONPATH']}")
        return start_graph(config, parameters={"planner": planner}).bring_up()


def test_a_task_from_a_folder_is_done_by_a_plan_and_a_rule_of_a_package(graph):
    assert graph.probe.reset(init_state=7).instruction == INSTRUCTION
    goal = Goal(graph.probe, "")
    result = goal.result(timeout=120.0)
    assert result.success, result.message
    assert result.plan_source == "two_steps"
    assert graph.probe.reset(task_index=1).instruction == "pick the alphabet soup and place it in the basket"
