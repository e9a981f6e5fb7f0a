"""Heads of a model that is to start from a checkpoint, which may lack some of them."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from substep_policy.checkpoints.folder import has_component
from substep_policy.models.fixed import FixedModule
from substep_policy.models.model import SubstepModel

log = logging.getLogger("training.train.models")


def begin_heads(model: SubstepModel, checkpoint: Path, new_heads: bool) -> list[str]:
    """Names of the heads that the checkpoint has. Others begin: as their decoder says, else at random, and it is said.

    Args:
        new_heads: decoder and EOS head begin anew (``begin_anew``), whatever the checkpoint has.

    Raises:
        CheckpointError: a part that was to be trained beforehand cannot be had.
    """
    there = [name for name in model.heads if has_component(checkpoint, name)]
    if new_heads:
        return [name for name in there if model.heads[name] is model.proprio_projector]
    if not any(name in there for name in model.decoder.parts):
        model.decoder.begin()
    for name, head in model.heads.items():
        if name not in there and not isinstance(head, FixedModule):
            log.warning("%s has no %s: it starts from random weights", checkpoint, name)
    return there


def begin_anew(model: SubstepModel) -> None:
    """Decoder and EOS head as if no checkpoint had any; backbone and projector stay as they are.

    Raises:
        CheckpointError: a part that was to be trained beforehand cannot be had.
    """
    model.decoder.begin()
    parts = [*model.decoder.parts.values(), *([] if model.eos_head is None else [model.eos_head])]
    for part in parts:
        if not isinstance(part, FixedModule):
            _reset(part)


def make(head: nn.Module) -> None:
    """Give a head that was made on the meta device random weights, in float32."""
    head.to_empty(device="cpu")
    _reset(head)


def _reset(head: nn.Module) -> None:
    for module in head.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
