"""The losses of OpenVLA's heads: what they see, and how far their gradients reach."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.heads import (
    ActionTargets,
    InSequenceDiffusionConfig,
    L1HeadConfig,
    NoisePredictionHead,
    TokenHeadConfig,
)
from substep_policy.heads.in_sequence_diffusion import DenoisingStep
from substep_policy.models.openvla.config import OpenVLAConfig
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla

ROBOT = load_robot(LIBERO_PANDA)
HEADS = [
    L1HeadConfig(hidden_dim=32),
    InSequenceDiffusionConfig(hidden_dim=32, train_steps=8, sampling_steps=4),
    TokenHeadConfig(),
]


def toy_batch(config: OpenVLAModelConfig) -> dict[str, Tensor]:
    length = 4 + config.action_slots + 1
    return {
        "pixel_values": torch.randn(2, 2, 6, 56, 56),
        "proprio": torch.randn(2, 8),
        "input_ids": torch.ones(2, length, dtype=torch.int64),
        "attention_mask": torch.ones(2, length, dtype=torch.bool),
        "slot_start": torch.tensor([4, 4]),
    }


def targets(mask: bool = True) -> ActionTargets:
    actions = torch.rand(2, 3, 7) * 2 - 1
    return ActionTargets(actions, torch.full((2, 3), mask), torch.zeros(2, 3, 1))


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_the_action_loss_reaches_vision_language_model_and_projectors(token_openvla: OpenVLAConfig, head) -> None:
    torch.manual_seed(0)
    backbone = dataclasses.replace(token_openvla, film=True)
    config = OpenVLAModelConfig(robot=ROBOT, backbone=backbone, action_head=head)
    model = build_openvla(config)
    loss, hidden = model.action_loss(toy_batch(config), targets())
    assert hidden.shape == (2, config.action_slots, 32)
    loss.backward()
    parts = [
        model.backbone.vision_backbone.featurizer.blocks[0].attn.qkv.weight,
        model.backbone.vision_backbone.film["fused_featurizer"][0].scale.weight,
        model.backbone.language_model.model.layers[0].self_attn.q_proj.weight,
        model.proprio_projector.fc1.weight,
        *(module.weight for name, module in model.named_modules() if name == "noisy_action_projector.fc1"),
    ]
    assert all(float(part.grad.abs().max()) > 0 for part in parts)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_actions_that_do_not_count_cost_nothing(token_openvla: OpenVLAConfig, head) -> None:
    config = OpenVLAModelConfig(robot=ROBOT, backbone=token_openvla, action_head=head)
    loss, _ = build_openvla(config).action_loss(toy_batch(config), targets(mask=False))
    assert float(loss.detach()) == 0.0


@pytest.mark.parametrize("use_substep_eos", [True, False])
def test_a_boundary_teaches_eos_among_the_tokens_where_it_is_configured(
    token_openvla: OpenVLAConfig, use_substep_eos: bool
) -> None:
    head = TokenHeadConfig(use_substep_eos=use_substep_eos)
    config = OpenVLAModelConfig(robot=ROBOT, backbone=token_openvla, action_head=head)
    model = build_openvla(config).eval()
    batch, goal = toy_batch(config), targets()
    before, _ = model.action_loss(batch, goal)
    goal.eos_labels[:, 1] = 1.0
    assert torch.equal(model.action_loss(batch, goal)[0], before) is not use_substep_eos


def test_new_film_layers_change_nothing(toy_openvla: OpenVLAConfig) -> None:
    torch.manual_seed(0)
    config = OpenVLAModelConfig(robot=ROBOT, backbone=toy_openvla, action_head=HEADS[0])
    plain = build_openvla(config).eval()
    filmed = build_openvla(dataclasses.replace(config, backbone=dataclasses.replace(toy_openvla, film=True))).eval()
    missing = filmed.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all(".film." in key for key in missing)
    batch = toy_batch(config)
    with torch.inference_mode():
        torch.testing.assert_close(filmed(batch), plain(batch), rtol=0, atol=1e-5)


def test_the_sampler_undoes_the_noise_of_training() -> None:
    """One step from any noise level to none, with the true noise, gives the actions back."""
    head = NoisePredictionHead(
        InSequenceDiffusionConfig(hidden_dim=8, train_steps=8, sampling_steps=8), 4, action_dim=7
    )
    levels = {step.timestep: step.alpha_bar for step in head.steps()}
    assert sorted(levels) == list(range(8))
    actions = torch.rand(200, 3, 7, dtype=torch.float64) * 2 - 1
    noisy, noise, timesteps = head.corrupt(actions)
    assert set(timesteps.tolist()) == set(levels)
    for i, timestep in enumerate(timesteps.tolist()):
        restored = head.denoise(noisy[i], noise[i], DenoisingStep(timestep, levels[timestep], 1.0))
        torch.testing.assert_close(restored, actions[i], rtol=0, atol=1e-6)
