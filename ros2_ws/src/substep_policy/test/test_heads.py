"""Action and EOS heads: shapes, gradients, masks, and agreement with independent arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from substep_policy.eos import TokenEosRule, find_token_eos
from substep_policy.heads import (
    ActionTargets,
    DecoderConfig,
    DecoderShape,
    DiffusionHeadConfig,
    EOSClassificationHead,
    EOSHeadConfig,
    L1HeadConfig,
    TokenHeadConfig,
)
from substep_policy.heads.action_tokens import ActionTokenizer
from substep_policy.heads.ddim import add_noise, ddim_step, sampling_timesteps, squared_cosine_alpha_bars

B, C, A, D = 3, 8, 7, 6
CONFIGS = [L1HeadConfig(hidden_dim=32), DiffusionHeadConfig(hidden_dim=64, time_dim=8), TokenHeadConfig()]


def build_head(config: DecoderConfig, hidden_dim: int) -> torch.nn.Module:
    return config.build(DecoderShape(hidden_dim, C, A)).head


def targets(mask: torch.Tensor | None = None, boundary: int | None = None) -> ActionTargets:
    eos_labels = torch.zeros(B, C, 1)
    if boundary is not None:
        eos_labels[:, boundary] = 1
    mask = torch.ones(B, C, dtype=torch.bool) if mask is None else mask
    return ActionTargets(torch.rand(B, C, A) * 2 - 1, mask, eos_labels)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_predicts_a_chunk_of_normalised_actions(config):
    head = build_head(config, D)
    assert head.predict(torch.randn(B, C * A, D)).shape == (B, C, A)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_loss_reaches_every_parameter_and_the_hidden_states(config):
    head = build_head(config, D)
    hidden = torch.randn(B, C * A, D, requires_grad=True)
    head.loss(hidden, targets(boundary=3)).backward()
    assert hidden.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_masked_actions_do_not_change_the_loss(config):
    head = build_head(config, D)
    hidden = torch.randn(B, C * A, D)
    mask = torch.arange(C).expand(B, C) <= 3
    original = targets(mask)
    changed = original.actions.clone()
    changed[:, 4:] = -changed[:, 4:]
    losses = []
    for actions in (original.actions, changed):
        torch.manual_seed(0)
        losses.append(head.loss(hidden, ActionTargets(actions, mask, original.eos_labels)))
    assert torch.equal(losses[0], losses[1])


def test_nothing_to_learn_from_gives_zero_not_nan():
    head = build_head(CONFIGS[0], D)
    assert head.loss(torch.randn(B, C * A, D), targets(torch.zeros(B, C, dtype=torch.bool))) == 0


def learn_by_heart(head: torch.nn.Module, hidden: torch.Tensor, goal: ActionTargets, copies: int = 1) -> None:
    """Fit one batch; ``copies`` of it give diffusion several noise levels a step."""
    goal = ActionTargets(
        goal.actions.repeat(copies, 1, 1), goal.mask.repeat(copies, 1), goal.eos_labels.repeat(copies, 1, 1)
    )
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(hidden.repeat(copies, 1, 1), goal).backward()
        optimizer.step()


@pytest.mark.parametrize(("config", "copies", "allowed"), zip(CONFIGS, (1, 32, 1), (0.05, 0.45, 0.02), strict=True))
def test_learns_one_batch_by_heart(config, copies, allowed):
    torch.manual_seed(0)
    head = build_head(config, 48)
    hidden, goal = torch.randn(B, C * A, 48), targets()
    learn_by_heart(head, hidden, goal, copies)
    assert (head.predict(hidden) - goal.actions).abs().mean() < allowed, "a guess is off by 0.67"


def test_l1_loss_is_the_mean_absolute_error():
    head = build_head(CONFIGS[0], D)
    hidden, goal = torch.randn(B, C * A, D), targets()
    expected = torch.nn.functional.l1_loss(head.predict(hidden), goal.actions)
    torch.testing.assert_close(head.loss(hidden, goal), expected)


def test_hidden_states_that_are_no_whole_actions_are_refused():
    with pytest.raises(ValueError, match="55 action tokens"):
        build_head(CONFIGS[0], D).predict(torch.randn(B, C * A - 1, D))


def test_noise_schedule_is_the_squared_cosine():
    # ᾱ_t of Nichol & Dhariwal is f(t)/f(0), as long as no β is cut off.
    alpha_bars = squared_cosine_alpha_bars(50)

    def f(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = torch.tensor([f((t + 1) / 50) / f(0) for t in range(48)], dtype=torch.float64)
    torch.testing.assert_close(alpha_bars[:48], expected)


def test_ddim_with_the_true_noise_walks_back_to_the_clean_actions():
    clean, noise = torch.rand(2, C, A).double() * 2 - 1, torch.randn(2, C, A).double()
    alpha_bars = squared_cosine_alpha_bars(50)
    timesteps = sampling_timesteps(50, 10)
    assert timesteps == [45, 40, 35, 30, 25, 20, 15, 10, 5, 0]
    x = add_noise(clean, noise, alpha_bars[[timesteps[0]] * 2])
    levels = [float(alpha_bars[t]) for t in timesteps] + [1.0]
    for level, following in zip(levels[:-1], levels[1:], strict=True):
        true_noise = (x - math.sqrt(level) * clean) / math.sqrt(1 - level)
        x = ddim_step(x, true_noise, level, following)
    torch.testing.assert_close(x, clean)


def test_ddim_step_matches_the_paper_inside_the_clipping_range():
    # Song et al. 2021, equation 12 with σ = 0.
    x, noise, now, following = torch.full((1, 2, 3), 0.3), torch.full((1, 2, 3), 0.1), 0.6, 0.9
    predicted_clean = (x - (1 - now) ** 0.5 * noise) / now**0.5
    expected = following**0.5 * predicted_clean + (1 - following) ** 0.5 * noise
    torch.testing.assert_close(ddim_step(x, noise, now, following), expected)


def test_several_draws_of_noise_teach_as_several_of_the_same_chunk():
    once, hidden, goal = build_head(CONFIGS[1], D), torch.randn(B, C * A, D), targets(boundary=5)
    often = build_head(replace(CONFIGS[1], draws=4), D)
    often.load_state_dict(once.state_dict())
    repeated = [part.repeat_interleave(4, dim=0) for part in (hidden, goal.actions, goal.mask, goal.eos_labels)]
    torch.manual_seed(3)
    expected = once.loss(repeated[0], ActionTargets(*repeated[1:]))
    torch.manual_seed(3)
    torch.testing.assert_close(often.loss(hidden, goal), expected)


def test_diffusion_sampling_repeats_from_the_seed_and_stays_in_range():
    head, hidden = build_head(CONFIGS[1], D), torch.randn(B, C * A, D)
    torch.manual_seed(3)
    first = head.predict(hidden)
    torch.manual_seed(3)
    assert torch.equal(first, head.predict(hidden))
    assert first.abs().max() <= 1.0


def test_token_mode_finds_the_eos_it_was_taught_and_keeps_that_action():
    torch.manual_seed(0)
    head = build_head(CONFIGS[2], 48)
    hidden, goal = torch.randn(B, C * A, 48), targets(boundary=5)
    learn_by_heart(head, hidden, goal)
    logits = head.logits(hidden)
    assert find_token_eos(logits, TokenEosRule(head.tokenizer.eos_token_id, A)).tolist() == [5] * B
    assert (head.decode(logits)[:, 5] - goal.actions[:, 5]).abs().max() < 0.02


@pytest.mark.parametrize("use_substep_eos", [True, False])
def test_eos_is_taught_in_the_last_slot_of_the_boundary_or_not_at_all(use_substep_eos: bool):
    head = build_head(TokenHeadConfig(use_substep_eos=use_substep_eos), D)
    logits = torch.randn(B, C * A, head.tokenizer.vocabulary_size, requires_grad=True)
    head.logits = lambda hidden: logits
    head.loss(torch.randn(B, C * A, D), targets(boundary=5)).backward()
    downhill = -logits.grad[..., head.tokenizer.eos_token_id]
    is_last_of_boundary = torch.arange(C * A) == 5 * A + A - 1
    if use_substep_eos:
        assert (downhill[:, is_last_of_boundary] > 0).all() and (downhill[:, ~is_last_of_boundary] < 0).all()
    else:
        assert (downhill == 0).all(), "EOS is neither taught nor untaught"
    others = logits.grad[..., head.tokenizer.first_action_token :]
    assert (others.abs().sum(-1) > 0).all(), "the actions are learned in every slot, that of EOS too"


def test_token_mode_learns_eos_where_the_substep_is_over_and_no_action_is_right():
    torch.manual_seed(0)
    head = build_head(CONFIGS[2], 48)
    hidden, goal = torch.randn(B, C * A, 48, requires_grad=True), targets(torch.zeros(B, C).bool(), boundary=0)
    loss = head.loss(hidden, goal)
    loss.backward()
    reached = hidden.grad.reshape(B, C, -1).abs().sum(-1) > 0
    assert reached.tolist() == [[True] + [False] * (C - 1)] * B, "of later actions nothing is known"
    assert torch.equal(head.loss(hidden, ActionTargets(-goal.actions, goal.mask, goal.eos_labels)), loss)
    learn_by_heart(head, hidden.detach(), goal)
    assert find_token_eos(head.logits(hidden), TokenEosRule(head.tokenizer.eos_token_id, A)).tolist() == [0] * B


def test_eos_head_gives_one_logit_an_action_from_that_action_alone():
    head = EOSClassificationHead(EOSHeadConfig(hidden_dim=16), D, A).eval()
    hidden = torch.randn(B, C * A, D)
    logits = head(hidden)
    assert logits.shape == (B, C, 1)
    changed = hidden.clone()
    changed[:, 2 * A : 3 * A] += 1
    assert ((head(changed) - logits).abs().sum(dim=(0, 2)) > 0).tolist() == [step == 2 for step in range(C)]


def test_eos_head_judges_a_single_buffered_action_like_the_chunk_it_came_from():
    head = EOSClassificationHead(EOSHeadConfig(hidden_dim=16), D, A).eval()
    hidden = torch.randn(B, C * A, D)
    entries = hidden.reshape(B * C, A, D)
    torch.testing.assert_close(head(entries).flatten(), head(hidden).flatten())


def test_action_tokens_keep_openvlas_bins():
    tokenizer = ActionTokenizer(vocabulary_size=32000, eos_token_id=2)
    # 256 bin edges from −1 to 1, ids counted down from the vocabulary's end.
    assert tokenizer.encode(torch.tensor([-1.0, 1.0, -2.0, 2.0])).tolist() == [31999, 31744, 31999, 31744]
    values = torch.linspace(-1, 1, 1001)
    assert (tokenizer.decode(tokenizer.encode(values)) - values).abs().max() <= 1 / 255 + 1e-6


def test_eos_among_the_action_tokens_is_refused():
    with pytest.raises(ValueError, match="eos_token_id is 100"):
        ActionTokenizer(vocabulary_size=257, eos_token_id=100)
    with pytest.raises(ValueError, match="other tokens than actions"):
        ActionTokenizer(vocabulary_size=257, eos_token_id=0).decode(torch.tensor([0, 5]))
