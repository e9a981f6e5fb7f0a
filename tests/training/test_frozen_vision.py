"""A compact model whose image network stays as it is: the same training without looking twice."""

from __future__ import annotations

import pytest
import torch

from substep_policy.models.compact.backbone import CompactBackbone
from tests.training.checkpoints import assert_same, weights
from training.train.finetune_substep import finetune, start, train_step

AS_THEY_ARE = ["data.augmentation=null", "data.paraphrase_probability=0"]
FROZEN = ["freeze_vision=true", *AS_THEY_ARE]
LOOKING = ("vision_encoder.", "keypoints.", "camera_embedding", "text_encoder.")


def test_losses_are_those_with_images_and_what_looks_and_reads_is_left_alone(toy_run, monkeypatch):
    run = start(toy_run(*FROZEN, "model.backbone.dropout=0"))
    usual = start(toy_run(*AS_THEY_ARE, "model.backbone.dropout=0"))
    model = run.objective.model
    seen, shown = run.stream.batch(0), usual.stream.batch(0)
    assert "images" not in seen and "images" in shown and run.data.training[0].frame is None
    torch.testing.assert_close(seen["actions"], shown["actions"])
    losses = []
    for objective, batch in ((run.objective, seen), (usual.objective, shown)):
        torch.manual_seed(0)  # of the EOS head's dropout
        losses.append(objective(batch).total)
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for number in range(3):
        train_step(run, [run.stream.batch(number)])
    unchanged = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert unchanged == {name for name in before if name.removeprefix("backbone.").startswith(LOOKING)}
    monkeypatch.setattr(CompactBackbone, "look", None)
    torch.testing.assert_close(start(toy_run(*FROZEN, "model.backbone.dropout=0")).stream.batch(0), seen)


def test_what_is_kept_was_seen_without_dropout(toy_run):
    run, usual = start(toy_run(*FROZEN, "model.backbone.dropout=0.5")), start(toy_run(*AS_THEY_ARE))
    backbone, batch = run.objective.model.backbone.eval(), usual.stream.batch(0)
    summary = backbone.encode_text(batch["input_ids"], batch["attention_mask"]).summary
    expected = backbone.look(batch["images"], summary).half()
    torch.testing.assert_close(run.stream.batch(0)["image_features"], expected)


def test_a_run_with_frozen_vision_goes_on_as_if_it_had_not_been_stopped(toy_run, tmp_path):
    whole = finetune(toy_run(*FROZEN, f"out={tmp_path / 'whole'}"))
    finetune(toy_run(*FROZEN, "steps=2"))
    assert_same(weights(finetune(toy_run(*FROZEN))), weights(whole))


def test_what_would_be_seen_or_told_anew_every_time_cannot_be_frozen(toy_run):
    with pytest.raises(ValueError, match="set data.augmentation to null"):
        toy_run(*FROZEN[:1], "data.paraphrase_probability=0")
    with pytest.raises(ValueError, match="set data.paraphrase_probability to 0, it is 0.5"):
        toy_run(*FROZEN[:2])
