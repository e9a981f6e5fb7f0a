"""Names of π0.5's weights in published files: openpi's, and LeRobot's, which puts ``model.`` before them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

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


def uniform(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's state -> the same by openpi's names, in whatever dialect it was.

    LeRobot's prefix goes; vision towers of later transformers lie one level higher; the embedding, which files leave
    out, is the output layer. The expert's output layer, a quarter of the expert's numbers, is never used and goes.
    """
    found = {}
    for key, value in state.items():
        name = key.removeprefix("model.")
        if name.startswith(VISION) and not name.startswith(f"{VISION}vision_model."):
            name = f"{VISION}vision_model.{name.removeprefix(VISION)}"
        found[name] = value
    output = found.pop(OUTPUT, None)
    if output is not None:
        found.setdefault(EMBEDDING, output)
    found.pop(UNUSED, None)
    return found


def is_older(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a π0, which has a state token, and time among the actions."""
    return any("action_time_mlp_in" in key or "state_proj" in key for key in state)
