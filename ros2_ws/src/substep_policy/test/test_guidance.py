"""Guidance of chunks by what is left of the last one, beside independent arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from substep_core.observation import Observation
from substep_policy.checkpoints.plain import save_model
from substep_policy.guidance_settings import GUIDANCES, GuidanceSettings, Schedule, load_guidance
from substep_policy.heads import DecoderShape, DiffusionHeadConfig
from substep_policy.heads.guidance import Guide, soft_mask, strength
from substep_policy.heads.in_sequence_diffusion import InSequenceDiffusionConfig
from substep_policy.models.compact.model import build_compact
from substep_policy.models.compact.policy import load
from substep_policy.policy import LeftOver, why_not_guided
from substep_policy.registry import PolicySettings

B, C, A, D = 2, 6, 3, 6
BOTH = pytest.mark.parametrize("name", GUIDANCES.names)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.LINEAR, [1, 1, 1, 0.83, 0.67, 0.5, 0.33, 0.17, 0, 0, 0, 0]),
        (Schedule.EXPONENTIAL, [1, 1, 1, 0.63, 0.37, 0.19, 0.08, 0.02, 0, 0, 0, 0]),
        (Schedule.ONES, [1] * 8 + [0] * 4),
        (Schedule.ZEROS, [1] * 3 + [0] * 9),
    ],
)
def test_weights_of_what_is_left(schedule, expected):
    """A chunk of 12, three of whose actions are played before it comes, beside eight that are left."""
    np.testing.assert_allclose(soft_mask(schedule, 12, 3, 8), expected, atol=0.005)


@pytest.mark.parametrize(("length", "delay", "left"), [(8, 2, 6), (8, 4, 4), (8, 0, 5), (16, 6, 10), (50, 6, 12)])
def test_exponential_weights_are_the_published_ones(length, delay, left):
    expected = []
    for i in range(length):
        w = min(max((delay - 1 - i) / (left - delay + 1) + 1, 0.0), 1.0)
        expected.append(1.0 if i < delay else 0.0 if i >= left else w * (math.e**w - 1) / (math.e - 1))
    np.testing.assert_allclose(soft_mask(Schedule.EXPONENTIAL, length, delay, left), expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", Schedule)
def test_what_nothing_is_left_of_has_no_weight(schedule):
    assert soft_mask(schedule, 4, 3, 2).tolist() == [1, 1, 0, 0], "it is asked for later than it should have been"
    assert soft_mask(schedule, 4, 2, 50).tolist()[:2] == [1, 1]


def test_the_strength_of_the_correction():
    assert strength(0.0, 5.0) == 5.0
    assert strength(0.5, 5.0) == pytest.approx(2.0)
    assert strength(0.8, 5.0) == pytest.approx((0.2 / 0.8) * (0.64 + 0.04) / 0.04)
    assert strength(0.9, 5.0) == 5.0, "held to the most"


class Curved(torch.nn.Module):
    """A denoiser whose derivative is no multiple of the identity: each value depends on all others of its chunk."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = torch.nn.Linear(C * A, C * A, dtype=torch.float64)

    def estimate(self, x: Tensor) -> Tensor:
        return x + 0.3 * torch.tanh(self.mix(x.flatten(1))).reshape(x.shape)


def guide(name: str, weights: Tensor, weight: float = 5.0) -> Guide:
    torch.manual_seed(1)
    return Guide(load_guidance(GuidanceSettings(name, weight)), torch.randn(B, C, A, dtype=torch.float64), weights)


def some_weights() -> Tensor:
    return torch.linspace(1, 0, C, dtype=torch.float64).expand(B, C)


