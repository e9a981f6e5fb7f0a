"""What weights of a new π0.5 begin as, where they do not begin at random."""

from __future__ import annotations

import logging
import math

import torch

from substep_policy.models.compact.checkpoints import CHECKPOINTS as COMPACT_CHECKPOINTS
from substep_policy.models.pi05.model import Pi05Model
from substep_policy.models.pi05.tokenizer import HuggingFaceTokenizer
from substep_policy.registry import POLICIES

NUMBERS = tuple(str(number) for number in range(-1, 256))  # that a state is written in
NUMBER_PERIODS = 8.0, 1024.0  # of the sines that new embeddings of numbers begin as, the shortest and the longest

log = logging.getLogger("training.train.models")


def start_vision(model: Pi05Model, policy: str) -> None:
    """Fill the convolution with a compact policy's. Raises: ValueError: there is none, or its sizes are others."""
    own = model.backbone.vision_tower.state_dict()
    _, compact = COMPACT_CHECKPOINTS.load(POLICIES.folder(policy))
    weights = {name: value for name, value in compact.backbone.state_dict().items() if name in own}
    if unfit := [name for name, value in weights.items() if value.shape != own[name].shape]:
        name = unfit[0]
        raise ValueError(
            f"initial_vision is {policy}, whose {name} is {tuple(weights[name].shape)} and the model's "
            f"{tuple(own[name].shape)}: give model.backbone.vision, image_size and cameras its sizes"
        )
    model.backbone.vision_tower.load_state_dict(own | weights)
    log.info("vision starts from %s, the rest of the model from random weights", policy)


@torch.no_grad()
def start_numbers(model: Pi05Model, tokenizer: HuggingFaceTokenizer) -> None:
    """Fill the embeddings of ``NUMBERS`` with sines of the number: near numbers begin alike, as proprioception needs.

    With random ones every number's meaning would be learned for itself. They are of unit size after the factor of
    ``LanguageModel.embed``, as all others. A number of several tokens (−1) is left as it is.
    """
    embedding = model.backbone.language_model.embed_tokens.weight
    width = embedding.shape[1]
    shortest, longest = NUMBER_PERIODS
    angles = 2 * math.pi / torch.logspace(math.log10(shortest), math.log10(longest), width // 2)
    for number in NUMBERS:
        ids = tokenizer.encode(number)
        if len(ids) == 1:
            phases = int(number) * angles
            embedding[ids[0]] = torch.cat([phases.sin(), phases.cos()]) * math.sqrt(2 / width)
