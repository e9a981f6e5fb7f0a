"""EOS among the action tokens: taught where the configuration says so, refused where it was not taught."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from substep_cli.grammar import main
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from training.train.finetune_substep import finetune, start

TOKENS = ["model.action_head={type: tokens}", "model.eos_head=null", "eos={mode: none}"]
WITHOUT_EOS = "model.action_head.use_substep_eos=false"
LIKELIER, UNTOUCHED = 1.0, 0.0


@pytest.mark.parametrize(
    ("overrides", "expected"), [([], LIKELIER), ([WITHOUT_EOS], UNTOUCHED)], ids=["default", "without"]
)
def test_a_boundary_teaches_the_token_head_eos_where_it_is_configured(toy_run, overrides, expected: float):
    run = start(toy_run(*TOKENS, "model.eos.source=none", *overrides))
    samples = [run.data.training[number] for number in range(len(run.data.training))]
    ending = [sample for sample in samples if sample.eos_labels[0, 0] == 1 and not sample.mask[1:].any()]
    head = run.objective.model.action_head
    # A chunk of one action that counts, and EOS all but impossible: whatever teaches EOS makes it likelier.
    with torch.no_grad():
        head.projection.bias[head.tokenizer.eos_token_id] = -20.0
    run.objective(run.data.transform(ending)).total.backward()
    assert float(-head.projection.bias.grad[head.tokenizer.eos_token_id].sign()) == expected
    assert head.projection.weight.grad.abs().sum() > 0


def test_token_eos_is_refused_of_a_model_that_is_not_taught_it(toy_run, tmp_path: Path, capsys):
    toy_run()
    overrides = [*TOKENS, WITHOUT_EOS, "model.eos.source=token"]
    assert main(["train", "policy", str(tmp_path / "config.yaml"), *(f"--{override}" for override in overrides)]) == 2
    assert "EOS as a token needs a head that emits tokens and is trained to say it" in capsys.readouterr().err


def test_a_checkpoint_says_whether_it_was_taught_eos_and_does_not_take_it_for_granted(toy_run):
    folder = finetune(toy_run(*TOKENS, "model.eos.source=none", WITHOUT_EOS, "steps=1"))
    assert CHECKPOINTS.read_config(folder).action_head.use_substep_eos is False
    config = (folder / "config.json").read_text()
    assert config.count('"source": "none"') == 1
    (folder / "config.json").write_text(config.replace('"source": "none"', '"source": "token"'))
    with pytest.raises(CheckpointError, match="'tokens' offers only head, none: .*as 'tokens' with use_substep_eos is"):
        CHECKPOINTS.read_config(folder)
