"""Checkpoint folders of π0.5: LeRobot's, openpi's converted ones, and this project's own, which has openpi's names.

config.json  model.safetensors (or shards and their index)  [tokenizer.json]  [eos_head--N_checkpoint.pt]
policy_preprocessor.json  policy_postprocessor.json and their .safetensors (LeRobot)
assets/<data set>/norm_stats.json (openpi)      dataset_statistics.json (this project)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.folder import (
    BACKBONE_FILE,
    CheckpointError,
    component_file,
    model_files,
    read_state,
    save_tensors,
)
from substep_policy.checkpoints.part import CheckpointPart, head_parts, load_parts, without_weights
from substep_policy.models.pi05.model import Pi05Model, Pi05ModelConfig, build_pi05
from substep_policy.models.pi05.published_config import read_config, write_config
from substep_policy.models.pi05.published_keys import has_embedding, is_older, published_key, uniform

EOS_HEAD = "eos_head."
FLOW_PARTS = ("action_in_proj.", "action_out_proj.", "time_mlp_in.", "time_mlp_out.")


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Pi05ModelConfig, Pi05Model]:
    """The model with the checkpoint's weights, in ``eval()``. It is never given random ones on the way.

    What denoises (the projections of actions and time) stays in float32, as published.

    Raises:
        CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape.
        TooLargeError: the weights do not fit into the computer's memory.
    """
    config = read_config(folder)
    model = without_weights(build_pi05, config, folder / CONFIG_FILE)
    load_parts(folder, published_parts(folder, model), model, device, dtype)
    return config, model.eval()


def published_parts(folder: Path, model: Pi05Model) -> list[CheckpointPart]:
    """The file or the shards with all published weights, and the EOS head's file where the model has one."""
    names = {published_key(key): key for key in model.state_dict() if not key.startswith(EOS_HEAD)}
    exact = tuple(f"{name}." for name in model.decoder.parts)

    @cache
    def is_embedded() -> bool:
        return any(has_embedding(read_state(file, "meta")) for file in model_files(folder))

    def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if is_older(state):
            raise CheckpointError(f"{folder} holds a π0, which has a state token, and not a π0.5")
        found = uniform(state, is_embedded())
        # A model that says actions as tokens has no use for what a flow of them came in and went out by.
        return found if exact else {key: value for key, value in found.items() if not key.startswith(FLOW_PARTS)}

    return [
        CheckpointPart("model", model, lambda: model_files(folder), names, convert, exact),
        *head_parts(folder, model),
    ]


def save_model(
    folder: Path,
    config: Pi05ModelConfig,
    state: Mapping[str, Tensor],
    step: int | str,
    dtype: torch.dtype | None = None,
) -> None:
    """Write configuration and weights into an existing folder; statistics and tokenizer are the caller's.

    Args:
        state: the model's ``state_dict()``.
        step: in the name of the EOS head's file; may be ``LATEST``.
        dtype: of the numbers; None: as they are.
    """
    write_config(folder, config)
    ready = {key: value.detach().cpu().to(dtype or value.dtype).contiguous() for key, value in state.items()}
    head = {key.removeprefix(EOS_HEAD): value for key, value in ready.items() if key.startswith(EOS_HEAD)}
    weights = {published_key(key): value for key, value in ready.items() if not key.startswith(EOS_HEAD)}
    save_tensors(weights, folder / BACKBONE_FILE)
    if head:
        torch.save(head, folder / component_file(EOS_HEAD.removesuffix("."), step))
