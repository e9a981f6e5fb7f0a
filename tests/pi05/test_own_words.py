"""A toy π0.5's own words in evaluations: its substeps, its judgement of others', and words that will not do.

Every prompt is answered alike, so what happens follows from the words alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from substep_core.errors import ErrorCode
from tests.pi05.toy_checkpoint import write_talker
from training.evaluation.episodes import EpisodeKey
from training.evaluation.in_process import InProcessPlayer
from training.evaluation.own_words import own_words
from training.evaluation.settings import CompletionChoice, EpisodeSettings

SUITE, TASK = "libero_object", 0
PICK, PLACE = "pick up the alphabet soup", "place the alphabet soup in the basket"
SETTINGS = EpisodeSettings(horizon=30, image_size=(32, 32), device="cpu", empty_width=0, retries=0, replans=0)
pytestmark = pytest.mark.xdist_group("eval")


@pytest.fixture
def play(tmp_path) -> Callable[..., dict[str, Any]]:
    """``play(words, probe, rule, …)``: the record of an episode with a policy that always says these."""

    def play(words: str, probe: str, rule: str = "eos", **settings: Any) -> dict[str, Any]:
        told = dataclasses.replace(
            SETTINGS, policy=str(write_talker(tmp_path / f"says {words} {rule} {probe}", words)), **settings
        )
        player = InProcessPlayer(told, SUITE, TASK, tmp_path)
        try:
            return player.play(EpisodeKey(SUITE, TASK, probe, rule, "benchmark", 0), filmed=False)
        finally:
            player.close()

    return play


def instructions(record: dict[str, Any]) -> list[str]:
    return [substep["instruction"] for substep in record["substeps"]]


def test_its_words_are_the_substeps_until_they_repeat_themselves(play):
    record = play(PICK, "own_subtasks")
    assert instructions(record) == [PICK] * 3 and record["plan_source"] == "policy"
    assert record["error"] == ErrorCode.INVALID_PLAN.name
    assert f"the policy says {PICK!r}, which was done 3 times already" in record["message"]
    assert record["reference"] == [PICK, PLACE]
    found = own_words([record])
    assert (found["named"], found["in_place"], found["whole_plans"]) == (1, 1, 0)


def test_a_thing_that_is_not_there_ends_the_task_or_leaves_it_to_the_next_decomposer(play):
    record = play("pick up the mug", "own_subtasks")
    assert (record["substeps"], record["error"], record["steps"]) == ([], ErrorCode.INVALID_PLAN.name, 0)
    assert "the policy says 'pick up the mug', and the scene has no mug" in record["message"]
    record = play("pick up the mug", "policy", decomposers=("policy", "library"))
    assert instructions(record) == [PICK, PLACE] and record["plan_source"].endswith("(after policy)")


def test_a_substep_is_done_when_it_names_another_one(play):
    """The plan is the library's: its first substep is not what the policy names, its second is."""
    judge = CompletionChoice(scorer="policy", frames=1, threshold=0.1)  # a toy is sure of nothing
    record = play(PLACE, "policy", "vision", completion=judge)
    assert instructions(record) == [PICK, PLACE]
    first, last = record["substeps"]
    assert (first["ended"], first["advanced"], last["advanced"]) == ("vision", True, False)
    assert first["steps"] < last["steps"]
