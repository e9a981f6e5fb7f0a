"""Writes ``golden.npz``: what OpenVLA-OFT answers at toy size, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.openvla import make_image_golden, reference
from tests.openvla.toy import drawn, inputs

FILE = Path(__file__).parent / "golden.npz"
TRAIN_STEPS, SAMPLING_STEPS = 6, 3


def quantiles() -> tuple[torch.Tensor, torch.Tensor]:
    """(7,) q01 and q99 of the actions."""
    spread = drawn("spread", (7,)).abs() / 4 + 0.1
    return -spread, spread + 0.05


def seen() -> dict[str, torch.Tensor]:
    """The sample with the two cameras' images as TensorFlow prepared them, normalised."""
    with np.load(make_image_golden.FILE) as file:
        prepared = [file[f"{camera}/prepared/{make_image_golden.TOY}"] for camera in ("agentview", "eye_in_hand")]
    return inputs() | {"pixel_values": reference.pixels(prepared)}


def actions_from(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """(C, 7) in LIBERO's convention."""
    return reference.libero_actions(reference.l1_actions(reference.hidden_states(batch)), *quantiles())


@torch.inference_mode()
def answers() -> dict[str, np.ndarray]:
    batch, noise = inputs(), 3 * drawn("noise", (1, reference.CHUNK, reference.ACTION))
    patches = reference.vision(batch["pixel_values"])
    hidden = reference.hidden_states(batch)
    logits = reference.token_logits(hidden)
    l1 = reference.l1_actions(hidden)
    found = {
        "vision": patches,
        "projector": reference.projected(patches),
        "proprio": reference.proprio_token(batch["proprio"]),
        "hidden": hidden,
        "hidden_causal": reference.hidden_states(batch, causal=True),
        "hidden_film": reference.hidden_states(batch, film=True),
        "l1": l1,
        "eos": reference.eos_probabilities(hidden),
        "predict_action": reference.libero_actions(l1, *quantiles()),
        "token_logits": logits,
        "token_actions": reference.token_actions(logits),
        "image_to_action": reference.libero_actions(
            reference.l1_actions(reference.hidden_states(seen())), *quantiles()
        ),
        "diffusion": reference.diffusion_actions(batch, noise, TRAIN_STEPS, SAMPLING_STEPS),
    }
    return {name: value.numpy() for name, value in found.items()}


if __name__ == "__main__":
    np.savez_compressed(FILE, **answers())
