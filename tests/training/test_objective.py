"""What real batches teach: nothing of the actions after a boundary, and where EOS is."""

from __future__ import annotations

import pytest
import torch

from training.data.transform import Batch
from training.train.finetune_substep import start

TOKENS = [
    "model.action_head={type: tokens}",
    "model.eos_head=null",
    "model.eos={source: token}",
    "eos={mode: none}",
]
HEADS = {"l1": [], "diffusion": ["model.action_head={type: diffusion, hidden_dim: 16}"], "tokens": TOKENS}


def flipped(batch: Batch, where: torch.Tensor) -> Batch:
    """The batch with the opposite actions at ``where`` (B, C)."""
    return batch | {"actions": torch.where(where.unsqueeze(-1), -batch["actions"], batch["actions"])}


@pytest.mark.parametrize("head", HEADS)
def test_actions_after_a_boundary_do_not_reach_the_loss(toy_run, head: str):
    run = start(toy_run(*HEADS[head]))
    batch, objective = run.stream.batch(0), run.objective.eval()
    ends = batch["eos_labels"][..., 0]
    is_after = ends.cumsum(1) - ends > 0
    assert is_after.any()

    def loss(batch: Batch) -> torch.Tensor:
        torch.manual_seed(0)  # the noise of diffusion
        return objective(batch).total

    assert torch.equal(loss(flipped(batch, is_after)), loss(batch))
    assert not torch.equal(loss(flipped(batch, ~is_after)), loss(batch))


def test_samples_after_the_end_of_their_substep_teach_token_mode_its_eos(toy_run):
    run = start(toy_run(*TOKENS, "data.rules.late_steps=2"))
    samples = [run.data.training[number] for number in range(len(run.data.training))]
    late = [sample for sample in samples if not sample.mask.any()]
    assert late
    losses = run.objective(run.data.transform(late))
    losses.total.backward()
    gradient = run.objective.model.action_head.projection.bias.grad
    eos = run.objective.model.action_head.tokenizer.eos_token_id
    assert gradient[eos] < 0, "EOS becomes likelier"