def test_the_gradient_is_that_of_the_denoiser_by_its_whole_jacobian():
    curved, x = Curved(), torch.randn(B, C, A, dtype=torch.float64)
    made = guide("gradient", some_weights())
    with torch.no_grad():
        pulled, estimate, other = made.guidance.pull(lambda x: (curved.estimate(x), x + 1), x, made)
    error = (made.target - curved.estimate(x)) * some_weights().unsqueeze(-1)
    for sample in range(B):
        jacobian = torch.autograd.functional.jacobian(lambda row: curved.estimate(row[None])[0], x[sample])
        expected = torch.einsum("ijkl,ij->kl", jacobian, error[sample])
        torch.testing.assert_close(pulled[sample], expected.detach(), rtol=1e-10, atol=1e-12)
    assert not (pulled.requires_grad or estimate.requires_grad or other.requires_grad)
    torch.testing.assert_close(estimate, curved.estimate(x).detach())


def test_the_identity_in_its_place_is_the_error_itself():
    curved, x = Curved(), torch.randn(B, C, A, dtype=torch.float64)
    made = guide("identity", some_weights())
    with torch.inference_mode():
        pulled, estimate = made.guidance.pull(lambda x: (curved.estimate(x),), x, made)
        torch.testing.assert_close(pulled, (made.target - estimate) * some_weights().unsqueeze(-1))
    gradient = guide("gradient", some_weights())
    through = gradient.guidance.pull(lambda x: (curved.estimate(x),), x, gradient)[0]
    assert not torch.allclose(pulled, through, atol=1e-2), "they are not the same rule"


def test_values_beyond_the_robots_count_for_nothing():
    made = guide("identity", some_weights())
    wide = torch.randn(B, C, A + 4, dtype=torch.float64)
    error = made.error(wide)
    assert error.shape == wide.shape and not error[..., A:].any()


class Slots:
    """A backbone for heads that run actions through it: hidden states that depend on what is in the slots."""

    hidden_dim = D

    def attend(self, prefix, content=None) -> Tensor:
        hidden = prefix.hidden
        return hidden if content is None else hidden + torch.tanh(content.actions) + content.time.unsqueeze(1)


class Seen:
    size, dtype, device = B, torch.float32, torch.device("cpu")

    def __init__(self) -> None:
        self.hidden = torch.randn(B, C * A, D)


DECODERS = pytest.mark.parametrize(
    "config",
    [DiffusionHeadConfig(hidden_dim=16, time_dim=8), InSequenceDiffusionConfig(hidden_dim=16, sampling_steps=10)],
    ids=lambda config: config.type,
)


def chunks(config, name: str, weights: Tensor, weight: float = 5.0) -> tuple[Tensor, Tensor, Tensor]:
    """A chunk, the same one guided, and what it is guided to."""
    torch.manual_seed(3)
    decoder = config.build(DecoderShape(D, C, A))
    seen, target = Seen(), torch.rand(B, C, A) * 2 - 1
    made = Guide(load_guidance(GuidanceSettings(name, weight)), target, weights)
    with torch.no_grad():
        torch.manual_seed(4)
        free, hidden = decoder.decode(Slots(), seen)
        torch.manual_seed(4)
        guided, guided_hidden = decoder.decode_guided(Slots(), seen, made)
    assert guided_hidden.shape == hidden.shape and not guided_hidden.requires_grad
    return free, guided, target


@BOTH
@DECODERS
def test_a_diffusion_decoder_without_weights_gives_the_chunk_that_it_gives_unguided(config, name):
    free, guided, _ = chunks(config, name, torch.zeros(B, C))
    torch.testing.assert_close(guided, free, rtol=1e-4, atol=1e-4)


@BOTH
def test_a_diffusion_decoder_is_drawn_to_what_is_left(monkeypatch, name):
    """With the best denoiser there is for actions drawn about 0.2 with deviation 0.5."""
    config, kind = DiffusionHeadConfig(), "substep_policy.heads.diffusion.DiffusionActionHead.predict_noise"

    def best(head, condition: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        signal = head._alpha_bars[int(timestep[0])]
        return math.sqrt(1 - signal) * (noisy - math.sqrt(signal) * 0.2) / (signal * 0.25 + 1 - signal)

    monkeypatch.setattr(kind, best)
    free, guided, target = chunks(config, name, torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]).expand(B, C))
    before, after = (free - target)[:, :3].abs().mean(), (guided - target)[:, :3].abs().mean()
    assert after < 0.3 * before
    torch.testing.assert_close(guided[:, 3:], free[:, 3:], rtol=1e-3, atol=1e-3)


