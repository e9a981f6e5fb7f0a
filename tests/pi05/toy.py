"""The project's π0.5 at toy size, with the weights that LeRobot's had when ``golden.npz`` was written."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.models.pi05.config import GemmaSize, Pi05Config, SiglipSize
from substep_policy.models.pi05.flow_matching import FlowMatchingConfig
from substep_policy.models.pi05.model import Pi05Model, Pi05ModelConfig, build_pi05
from substep_policy.models.pi05.published_keys import published_key
from tests.pi05 import drawn as toy

SHARED = {"layers": toy.LAYERS, "heads": toy.HEADS, "key_value_heads": toy.KEY_VALUE_HEADS, "head_dim": toy.HEAD_DIM}
BACKBONE = Pi05Config(
    vision=SiglipSize(
        width=toy.VISION_WIDTH, layers=toy.VISION_LAYERS, heads=toy.VISION_HEADS, mlp_width=toy.VISION_MLP
    ),
    language_model=GemmaSize(width=toy.WIDTH, mlp_width=toy.MLP, **SHARED),
    expert=GemmaSize(width=toy.EXPERT_WIDTH, mlp_width=toy.EXPERT_MLP, **SHARED),
    vocabulary_size=toy.VOCABULARY,
    image_size=toy.IMAGE_SIZE,
    chunk_length=toy.CHUNK,
)


def toy_config(**backbone: object) -> Pi05ModelConfig:
    return Pi05ModelConfig(
        robot=load_robot(LIBERO_PANDA),
        backbone=dataclasses.replace(BACKBONE, **backbone),
        action_head=FlowMatchingConfig(width=toy.PADDED_ACTION, sampling_steps=toy.STEPS),
    )


def drawn_model(config: Pi05ModelConfig) -> Pi05Model:
    """Every weight drawn by its published name."""
    model = build_pi05(config).eval()
    state = model.state_dict()
    model.load_state_dict({key: toy.drawn(published_key(key), tuple(value.shape)) for key, value in state.items()})
    return model


def inputs() -> dict[str, Tensor]:
    """A batch of two prompts of different lengths."""
    ids, present = toy.words()
    return {
        "pixel_values": torch.stack([image * 2 - 1 for image in toy.images()], dim=1),
        "input_ids": ids,
        "attention_mask": present,
        "answer_start": present.sum(dim=1),
    }
