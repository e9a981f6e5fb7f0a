"""Counting what people say and is planned right."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from typing import get_args

import pytest

from substep_cli.grammar import main
from substep_cli.train import Language
from substep_planner.decomposers.grounding.decomposer import LANGUAGES, create, shipped_reader
from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.library import LibraryDecomposer, shipped_library
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.rules import RulesDecomposer, plan_by_rules
from training.bench.sayings import (
    categories,
    everyday_sayings,
    manners_sayings,
    own_sayings,
    plus_sayings,
    pro_sayings,
    translated_sayings,
)
from training.bench.understanding import judge, same_motions, without_suite
from training.planner.calibration import calibration_error, reliability
from training.planner.left_out import is_a_task, kinds_of
from training.planner.sentences import Sentences

PLUS_TASKS = ("put_the_bowl_on_the_plate", "put_the_bowl_on_the_stove")
RULES = (LibraryDecomposer(shipped_library()), RulesDecomposer())


@pytest.fixture(scope="module")
def sayings():
    return list(own_sayings())


def test_all_instructions_are_planned_right_and_200_sentences_are_refusals(sayings):
    instructions = [saying for saying in sayings if saying.source == "instructions"]
    assert len(instructions) == 130 and {judge(saying, RULES).verdict for saying in instructions} == {"right"}
    refusals = [saying for saying in sayings if saying.refused]
    assert len({(saying.suite, saying.text) for saying in refusals}) == 200


def test_a_scene_decides_what_a_noun_means(sayings):
    scene = categories(next(s.task for s in sayings if s.suite == "libero_goal"))
    assert {"akita_black_bowl", "wine_rack", "flat_stove"} <= scene
    bowl, black = plan_by_rules("put the bowl on the stove"), plan_by_rules("put the black bowl on the stove")
    assert same_motions(bowl, black, scene)
    assert not same_motions(bowl, black, scene | {"white_bowl"})
    assert not same_motions(bowl, plan_by_rules("put the bowl on the plate"), scene)


def test_wrong_right_and_refused_are_told_apart(tmp_path):
    pro = tmp_path / "pro.yaml"
    pro.write_text(
        "libero_goal:\n  put_the_bowl_on_the_plate:\n    - set the bowl on the plate\n    - set the bowl on the stove\n"
        "    - eat: soup\n"
    )
    assert [judge(saying, RULES).verdict for saying in pro_sayings(pro)] == ["right", "wrong", "refused"]


def test_the_tasks_of_libero_plus_are_in_two_halves(tmp_path):
    with pytest.raises(ValueError, match="SUITE/TASK_language_N.bddl"):
        list(plus_sayings(tmp_path))
    (tmp_path / "libero_goal").mkdir()
    for name in PLUS_TASKS:
        (tmp_path / "libero_goal" / f"{name}_language_1.bddl").write_text(f"(:language {name.replace('_', ' ')})")
    assert [(saying.text, saying.half) for saying in plus_sayings(tmp_path)] == [
        ("put the bowl on the plate", "first"), ("put the bowl on the stove", "second")
    ]  # fmt: skip


def test_the_command_writes_figures_and_sentences(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert main(["bench", "understanding", "--decomposers", "library", "rules", "--json", str(file)]) == 0
    rows = {(row["source"], row["suite"]): row for row in json.loads(file.read_text())["rows"]}
    assert rows["must be refused", "all"]["wrong"] <= 2 and rows["instructions", "all"]["right"] == 130
    assert "a sentence: median" in capsys.readouterr().out


def test_the_shipped_model_is_made_by_its_command_and_understands_what_it_should(tmp_path, sayings):
    assert get_args(Language) == LANGUAGES, "every one that is read can be made"
    made = tmp_path / "es.json"  # the smallest: all are made in the same way
    assert main(["train", "planner", "--language", "es", "--out", str(made)]) == 0
    shipped = files("substep_planner") / "data" / "grounding"
    assert made.read_bytes() == (shipped / "es.json").read_bytes()
    grounding = create(DecomposerSettings())
    verdicts = Counter((saying.source, judge(saying, (*RULES[:1], grounding)).verdict) for saying in sayings)
    assert verdicts["must be refused", "wrong"] == verdicts["own wordings", "wrong"] == 0
    assert verdicts["own wordings", "right"] >= 120


def test_everyday_speech_is_planned_as_meant_or_asked_about():
    said = list(everyday_sayings())
    assert len({saying.text for saying in said}) == 160 and sum(saying.refused for saying in said) == 30
    decomposers = (RULES[0], create(DecomposerSettings()), RULES[1])
    verdicts = Counter((saying.refused, judge(saying, decomposers).verdict) for saying in said)
    assert verdicts[True, "right"] == 30 and verdicts[False, "wrong"] == 0 and verdicts[False, "right"] >= 115


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_liberos_tasks_are_understood_in_other_languages(language):
    decomposers = (*RULES[:1], create(DecomposerSettings()))
    said = [saying for saying in translated_sayings() if saying.source == f"in {language}"]
    verdicts = Counter(judge(saying, decomposers).verdict for saying in said)
    assert len(said) == 40 and verdicts["right"] >= 36 and verdicts["wrong"] == 0


def test_a_suite_that_is_left_out_leaves_no_word_for_its_things_and_what_can_be_switched():
    things = kinds_of("libero_goal")
    assert {"wine_bottle", "wooden_cabinet", "plate"} <= things and "flat_stove" not in things
    shipped = shipped_reader("en")
    assert shipped.speller.knows("churned") and not without_suite("libero_object").speller.knows("churned")


def test_eighty_sentences_of_people_of_several_manners_are_in_their_scenes():
    said = list(manners_sayings())
    assert len({saying.text for saying in said}) == 80 and sum(saying.refused for saying in said) == 20


def test_how_right_it_is_at_every_score_is_told():
    bins = reliability([(0.1, False), (0.2, True), (0.6, True), (1.0, True)])
    assert [(low, high, number) for low, high, number, _, _ in bins] == [(0.0, 0.25, 2), (0.5, 0.75, 1), (0.97, 1.0, 1)]
    assert bins[0][3:] == (pytest.approx(0.15), 0.5)
    assert calibration_error(bins) == pytest.approx((2 * 0.35 + 0.4) / 4)


def test_no_training_sentence_asks_for_a_task_that_it_is_measured_on():
    milk, basket = Entity("milk"), Entity("basket")
    assert is_a_task((Step("put", milk, preposition="in", place=basket),))
    assert not is_a_task((Step("put", basket, preposition="on", place=milk),))
    drawn = Sentences(seed=1)
    examples = [drawn.draw() for _ in range(300)]
    assert all(len(example.words) == len(example.marks) for example in examples)
    assert {example.steps[0].action for example in examples} >= {"put", "push", "open", "turn on", "cannot"}
