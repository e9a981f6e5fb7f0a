"""Weights of the large backbone in eight bits, by torchao."""

from __future__ import annotations

import torch
from torch import nn

from substep_policy.models.model import SubstepModel
from substep_policy.run_modes import Quantization

ALIGNMENT = 16  # 8-bit matrix products take layers whose sizes are multiples of it


def check_quantization(quantization: Quantization, device: torch.device) -> None:
    """Raises: ValueError: the device cannot do it."""
    if quantization is not Quantization.FP8_DYNAMIC:
        return
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        raise ValueError(f"quantization is {quantization.value!r}, which needs a GPU with 8-bit floats, not {device}")


def quantize(model: SubstepModel, quantization: Quantization, device: torch.device) -> None:
    """Quantise the backbone in place and move the model to ``device``.

    Layer after layer goes there, so that the device never holds the whole model unquantised.

    Raises:
        ValueError: the device cannot do it.
    """
    check_quantization(quantization, device)
    if quantization is not Quantization.NONE:
        from torchao.quantization import quantize_

        quantize_(model.backbone, _torchao_config(quantization), filter_fn=_is_quantized, device=device)
    model.to(device)


def _is_quantized(module: nn.Module, name: str) -> bool:
    """The output layer stays exact: discrete actions are told apart by it."""
    if not isinstance(module, nn.Linear) or name.endswith("lm_head"):
        return False
    return module.in_features % ALIGNMENT == 0 and module.out_features % ALIGNMENT == 0


def _torchao_config(quantization: Quantization):
    from torchao import quantization as torchao

    match quantization:
        case Quantization.INT8:
            return torchao.Int8WeightOnlyConfig()
        case Quantization.INT8_DYNAMIC:
            return torchao.Int8DynamicActivationInt8WeightConfig()
        case Quantization.FP8_DYNAMIC:
            return torchao.Float8DynamicActivationFloat8WeightConfig(granularity=torchao.PerRow())
    raise TypeError(f"{quantization} is not a quantization")
