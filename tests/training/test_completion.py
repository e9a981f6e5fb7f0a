"""The completion model on toy episodes: what it is shown, that it learns, resumes, is calibrated and measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from substep_cli.grammar import main
from substep_core.plan import Substep, steps_to_json
from substep_planner.completion.compact_model import CompletionConfig, load_completion_model
from substep_planner.completion.registry import CompletionSettings, load_scorer
from tests.training.toy import ROBOT
from training.completion.calibrate import calibrate, choose_threshold
from training.completion.frame_selection import (
    AFTER,
    EpisodeOutline,
    cut,
    failing_actions,
    frames_to_show,
    substep_to_fail,
)
from training.completion.frames import read_shown
from training.completion.pairs import PairTable, foreign_substeps, is_other
from training.completion.scores import RIGHT, SubstepScores, auroc, end_scores
from training.completion.train import CompletionTraining, train
from training.data.augmentation import Augmentation
from training.train.config import OptimizerConfig

PICK = Substep("pick up the milk", "the gripper holds the milk in the air")
PLACE = Substep("place the milk in the basket", "the milk is in the basket and the open gripper has moved away")
PICK_SOUP = Substep("pick up the alphabet soup", "the gripper holds the alphabet soup in the air")
PLACE_SOUP = Substep("place the alphabet soup in the basket", "the alphabet soup is in the basket")
OUTLINE = EpisodeOutline("libero_object", "milk", "episode_0", (PICK, PLACE), (29, 59))


def test_a_substep_is_done_from_the_frame_after_its_last_action():
    assert [OUTLINE.truth(frame, 0) for frame in (0, 25, 26, 28, 29, 30, 38, 39, 59, 60)] == [
        0.0, 0.0, 0.0, 0.5, 0.75, 1.0, 1.0, None, None, 0.0
    ]  # fmt: skip
    assert [OUTLINE.truth(frame, 1) for frame in (0, 30, 56, 60, 68, 69)] == [0.0, 0.0, 0.0, 1.0, 1.0, None]
    assert [OUTLINE.active(frame) for frame in (0, 29, 30, 59, 60, 80)] == [0, 0, 1, 1, 1, 1]


def test_nothing_is_done_in_a_substep_that_fails():
    failed = cut(OUTLINE, 0)
    assert failed.ends == (29,) and failed.substeps == (PICK,)
    assert {failed.truth(frame, 0) for frame in range(60)} == {0.0}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_frames_lie_in_the_episode_and_close_around_every_end(lengths):
    ends = tuple(np.cumsum(lengths) - 1)
    outline = EpisodeOutline("s", "t", "e", (PICK,) * len(ends), tuple(map(int, ends)))
    shown = frames_to_show(outline, "sparse")
    assert shown == sorted(set(shown)) and set(shown) <= set(frames_to_show(outline, "every"))
    assert frames_to_show(outline, "every") == list(range(ends[-1] + 2 + AFTER))
    assert all(any(0 <= outline.offset(frame, index) <= 1 for frame in shown) for index in range(len(ends)))


def test_a_failing_substep_leaves_the_gripper_as_it_was():
    actions = np.zeros((60, 7), np.float32)
    actions[:, -1] = np.r_[-np.ones(20), np.ones(30), -np.ones(10)]
    assert [substep_to_fail(ROBOT, OUTLINE, actions, draw) for draw in range(3)] == [0, 1, 0]
    assert (failing_actions(ROBOT, OUTLINE, actions, 0)[:, -1] == -1).all()
    assert (failing_actions(ROBOT, OUTLINE, actions, 1)[20:, -1] == 1).all()
    push = EpisodeOutline("s", "t", "e", (Substep("push the plate to the front of the stove", "it is there"),), (59,))
    assert substep_to_fail(ROBOT, push, actions, 0) is None


def test_negatives_with_other_words_are_surely_negative():
    both = (PICK, PLACE, PICK_SOUP, PLACE_SOUP)
    milk_on_plate = Substep("place the milk on the plate", "the milk is on the plate")
    assert foreign_substeps(PICK, (PICK, PLACE), both) == (PICK_SOUP,)
    assert foreign_substeps(PLACE, (PICK, PLACE), (*both, milk_on_plate)) == (PLACE_SOUP, milk_on_plate)
    assert foreign_substeps(PICK, both, both) == ()
    assert is_other(PLACE, PICK) and is_other(PICK, PICK_SOUP) and not is_other(PICK, PICK)
    white = [Substep(f"pick up the {name}", "held") for name in ("white mug", "yellow and white mug")]
    assert not is_other(*white), "a white mug may be said of both"


def test_auroc_is_the_chance_of_the_right_order():
    assert auroc([0.9, 0.8], [0.1, 0.2, 0.3]) == 1.0
    assert auroc([0.5, 0.5], [0.5]) == 0.5
    assert auroc([0.4, 0.8], [0.6]) == 0.5
    assert np.isnan(auroc([], [0.5]))


def scores(delay: int, failed: bool = False) -> SubstepScores:
    """Watched from 30 steps before the end; the score rises so that it is noticed ``delay`` steps after it."""
    offsets = np.arange(-30, AFTER + 1)
    return SubstepScores("s", np.where(offsets >= delay - 2, 0.8, 0.1), -30, failed)


def test_ends_are_noticed_right_early_late_or_not_at_all():
    figures = end_scores([scores(-20), scores(-RIGHT), scores(0), scores(RIGHT), scores(9), scores(99)], 0.5)
    assert (figures.substeps, figures.premature, figures.missed) == (6, 1 / 6, 1 / 6)
    assert (figures.mean_delay, figures.median_delay) == (9 / 4, 2.5)
    assert figures.f1 == 2 * 3 / (5 + 6)
    fooled = end_scores([scores(0), scores(0, failed=True), scores(99, failed=True)], 0.5)
    assert (fooled.fooled, fooled.premature, fooled.f1) == (0.5, 0.0, 2 / 3)


def test_the_threshold_is_the_middle_of_the_best():
    chosen = choose_threshold([scores(1), scores(2)]).chosen
    assert 0.3 < chosen.threshold < 0.6 and chosen.f1 == 1.0
    with pytest.raises(ValueError, match="no held-out substeps"):
        choose_threshold([scores(0, failed=True)])


def write_toy(folder: Path, count: int, density: str = "sparse") -> Path:
    """Episodes in which the second camera brightens when a pick is done and the first one when a placement is."""
    for number in range(count):
        random = np.random.default_rng(number)
        for failed in (None, number % 2):
            outline = EpisodeOutline("libero_object", "milk", f"episode_{number}", (PICK, PLACE), (29, 59))
            outline = outline if failed is None else cut(outline, failed)
            frames = frames_to_show(outline, density)
            images = random.integers(0, 60, (len(frames), 2, 16, 16, 3), np.uint8)
            for position, frame in enumerate(frames):
                for index, camera in enumerate((1, 0)[: len(outline.ends)]):
                    if outline.failed != index and outline.offset(frame, index) >= 0:
                        images[position, camera, 4:12, 4:12] += 190
            path = folder / "libero_object" / "milk" / f"episode_{number}{'' if failed is None else '_failed'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_suffix(".npy"), images)
            content = {"suite": outline.suite, "task": outline.task, "episode": outline.episode}
            content |= {"substeps": steps_to_json(outline.substeps), "ends": outline.ends, "failed": outline.failed}
            content |= {"cameras": ["agentview", "eye_in_hand"], "density": density, "frames": frames}
            path.with_suffix(".json").write_text(json.dumps(content))
    return folder


TINY = CompletionTraining(
    model=CompletionConfig(
        image_size=16,
        max_tokens=48,
        vision_widths=(8, 8, 8),
        vision_blocks=(1, 1),
        vocabulary_size=600,
        text_layers=1,
        width=16,
        heads=2,
        decoder_layers=1,
        dropout=0.0,
    ),
    optimizer=OptimizerConfig(learning_rate=5e-3, warmup_steps=5, batch_size=32),
    augmentation=Augmentation(shift=0, brightness=0.0, contrast=0.0),
    steps=120,
    save_every=40,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Frames to train on, frames to calibrate on, and the model trained on them."""
    folder = tmp_path_factory.mktemp("completion")
    frames, dense = write_toy(folder / "frames", 4), write_toy(folder / "dense", 2, "every")
    return frames, dense, train(TINY, frames, dense, folder / "run")


