"""Whether the sizes that a configuration states are those of the weights: their files' headers tell, before any model
of these sizes is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from substep_policy.checkpoints.folder import CheckpointError, read_state
from substep_policy.models.openvla.config import OpenVLAConfig

LLAMA, TRANSFORMERS = "language_model.model.", {"dinov2": "featurizer", "siglip": "fused_featurizer"}


def check_sizes(config: OpenVLAConfig, files: tuple[Path, ...], stated_by: Path | str) -> None:
    """Raises: CheckpointError: a file is missing or damaged, or the weights in them are of other sizes."""
    if wrong := size_misfits(config, files):
        raise CheckpointError(f"{stated_by} is not about the weights in {files[0]}: {'; '.join(wrong)}")


def size_misfits(config: OpenVLAConfig, files: tuple[Path, ...]) -> list[str]:
    """In words, each size that the weights have otherwise. Raises: CheckpointError: a file is missing or damaged."""
    shapes: dict[str, Tensor] = {}
    for path in files:
        shapes |= read_state(path, "meta")
    return [
        f"{name} is {stated}, the weights have {shown}"
        for name, stated, shown in _sizes(config, shapes)
        if shown is not None and shown != stated
    ]


def _sizes(config: OpenVLAConfig, shapes: Mapping[str, Tensor]) -> Iterator[tuple[str, int, int | None]]:
    """Name in config.json, what is stated, and what the weights show: None where they do not."""
    llama = config.language_model
    yield "text_config.hidden_size", llama.width, _length(shapes, f"{LLAMA}embed_tokens.weight", 1)
    yield "text_config.vocab_size", llama.vocabulary_size, _length(shapes, f"{LLAMA}embed_tokens.weight", 0)
    yield "text_config.num_hidden_layers", llama.layers, _count(shapes, f"{LLAMA}layers.")
    yield "text_config.intermediate_size", llama.mlp_width, _length(shapes, f"{LLAMA}layers.0.mlp.gate_proj.weight", 0)
    for name, module in TRANSFORMERS.items():
        size, stated, prefix = getattr(config, name), f"substep.backbone.{name}", f"vision_backbone.{module}."
        yield f"{stated}.width", size.width, _length(shapes, f"{prefix}patch_embed.proj.weight", 0)
        yield f"{stated}.layers", size.layers, _count(shapes, f"{prefix}blocks.")
        yield f"{stated}.mlp_width", size.mlp_width, _length(shapes, f"{prefix}blocks.0.mlp.fc1.weight", 0)


def _length(shapes: Mapping[str, Tensor], key: str, axis: int) -> int | None:
    return shapes[key].shape[axis] if key in shapes and axis < shapes[key].dim() else None


def _count(shapes: Mapping[str, Tensor], prefix: str) -> int | None:
    """Of layers, whose names begin with ``prefix`` and a number."""
    numbers = {key.removeprefix(prefix).partition(".")[0] for key in shapes if key.startswith(prefix)}
    return len(numbers) or None
