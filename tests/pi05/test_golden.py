"""π0.5 at toy size against ``golden.npz``: what LeRobot's own class answers with the same weights (``make_golden``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from substep_policy.heads import ActionTargets
from substep_policy.models.normalization import Statistics
from substep_policy.models.pi05.backbone import Pi05Prefix
from substep_policy.models.pi05.config import PromptConfig, StateScaling
from substep_policy.models.pi05.flow_matching import NoisyActions
from substep_policy.models.pi05.images import Pi05Images, pixels
from substep_policy.models.pi05.model import Pi05Model
from substep_policy.models.pi05.prompt import Pi05PromptBuilder, scaled, state_text
from substep_policy.models.pi05.published_keys import published_key
from tests.pi05 import drawn as toy
from tests.pi05.toy import BACKBONE, drawn_model, inputs, toy_config

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def model() -> Pi05Model:
    return drawn_model(toy_config(knowledge_insulation=False))


@pytest.fixture(scope="module")
def prefix(model) -> Pi05Prefix:
    with torch.no_grad():
        return model.backbone.encode(inputs())


def assert_golden(found: Tensor, expected: np.ndarray, where: Tensor | None = None) -> None:
    """``where``: (B, P) bool, the places that count; what padding attends to is of no account."""
    expected = torch.from_numpy(expected)
    if where is not None:
        found, expected = found[where], expected[where]
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_images(golden, model):
    """Patches of both cameras; and a picture that is no square is fitted into one."""
    with torch.no_grad():
        assert_golden(model.backbone.look(inputs()), golden["patches"])
    assert_golden(pixels(torch.from_numpy(toy.wide_image()[None]), toy.IMAGE_SIZE)[0], golden["pixels"])
    upright = toy.wide_image()[::-1].copy()[::-1]  # a view, as pictures are that were turned
    pictures = Pi05Images(model_config := toy_config())(dict.fromkeys(model_config.cameras, upright))
    assert_golden(torch.from_numpy(pictures[0]), golden["pixels"])


def test_prefix(golden, prefix):
    """Images and words see each other; an empty camera and padding of LeRobot's batch change nothing."""
    assert_golden(prefix.hidden, golden["prefix"], prefix.present)
    keys, values = prefix.keys_values[-1]
    assert_golden(keys[:, 0], golden["keys"][:, 0], prefix.present)
    assert_golden(values[:, 0], golden["values"][:, 0], prefix.present)


def test_a_causal_prefix_is_far_off(golden, model):
    """What a language model does when it is left alone."""
    batch = inputs() | {"answer_start": torch.zeros(2, dtype=torch.long)}
    with torch.no_grad():
        causal = model.backbone.encode(batch)
    with pytest.raises(AssertionError):
        assert_golden(causal.hidden, golden["prefix"], causal.present)


@torch.no_grad()
def test_expert_and_one_denoising_step(golden, model, prefix):
    _, noise = toy.chunk_and_noise()
    velocity, hidden = model.decoder.velocity(model.backbone, prefix, noise, torch.full((2,), toy.TIME))
    assert_golden(hidden, golden["expert"])
    assert_golden(velocity, golden["velocity"])


@torch.no_grad()
def test_a_whole_chunk(golden, model, monkeypatch):
    """From the same noise; and walking from actions to noise is another chunk."""
    _, noise = toy.chunk_and_noise()
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: noise)
    assert_golden(model.act(inputs())[0], golden["chunk"])
    velocity = model.decoder.velocity
    monkeypatch.setattr(
        model.decoder, "velocity", lambda backbone, prefix, x, time: velocity(backbone, prefix, x, 1 - time)
    )
    with pytest.raises(AssertionError):
        assert_golden(model.act(inputs())[0], golden["chunk"])


def test_loss_and_gradients(golden, model, monkeypatch):
    """Of every part, vision and words too: without insulation the actions' loss reaches all, as LeRobot trains."""
    actions, noise = toy.chunk_and_noise()
    t = toy.TIME
    noisy = NoisyActions(t * noise + (1 - t) * actions, torch.full((2,), t), noise - actions)
    monkeypatch.setattr(model.decoder, "noised", lambda actions: noisy)
    targets = ActionTargets(
        actions[..., : toy.ACTION], torch.ones(2, toy.CHUNK, dtype=torch.bool), torch.zeros(2, toy.CHUNK, 1)
    )
    loss, _ = model.action_loss(inputs(), targets)
    loss.backward()
    assert_golden(loss.detach(), golden["loss"])
    found = {published_key(name): weight.grad for name, weight in model.named_parameters()}
    names = [name for name in golden if name.startswith("gradient ") and name != "gradient of words"]
    for name in names:
        assert_golden(found[name.removeprefix("gradient ")], golden[name])
    assert len(names) == 12
    assert_golden(model.backbone.language_model.embed_tokens.weight.grad, golden["gradient of words"])


def test_prompts(golden):
    """State as LeRobot prints it, below −1 and above 1 too; proprioception as it is would be other numbers."""

    class Letters:
        def encode(self, text: str) -> list[int]:
            texts.append(text)
            return [3]

    def prompts(proprio: np.ndarray) -> list[str]:
        texts.clear()
        Pi05PromptBuilder(Letters(), BACKBONE, statistics).low([" pick_up the\nbowl "] * len(proprio), proprio)
        return list(texts)

    texts: list[str] = []
    low, high = np.linspace(-3, 1, 8), np.linspace(2, 3, 8)
    statistics = Statistics(low, high, low, high, low, high, np.ones(8, bool))
    proprio = (toy.states().astype(np.float64) + 1) / 2 * (high - low) + low
    assert prompts(proprio) == golden["prompts"].tolist()
    assert prompts(toy.states()) != golden["prompts"].tolist()


def test_a_padded_state_has_the_middle_for_what_is_not_there():
    assert state_text(np.array([-1.0, 1.0]), PromptConfig(padded_state=4)) == "0 255 128 128"


@pytest.mark.parametrize(
    ("scaling", "low", "high"), [(StateScaling.QUANTILES, -2.0, 4.0), (StateScaling.MEAN_STD, 1.0, 3.0)]
)
def test_a_state_is_scaled_as_the_configuration_says(scaling, low, high):
    """What never varied is −1, and what lies beyond is not cut off."""
    rows = ([2.0, 5.0], [1.0, 0.0], [-9.0, 5.0], [9.0, 5.0], [-2.0, 5.0], [4.0, 5.0])  # mean, std, min, max, q01, q99
    statistics = Statistics(*map(np.array, rows), np.ones(2, bool))
    state = np.array([[low, 5.0], [high, 5.0], [2 * high - low, 7.0]])
    np.testing.assert_allclose(scaled(state, statistics, scaling), [[-1, -1], [1, -1], [3, -1]])


def test_training_times(golden):
    """Rather near noise than near actions; the direction of time is LeRobot's."""
    torch.manual_seed(0)
    decoder = drawn_model(toy_config()).decoder
    times = decoder.noised(torch.zeros(20_000, 1, 1)).time
    mean, std, least, most = golden["times"]
    torch.testing.assert_close(times.mean().item(), float(mean), rtol=0, atol=0.01)
    torch.testing.assert_close(times.std().item(), float(std), rtol=0, atol=0.01)
    assert times.min() >= 0.001 and times.max() <= 1.0 and least >= 0.001 and most <= 1.0
