"""Names of the backbone's weights in the published files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

FILM_KEY = re.compile(r"vision_backbone\.film\.(\w+)\.(\d+)\.(.+)")
BLOCK_KEY = re.compile(r"(vision_backbone\.\w+\.blocks\.\d+)\.(.+)")
BASE, DOWN, UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def shard_key(key: str) -> str:
    """In the shards, LayerScale's weight is called scale_factor: transformers once renamed any gamma to weight."""
    is_layer_scale = key.startswith("vision_backbone.") and key.endswith((".ls1.gamma", ".ls2.gamma"))
    return key.removesuffix(".gamma") + ".scale_factor" if is_layer_scale else key


def film_key(key: str) -> str:
    """In the file of the vision trunk with FiLM, each block is wrapped together with its scale and shift."""
    if match := FILM_KEY.fullmatch(key):
        return f"vision_backbone.{match[1]}.blocks.{match[2]}.{match[3]}"
    return BLOCK_KEY.sub(r"\1.block.\2", shard_key(key))


def film_layer_key(key: str) -> str:
    """In the file of FiLM layers alone, of a LoRA run whose trunk is that of its base."""
    return key.removeprefix("vision_backbone.film.")


def is_film(key: str) -> bool:
    """Whether this is one of our names that only a trunk with FiLM has."""
    return FILM_KEY.fullmatch(key) is not None


def merge_lora(state: Mapping[str, Tensor], scale: float | None) -> dict[str, Tensor]:
    """A state that was saved with LoRA layers in it -> the same without: W + s · B·A; others stay as they are.

    Args:
        scale: s; None: min(r, 16) / r for rank r, as the published code trains.
    """
    merged = {}
    for key, value in state.items():
        if key.endswith((DOWN, UP)):
            continue
        name = key.replace(BASE, ".")
        stem = name.removesuffix(".weight")
        if BASE in key and key.endswith(".weight") and stem + DOWN in state and stem + UP in state:
            down, up = state[stem + DOWN].float(), state[stem + UP].float()
            factor = min(len(down), 16) / len(down) if scale is None else scale
            change = (up.flatten(1) @ down.flatten(1)).reshape(value.shape)
            value = (value.float() + factor * change).to(value.dtype)
        merged[name] = value
    return merged
