"""The mean of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from substep_cli.grammar import main
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.registry import POLICIES, PolicySettings
from training.checkpoints.average import average
from training.train.finetune_substep import finetune


@pytest.fixture
def checkpoints(toy_run) -> list[Path]:
    """Two of one run."""
    last = finetune(toy_run("optimizer.learning_rate=0.01"))
    return [last, last.with_name("step_0000002")]


def test_the_mean_of_two_is_a_policy_whose_threshold_can_be_calibrated(checkpoints, tmp_path: Path, capsys):
    out = tmp_path / "mean"
    assert main(["checkpoint", "average", *map(str, checkpoints), "--out", str(out)]) == 0
    assert "calibrate" in capsys.readouterr().out
    one, other, mean = (CHECKPOINTS.load(folder)[1].state_dict() for folder in [*checkpoints, out])
    assert any(not torch.equal(one[name], other[name]) for name in mean)
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (one[name] + other[name]) / 2, rtol=1e-3, atol=1e-5, msg=name)
    assert not CHECKPOINTS.read_config(out).eos.calibrated, "the threshold was chosen for other weights"
    POLICIES.load(str(out), PolicySettings(device="cpu")).start_substep("pick up the bowl", "")
    assert main(["checkpoint", "calibrate", str(out)]) == 0
    assert CHECKPOINTS.read_config(out).eos.calibrated


def test_weights_that_do_not_mean_the_same_have_no_mean(checkpoints, toy_run, tmp_path: Path, capsys):
    first, second = checkpoints
    out = tmp_path / "mean"
    for folders, fault in {
        (first,): "needs 2",
        (first, tmp_path / "nowhere"): "no checkpoint",
        (first, finetune(toy_run(f"out={tmp_path / 'deeper'}", "model.backbone.decoder_layers=2"))): "different models",
    }.items():
        with pytest.raises(ValueError, match=fault):
            average(folders, out)
    with pytest.raises(ValueError, match="written over"):
        average([first, second], second)
    statistics = second / "dataset_statistics.json"
    statistics.write_text(statistics.read_text().replace("0", "1"))
    assert main(["checkpoint", "average", str(first), str(second), "--out", str(out)]) == 2
    assert "dataset_statistics.json" in capsys.readouterr().err
    assert not out.exists(), "nothing is written before everything fits"