def test_noise_in_the_sequence_is_drawn_to_what_is_left():
    config = InSequenceDiffusionConfig(hidden_dim=16, sampling_steps=10)
    free, guided, target = chunks(config, "identity", torch.ones(B, C))
    assert (guided - target).abs().mean() < 0.5 * (free - target).abs().mean()


def test_a_ddim_step_is_corrected_as_the_flow_that_it_is():
    """The walk in x, as it is coded, beside the same walk in the flow's own variable, written from the formula."""
    decoder, seen = DiffusionHeadConfig(hidden_dim=16, time_dim=8).build(DecoderShape(D, C, A)), Seen()
    head, beta, weights = decoder.head, 5.0, some_weights().float()
    torch.manual_seed(5)
    target = torch.rand(B, C, A)
    made = Guide(load_guidance(GuidanceSettings("identity", beta)), target, weights)
    condition = head._condition(seen.hidden)
    noise = torch.randn(B, C, A)
    with torch.no_grad():
        found = head.denoise(condition, noise, made)
        levels = [head._alpha_bars[t] for t in range(45, -1, -5)] + [1.0]
        y = noise / (math.sqrt(levels[0]) + math.sqrt(1 - levels[0]))
        for place, t in enumerate(range(45, -1, -5)):
            here, there = ((math.sqrt(level), math.sqrt(1 - level)) for level in levels[place : place + 2])
            tau, following = here[0] / sum(here), there[0] / sum(there)
            x = y * sum(here)
            predicted = head.predict_noise(condition, x, torch.full((B,), t))
            clean = ((x - here[1] * predicted) / here[0]).clamp(-1, 1)
            velocity = clean - (x - here[0] * clean) / here[1]
            pull = (target - clean) * weights.unsqueeze(-1)
            ratio = (1 - tau) / tau * (tau**2 + (1 - tau) ** 2) / (1 - tau) ** 2
            y = y + (following - tau) * (velocity + min(beta, ratio) * pull)
    torch.testing.assert_close(found, y, rtol=1e-4, atol=1e-4)


@pytest.fixture
def seen() -> Observation:
    images = {name: np.full((32, 32, 3), 90, np.uint8) for name in ("agentview", "eye_in_hand")}
    return Observation(images, np.zeros(8, np.float32))


def test_a_policy_normalises_what_is_left_and_goes_on_from_it(toy_checkpoint, toy_config, seen):
    """The policy that a checkpoint with a diffusion head is, asked to go on from physical actions."""
    config = replace(toy_config, action_head=DiffusionHeadConfig(hidden_dim=32, time_dim=8))
    torch.manual_seed(0)
    save_model(toy_checkpoint, config, build_compact(config), step=5)
    policy = load(
        toy_checkpoint, PolicySettings(eos_threshold=1.0, guidance=GuidanceSettings("identity", weight=100.0))
    )
    assert why_not_guided(policy) == ""
    policy.start_substep("pick up the black bowl", "")
    left = np.tile(np.array([0.3, -0.2, 0.1, 0.05, 0.0, -0.3, 1.0], np.float32), (5, 1))
    torch.manual_seed(1)
    free = policy.predict(seen).actions
    torch.manual_seed(1)
    guided = policy.go_on(seen, LeftOver(left, delay=5)).actions
    shared = min(len(free), len(guided), 5)
    assert np.abs(guided - left[0])[:shared].mean() < 0.5 * np.abs(free - left[0])[:shared].mean()
    assert (guided[:shared, -1] == 1.0).all(), "the gripper, too"


def test_a_policy_that_reads_its_actions_off_one_pass_says_that_it_cannot(toy_checkpoint):
    policy = load(toy_checkpoint, PolicySettings())
    assert "L1Decoder, which does not walk from noise to actions" in why_not_guided(policy)


def test_an_unknown_guidance_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"unknown guidance 'magic'.*gradient .*identity"):
        PolicySettings(guidance=GuidanceSettings("magic"))
