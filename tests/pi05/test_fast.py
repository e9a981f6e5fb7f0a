"""FAST tokens that a π0.5's language model says: always a chunk, learned by it, kept whole in a checkpoint."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from substep_core.configuration import dump, parse
from substep_policy.action_tokenizers.fast import FastTokenizer, MalformedTokens
from substep_policy.action_tokenizers.named_fast import FittedFast
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.heads import EOSHeadConfig
from substep_policy.heads.decoder import DecoderShape
from substep_policy.heads.fast_tokens import FastTokensConfig
from substep_policy.heads.targets import ActionTargets
from substep_policy.models.model import EosDetection
from substep_policy.models.normalization import GripperConvention
from substep_policy.models.pi05.model import Pi05ModelConfig
from tests.pi05 import drawn as toy
from tests.pi05.toy import drawn_model, inputs, toy_config

ROBOT = toy_config().robot
SIZE = 40  # tokens


def walks(count: int) -> np.ndarray:
    steps = np.random.default_rng(0).normal(0, 0.1, (count, toy.CHUNK, toy.ACTION))
    return np.cumsum(steps, axis=1).clip(-1, 1).astype(np.float32)


def fitted(length: int = toy.CHUNK) -> FittedFast:
    bounds = {"low": (-1.0,) * toy.ACTION, "high": (1.0,) * toy.ACTION}
    space = ActionSpace(robot=ROBOT, chunk_length=length, gripper=GripperConvention.CLOSE_IS_ONE, **bounds)
    tokenizer = FastTokenizer.fit(walks(200)[:, :length], space, scale=3.0, vocabulary_size=SIZE)
    return FittedFast(config=tokenizer.config, vocabulary=tokenizer.tokenizer.to_str())


def config(**head) -> Pi05ModelConfig:
    tokens = FastTokensConfig(**{"action_tokenizer": fitted(), "skipped": 0} | head)
    return dataclasses.replace(toy_config(), action_head=tokens)


def targets(actions: np.ndarray, counted: tuple[int, ...]) -> ActionTargets:
    """``counted``: how many actions of each chunk count."""
    mask = torch.arange(toy.CHUNK) < torch.tensor(counted)[:, None]
    return ActionTargets(torch.from_numpy(actions), mask, torch.zeros(*mask.shape, 1))


@torch.no_grad()
def test_whatever_the_model_says_is_a_chunk():
    """Also where padded prompts and chunks of different lengths share a batch: each as alone."""
    model, both = drawn_model(config()), inputs()
    actions, hidden = model.act(both)
    assert actions.shape == (2, toy.CHUNK, toy.ACTION) and hidden.shape[:2] == (2, toy.CHUNK)
    assert actions.abs().max() > 0
    for row in range(2):
        length = toy.LENGTHS[row]
        alone = {name: value[row : row + 1] for name, value in both.items()}
        alone |= {name: alone[name][:, :length] for name in ("input_ids", "attention_mask")}
        torch.testing.assert_close(model.act(alone)[0], actions[row : row + 1])


def test_a_chunk_is_learned_by_the_language_model():
    """Knowledge insulation is of the expert's losses; this one is the language model's own."""
    torch.manual_seed(0)
    model, chunks = drawn_model(config()).train(), walks(2)
    optimizer = torch.optim.Adam(model.backbone.language_model.parameters(), 0.01)
    for _ in range(80):
        optimizer.zero_grad()
        loss, _ = model.action_loss(inputs(), targets(chunks, (toy.CHUNK, 2)))
        loss.backward()
        optimizer.step()
    assert all(weight.grad is None for weight in model.backbone.expert.parameters())
    tokenizer = fitted().load()
    held = chunks.copy()
    held[1, 2:] = held[1, 1]  # what comes after the substep's end is held
    expected = np.stack([tokenizer.decode(ids) for ids in tokenizer.encode(held)])
    with torch.no_grad():
        np.testing.assert_allclose(model.eval().act(inputs())[0].numpy(), expected, atol=1e-5)


def with_eos_head() -> Pi05ModelConfig:
    return dataclasses.replace(config(), eos_head=EOSHeadConfig(hidden_dim=32, dropout=0.0), eos=EosDetection())


def eos_after(counted: tuple[int, ...]) -> torch.Tensor:
    """Labels (B, C, 1): a substep ends with the last action that counts, and one of no action with the first."""
    labels = torch.zeros(len(counted), toy.CHUNK, 1)
    for row, count in enumerate(counted):
        labels[row, max(count - 1, 0)] = 1.0
    return labels


def test_the_end_of_a_substep_is_learned_from_where_the_chunk_was_said():
    """Beside the chunks; the EOS loss reaches the language model and vision, and no weight of the expert."""
    torch.manual_seed(0)
    model, chunks, counted = drawn_model(with_eos_head()).train(), walks(2), (2, 3)
    shown = targets(chunks, counted)
    _, hidden = model.action_loss(inputs(), shown)
    assert hidden.shape == (2, toy.CHUNK, toy.WIDTH)
    model.eos_head(hidden).sum().backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    for part in ("language_model.layers.0.mlp.up_proj", "language_model.layers.0.self_attn.k_proj", "projector"):
        assert f"backbone.{part}.weight" in reached
    assert not any(name.startswith("backbone.expert.") for name in reached)
    optimizer = torch.optim.Adam([*model.backbone.language_model.parameters(), *model.eos_head.parameters()], 0.005)
    for _ in range(100):
        optimizer.zero_grad()
        loss, hidden = model.action_loss(inputs(), shown)
        (loss + binary_cross_entropy_with_logits(model.eos_head(hidden), eos_after(counted))).backward()
        optimizer.step()
    with torch.no_grad():
        _, hidden = model.eval().act(inputs())
        torch.testing.assert_close(model.action_loss(inputs(), shown)[1], hidden)  # it says the taught chunks
        ends = model.eos_head(hidden)[..., 0] > 0
    assert torch.equal(ends, eos_after(counted)[..., 0] > 0.5)


def test_a_chunk_of_a_substep_that_has_ended_teaches_nothing():
    model, chunks = drawn_model(config()), walks(2)
    alone, _ = model.action_loss(inputs(), targets(chunks, (toy.CHUNK, 0)))
    other, _ = model.action_loss(inputs(), targets(np.stack([chunks[0], -chunks[1]]), (toy.CHUNK, 0)))
    torch.testing.assert_close(alone, other)
    none, _ = model.action_loss(inputs(), targets(chunks, (0, 0)))
    assert none == 0.0


def test_a_model_that_is_not_finite_gives_no_motion():
    model = drawn_model(config())
    with torch.no_grad():
        model.backbone.language_model.norm.weight.fill_(torch.nan)
        assert not model.act(inputs())[1].isfinite().any(), "the chunk builder refuses it"


def test_a_malformed_sequence_is_an_error():
    tokenizer = fitted().load()
    with pytest.raises(MalformedTokens):
        tokenizer.decode(tokenizer.encode(walks(1))[0][:-1])


def test_a_checkpoint_holds_the_tokenizer_itself(tmp_path):
    """What it was named by when it was written, a folder, may be gone."""
    fitted().load().save(tmp_path)
    written = dump(config()) | {"action_head": {"type": "fast", "action_tokenizer": str(tmp_path), "skipped": 0}}
    read = parse(Pi05ModelConfig, written, "model")
    assert parse(Pi05ModelConfig, dump(read), "checkpoint") == config()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"is for chunks \(2, 7\), the model's are \(4, 7\)"):
        drawn_model(config(action_tokenizer=fitted(2)))
    with pytest.raises(ValueError, match="ids of actions do not fit into 64 of the model"):
        drawn_model(config(skipped=60))
    with pytest.raises(ValueError, match="one token after the other, which only a π0.5's backbone does"):
        FastTokensConfig(action_tokenizer=fitted()).build(DecoderShape(8, toy.CHUNK, toy.ACTION))
    with pytest.raises(ValueError, match="action head is 'l1', a π0.5 acts by 'flow_matching' or 'fast'"):
        parse(Pi05ModelConfig, dump(toy_config()) | {"action_head": {"type": "l1"}}, "model")
