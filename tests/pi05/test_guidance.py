"""π0.5's sampler, guided by what is left of the last chunk, beside the formula written again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from substep_policy.guidance_settings import GUIDANCES, GuidanceSettings, load_guidance
from substep_policy.heads.guidance import TARGET, WEIGHTS
from substep_policy.models.pi05.model import Pi05Model
from tests.pi05 import drawn
from tests.pi05.toy import drawn_model, inputs, toy_config

BETA = 5.0


@pytest.fixture(scope="module")
def model() -> Pi05Model:
    return drawn_model(toy_config()).double()


def batch(weights: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(2)
    target = torch.rand(2, drawn.CHUNK, drawn.ACTION, dtype=torch.float64) * 2 - 1
    made = {**inputs(), TARGET: target, WEIGHTS: weights.expand(2, -1)}
    return {name: value.double() if value.is_floating_point() else value for name, value in made.items()}


def by_formula(model: Pi05Model, made: dict[str, Tensor], noise: Tensor, is_gradient: bool) -> Tensor:
    """τ from 0, noise, to 1, actions; v = actions − noise; Y and W filled up with zeros to the model's width."""
    prefix, steps, beta = model._encode(made), model.decoder.config.sampling_steps, BETA
    extra = drawn.PADDED_ACTION - drawn.ACTION
    goal = torch.nn.functional.pad(made[TARGET], (0, extra))
    counts = torch.nn.functional.pad(torch.ones_like(made[TARGET]), (0, extra)) * made[WEIGHTS].unsqueeze(-1)
    x = noise
    for step in range(steps):
        tau = step / steps
        x = x.detach().requires_grad_()
        time = torch.full((2,), 1 - tau, dtype=x.dtype)
        v = -model.decoder.velocity(model.backbone, prefix, x, time)[0]
        estimate = x + (1 - tau) * v
        error = ((goal - estimate) * counts).detach()
        g = torch.autograd.grad(estimate, x, error)[0] if is_gradient else error
        ratio = beta if tau == 0 else (1 - tau) / tau * (tau**2 + (1 - tau) ** 2) / (1 - tau) ** 2
        x = (x + (v + min(beta, ratio) * g) / steps).detach()
    return x[..., : drawn.ACTION]


@pytest.mark.parametrize("name", GUIDANCES.names)
def test_a_guided_chunk_is_the_formulas(model, monkeypatch, name):
    noise = drawn.chunk_and_noise()[1].double()
    made = batch(torch.linspace(1, 0, drawn.CHUNK, dtype=torch.float64))
    expected = by_formula(model, made, noise, name == "gradient")
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: noise)
    with torch.no_grad():
        found, hidden = model.act_guided(made, load_guidance(GuidanceSettings(name, BETA)))
        free = model.act(made)[0]
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    assert not hidden.requires_grad
    assert (found - free).abs().max() > 0.01, "it makes a difference"


def test_without_weights_a_guided_chunk_is_the_plain_one(model, monkeypatch):
    noise = drawn.chunk_and_noise()[1].double()
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: noise)
    made = batch(torch.zeros(drawn.CHUNK, dtype=torch.float64))
    with torch.no_grad():
        found, _ = model.act_guided(made, load_guidance(GuidanceSettings("gradient", BETA)))
        torch.testing.assert_close(found, model.act(made)[0])