def test_every_kind_of_pair_is_found(toy):
    table = PairTable(read_shown(toy[0]))
    assert all(table.kinds[kind] for kind in ("positive", "near", "before", "failed", "other"))
    assert table.kinds["foreign"] == [], "there is nothing but milk"


def test_it_learns_what_the_cameras_show_and_is_calibrated(toy, capsys):
    _, dense, model = toy
    config, _, _ = load_completion_model(model)
    assert config.calibrated
    scorer = load_scorer("compact", CompletionSettings(str(model), "cpu"))
    assert (scorer.cameras, scorer.threshold) == (("agentview", "eye_in_hand"), config.threshold)
    assert main(["bench", "completion", str(dense), "--model", str(model), "--json", str(model / "figures.json")]) == 0
    suite, everything = json.loads((model / "figures.json").read_text())["compact"]
    assert suite["suite"] == "libero_object" and everything["suite"] == "all"
    assert suite["auroc"] > 0.95 and abs(suite["ends"]["median_delay"]) <= RIGHT
    assert "libero_object" in capsys.readouterr().out


def test_a_stopped_run_goes_on_as_if_it_had_not_been(toy, tmp_path, monkeypatch):
    frames, dense, model = toy
    from training.completion.train import CompletionRun

    saved = CompletionRun._save

    def stop_after_saving(run: CompletionRun) -> None:
        saved(run)
        if run.step == 40:
            raise KeyboardInterrupt

    monkeypatch.setattr(CompletionRun, "_save", stop_after_saving)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, frames, dense, tmp_path)
    monkeypatch.undo()
    again = load_completion_model(train(TINY, frames, dense, tmp_path))[1].state_dict()
    for name, weights in load_completion_model(model)[1].state_dict().items():
        assert torch.equal(weights, again[name]), name


def test_thresholds_need_every_step(toy):
    frames, _, model = toy
    with pytest.raises(ValueError, match="milk/episode_0 is not shown at every step"):
        calibrate(model, read_shown(frames))
