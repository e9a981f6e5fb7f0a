"""What the acting policy is told under each probe, and what the plan says meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from training.data.paraphrases import training_wordings
from training.evaluation.episodes import EpisodeKey
from training.evaluation.in_process import InProcessPlayer
from training.evaluation.settings import EpisodeSettings

SUITE, TASK, INSTRUCTION = "libero_goal", 8, "put the bowl on the plate"
PLAN = ["pick up the bowl", "place the bowl on the plate"]
SETTINGS = EpisodeSettings(policy="demonstrator", horizon=4, empty_width=0)  # nobody heeds the fingers
pytestmark = pytest.mark.xdist_group("eval")


class Listener:
    """Keeps what it is told, and ends every substep at once."""

    name, requires_scene, cameras, device, dtype = "listener", False, (), "cpu", "float32"

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append((instruction, task))

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.zeros((1, 7), np.float32), eos_index=0)


@pytest.fixture(scope="module")
def listeners() -> list[Listener]:
    """The last of them is the policy that is loaded."""
    return []


@pytest.fixture(scope="module")
def player(tmp_path_factory, listeners) -> Iterator[InProcessPlayer]:
    playing = InProcessPlayer(
        SETTINGS, SUITE, TASK, tmp_path_factory.mktemp("videos"), lambda policy, settings: listeners[-1]
    )
    yield playing
    playing.close()


@pytest.fixture
def told(player: InProcessPlayer, listeners) -> Callable[..., tuple[list[tuple[str, str]], list[str]]]:
    """``told(probe, number)``: what the policy is told, (substep, task) by turns, and the plan's own substeps."""

    def play(probe: str, number: int = 0) -> tuple[list[tuple[str, str]], list[str]]:
        listener = Listener()
        listeners.append(listener)
        record = player.play(EpisodeKey(SUITE, TASK, probe, "eos", "benchmark", number), filmed=False)
        assert record["steps"] > 0
        return listener.told, [substep["instruction"] for substep in record["substeps"]]

    return play


def test_the_policy_is_told_the_plans_substeps(told):
    assert told("policy") == ([(text, INSTRUCTION) for text in PLAN], PLAN)


def test_without_words_it_is_told_nothing_while_the_plan_goes_on(told):
    assert told("no_words") == ([("", ""), ("", "")], PLAN)


def test_other_wordings_are_no_trained_ones_and_change_with_the_episode(told):
    heard = []
    for number in range(2):
        words, plan = told("wordings", number)
        assert plan == PLAN and [task for _, task in words] == [INSTRUCTION] * 2
        for (text, _), own, thing in zip(words, PLAN, ("bowl", "plate"), strict=True):
            assert text != own and text not in training_wordings(own) and thing in text
        heard.append([text for text, _ in words])
    assert all(first != second for first, second in zip(*heard, strict=True))


def test_told_the_whole_task_it_has_one_substep(told):
    assert told("whole_task") == ([(INSTRUCTION, INSTRUCTION)], [INSTRUCTION])


def test_told_another_task_it_hears_that_tasks_substeps_and_nothing_of_its_own(told):
    words, plan = told("other_task")
    assert [text for text, _ in words] == plan == ["pick up the wine bottle", "place the wine bottle on the rack"]
    assert all("bowl" not in text and "plate" not in text for text, _ in words)
