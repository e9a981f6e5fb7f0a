"""Names of π0.5's weights in published files: openpi's, and LeRobot's, which puts ``model.`` before them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from substep_policy.checkpoints.folder import CheckpointError

log = logging.getLogger(__name__)

STACK = "paligemma_with_expert."
VISION = f"{STACK}paligemma.model.vision_tower."
EMBEDDING = f"{STACK}paligemma.model.language_model.embed_tokens.weight"
OUTPUT = f"{STACK}paligemma.lm_head.weight"
UNUSED = f"{STACK}gemma_expert.lm_head.weight"  # the expert says no words
OWN = {
    "backbone.vision_tower.": f"{VISION}vision_model.",
    "backbone.projector.": f"{STACK}paligemma.model.multi_modal_projector.linear.",
    "backbone.language_model.": f"{STACK}paligemma.model.language_model.",
    "backbone.expert.": f"{STACK}gemma_expert.model.",
}


def published_key(key: str) -> str:
    """A name in ``Pi05Model.state_dict()`` -> the name in openpi's files."""
    for own, published in OWN.items():
        if key.startswith(own):
            return published + key.removeprefix(own)
    return key


def uniform(state: Mapping[str, Tensor], is_embedding_elsewhere: bool = False) -> dict[str, Tensor]:
    """A file's state -> the same by openpi's names, in whatever dialect it was.

    LeRobot's prefix goes; vision towers of later transformers lie one level higher; the embedding, which files leave
    out, is the output layer. The expert's output layer, a quarter of the expert's numbers, is never used and goes.

    Args:
        is_embedding_elsewhere: another file of the same weights holds it.

    Raises:
        CheckpointError: two names are the same weight's.
    """
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("model.")
        if name.startswith(VISION) and not name.startswith(f"{VISION}vision_model."):
            name = f"{VISION}vision_model.{name.removeprefix(VISION)}"
        if name in found:
            raise CheckpointError(f"the weights hold {name} twice, the second time as {key}: which one counts?")
        found[name] = value
    output = found.pop(OUTPUT, None)
    if output is not None and EMBEDDING in found:
        _compare(found[EMBEDDING], output)
    elif output is not None and not is_embedding_elsewhere:
        found[EMBEDDING] = output
    found.pop(UNUSED, None)
    return found


def has_embedding(names: Iterable[str]) -> bool:
    """Whether the embedding is among a file's weights, under its own name."""
    return any(name.removeprefix("model.") == EMBEDDING for name in names)


def _compare(embedding: Tensor, output: Tensor) -> None:
    """Here they are one; LeRobot trains them apart, as its π0.5 says no words."""
    if not embedding.is_meta and not torch.equal(embedding, output):
        log.warning("the output layer is not the embedding, as in models that say no words: the embedding is taken")


def is_older(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a π0, which has a state token, and time among the actions."""
    return any("action_time_mlp_in" in key or "state_proj" in key for key in state)
