"""Which number type a large model runs in, and its way from a checkpoint folder to a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from substep_policy.device import choose_device
from substep_policy.memory import TooLargeError
from substep_policy.models.model import SubstepModel
from substep_policy.models.quantization import check_quantization, quantize
from substep_policy.run_modes import Quantization

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings

LoadModel = Callable[[Path, torch.device, torch.dtype], tuple[Any, SubstepModel]]


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """ "auto" is what the published weights are kept in, bfloat16, on a GPU, and float32 on a CPU."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, dtype)


def load_to_run(load_model: LoadModel, folder: Path, settings: PolicySettings) -> Any:
    """The model of a checkpoint folder on the device, in the number type and quantised as ``settings`` say.

    Args:
        load_model: folder, device and number type -> configuration and model.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow.
        TooLargeError: the weights do not fit into the memory of the device, or of the computer.
    """
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    check_quantization(settings.quantization, device)
    try:
        # What is to be quantised must not arrive on the device as it is: it may not fit.
        arrives = device if settings.quantization is Quantization.NONE else torch.device("cpu")
        _, model = load_model(folder, arrives, dtype)
        quantize(model, settings.quantization, device)
    except torch.OutOfMemoryError as error:
        raise TooLargeError(
            f"{folder} in {dtype} does not fit into the memory of {device}: {error}; take a smaller number type, "
            "quantization (int8 halves bfloat16), or a GPU with more memory"
        ) from error
    return model
