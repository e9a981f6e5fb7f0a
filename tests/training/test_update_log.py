"""The log's line for each update of the EOS head, and TensorBoard's curves."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.train.config import BufferEos, FinetuneConfig
from training.train.finetune_substep import finetune, start, train_step

UPDATE = re.compile(r"step (\d+): EOS loss (\S+) on (\d+) negatives and (\d+) positives, gradient norm (\S+)")
HELD_OUT = re.compile(r"step (\d+): held_out/action (\S+), held_out/eos (\S+)")
ACCUMULATION = "optimizer.gradient_accumulation=2"
MODES = {
    "direct": [],
    # Fifteen positives are not in the first batches: at first there are no updates.
    "buffer": [
        "eos={mode: buffer, buffer: {min_negative: 20, sample_negative: 6, min_positive: 15, sample_positive: 5}}"
    ],
}


def lines(config: FinetuneConfig, pattern: re.Pattern[str]) -> dict[int, list[float]]:
    """Numbers of the log's lines of one kind, by step."""
    found = pattern.findall((config.out / "train.log").read_text())
    assert len({step for step, *_ in found}) == len(found), "one line a step"
    return {int(step): [float(number.rstrip(",")) for number in numbers] for step, *numbers in found}


def counts_seen(config: FinetuneConfig, out: Path) -> dict[int, tuple[int, int]]:
    """Negatives and positives that the EOS loss of every update must have seen, from its batches' labels."""
    accumulation, eos = config.optimizer.gradient_accumulation, config.eos
    stream = start(dataclasses.replace(config, out=out)).stream
    held, seen = [0, 0], {}
    for number in range(config.steps * accumulation):
        labels = stream.batch(number)["eos_labels"]
        positives = int(labels.sum())
        added = (labels.numel() - positives, positives)
        held = [before + more for before, more in zip(held, added, strict=True)]
        if isinstance(eos, BufferEos):
            is_ready = held[0] >= eos.buffer.min_negative and held[1] >= eos.buffer.min_positive
            added = (eos.buffer.sample_negative, eos.buffer.sample_positive) if is_ready else (0, 0)
        step = number // accumulation + 1
        negatives, positives = seen.get(step, (0, 0))
        seen[step] = (negatives + added[0], positives + added[1])
    return {step: counts for step, counts in seen.items() if counts != (0, 0)}


@pytest.mark.parametrize("accumulation", [[], [ACCUMULATION]], ids=["", "accumulation"])
@pytest.mark.parametrize("mode", MODES)
def test_every_update_of_the_eos_head_has_a_line_with_loss_counts_and_gradient_norm(
    toy_run, tmp_path: Path, mode: str, accumulation: list[str]
):
    config = toy_run("data.held_out_every=0", "log_every=4", "steps=8", *MODES[mode], *accumulation)
    finetune(config)
    updates = lines(config, UPDATE)
    expected = counts_seen(config, tmp_path / "other")
    assert {step: tuple(counts) for step, (_, *counts, _) in updates.items()} == expected
    assert len(updates) == 8 if mode == "direct" else 3 < len(updates) < 8, "of a buffer, as soon as it holds enough"
    assert all(loss > 0 and norm > 0 for loss, _, _, norm in updates.values())


def test_what_is_said_of_an_update_is_of_all_its_batches(toy_run):
    run = start(toy_run("data.held_out_every=0", "model.backbone.dropout=0.0", "model.eos_head.dropout=0.0"))
    batches = [run.stream.batch(number) for number in range(3)]
    with torch.no_grad():
        alone = [run.objective(batch) for batch in batches]
    losses = train_step(run, batches).losses
    for name in ("total", "action", "eos"):
        torch.testing.assert_close(getattr(losses, name), torch.stack([getattr(one, name) for one in alone]).mean())
    assert (losses.positives, losses.negatives) == tuple(
        sum(getattr(one, name) for one in alone) for name in ("positives", "negatives")
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_curves_have_the_values_of_the_log(toy_run, mode: str):
    config = toy_run("steps=8", "save_every=4", "keyframe_weight=0.5", ACCUMULATION, *MODES[mode])
    finetune(config)
    events = EventAccumulator(str(config.out / "curves")).Reload()
    curves = {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    every_step = {"learning_rate", "skipped", "loss/total", "loss/action", "loss/keyframe", "gradient_norm/all"}
    of_updates = {"loss/eos", "gradient_norm/eos_head"}
    at_checkpoints = {"held_out/action", "held_out/eos", "held_out/keyframe"}
    assert curves.keys() == every_step | of_updates | at_checkpoints
    updates, held_out = lines(config, UPDATE), lines(config, HELD_OUT)
    for tag in every_step:
        assert list(curves[tag]) == list(range(1, 9)), tag
    for place, tag in ((0, "loss/eos"), (-1, "gradient_norm/eos_head")):
        assert curves[tag] == pytest.approx({step: line[place] for step, line in updates.items()}, abs=6e-5)
    assert list(held_out) == [4, 8]
    for place, tag in enumerate(("held_out/action", "held_out/eos")):
        assert curves[tag] == pytest.approx({step: line[place] for step, line in held_out.items()}, abs=6e-5)
    assert set(curves["skipped"].values()) == {0.0} and curves["learning_rate"][2] == pytest.approx(0.001)
    for step, total in curves["loss/total"].items():
        eos = config.eos.lambda_eos * curves["loss/eos"].get(step, 0.0)
        keyframe = 0.5 * curves["loss/keyframe"][step]
        if mode == "direct" or step > min(updates):  # at first the buffer may give no draw to one of the two batches
            assert total == pytest.approx(curves["loss/action"][step] + eos + keyframe, rel=1e-4), step
