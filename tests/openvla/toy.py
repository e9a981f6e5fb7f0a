"""OpenVLA-OFT at toy size: its sizes, and weights and inputs drawn by name, the same for everybody who asks."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.heads import DecoderConfig, L1HeadConfig
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.config import (
    LanguageModelConfig,
    LlamaTokens,
    OpenVLAConfig,
    VisionTransformerConfig,
)
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.published_keys import film_key, is_film, shard_key

WIDTH = 32  # of the language model
ACTION_IDS = 256  # after the words
PROMPT = (1, 3, 5, 7, 8, 10, 13)  # BOS, some words, the empty token
WORDS = ("<unk>", "<s>", "</s>", "in", "out", ":", "?", "what", "robot", "pick", "up", "the", "bowl", "", "<pad>", "on")

DINOV2 = VisionTransformerConfig(
    width=16,
    layers=3,
    heads=2,
    mlp_width=32,
    register_tokens=4,
    layer_scale=0.5,
    class_token=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
SIGLIP = VisionTransformerConfig(width=24, layers=3, heads=2, mlp_width=40, attention_pooling=True)
LANGUAGE_MODEL = LanguageModelConfig(
    width=WIDTH,
    layers=2,
    heads=4,
    key_value_heads=4,
    mlp_width=48,
    vocabulary_size=len(WORDS) + ACTION_IDS + 8,
    padding_rows=8,
    max_positions=256,
)


def toy_backbone(film: bool = False) -> OpenVLAConfig:
    tokens = LlamaTokens(bos=1, eos=2, empty=13, pad=14)
    return OpenVLAConfig(
        dinov2=DINOV2,
        siglip=SIGLIP,
        language_model=LANGUAGE_MODEL,
        tokens=tokens,
        image_size=56,
        chunk_length=3,
        film=film,
    )


def toy_config(action_head: DecoderConfig, film: bool = False, **more: object) -> OpenVLAModelConfig:
    return OpenVLAModelConfig(
        robot=load_robot(LIBERO_PANDA), backbone=toy_backbone(film), action_head=action_head, **more
    )


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Float64 numbers that depend on name and shape alone; no weight is left at a value that hides mistakes."""
    random = np.random.RandomState(zlib.crc32(name.encode()))  # whose stream numpy keeps as it is
    mean = 0.1 if len(shape) == 1 else 0.0
    return torch.from_numpy(random.normal(mean, 0.3, shape))


def inputs() -> dict[str, Tensor]:
    """One sample: two images, proprioception, a prompt with its slots and ``</s>``."""
    config = toy_config(L1HeadConfig())
    ids = [*PROMPT, *[0] * config.action_slots, config.backbone.tokens.eos]
    size = config.backbone.image_size
    return {
        "pixel_values": 3 * drawn("pixel_values", (1, len(config.cameras), 6, size, size)),
        "proprio": drawn("proprio", (1, 8)),
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.bool),
        "slot_start": torch.tensor([len(PROMPT)]),
    }


def drawn_model(config: OpenVLAModelConfig) -> SubstepModel:
    """The project's model in float64, every weight drawn by its published name."""
    model = build_openvla(config).double().eval()
    state = {}
    for key, value in model.backbone.state_dict().items():
        state[f"backbone.{key}"] = drawn(film_key(key) if is_film(key) else shard_key(key), tuple(value.shape))
    for name, head in model.heads.items():
        shapes = {f"{name}.{key}": tuple(value.shape) for key, value in head.state_dict().items()}
        state |= {key: drawn(key, shape) for key, shape in shapes.items()}
    model.load_state_dict(state)
    return model
