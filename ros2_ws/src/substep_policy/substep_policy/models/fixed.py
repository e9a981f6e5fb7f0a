"""Networks that a model computes with and does not train."""

from __future__ import annotations

from torch import nn


class FixedModule(nn.Module):
    """Its weights are buffers: no optimizer sees them, a sharded model keeps them whole, and a checkpoint holds them in
    the numbers they were made with, whatever the rest of the model is kept in.
    """

    def fix(self) -> None:
        """Turn all parameters into buffers of the same names."""
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach())
