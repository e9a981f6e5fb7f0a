"""Residual finite scalar quantisation: every scalar as a few digits, the coarsest first.

With L levels, layer k tells which of L equal parts of the interval that the layers before it left a value lies in. So
codes are the digits of the value in base L, any number of leading ones decodes, and scales are fixed: L⁻ᵏ. Nothing of
the data is needed to decode.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ResidualQuantizer:
    """Scalars in [−1, 1] ↔ ``layers`` codes of ``levels`` values each."""

    layers: int
    levels: int

    def encode(self, values: Tensor) -> Tensor:
        """(…) -> int64 (…, layers); values beyond ±1 get the codes of the outermost part."""
        rest, codes = values.double().clamp(-1.0, 1.0), []
        for layer in range(self.layers):
            scale = float(self.levels) ** -layer
            code = ((rest / scale + 1.0) * (self.levels / 2)).floor().clamp(0, self.levels - 1)
            rest = rest - scale * self._centre(code)
            codes.append(code.long())
        return torch.stack(codes, dim=-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (…, k) of the first k layers -> float64 (…), at most levels⁻ᵏ off.

        Raises:
            ValueError: a code is none, or there are more layers than were made.
        """
        if codes.shape[-1] > self.layers:
            raise ValueError(f"codes of {codes.shape[-1]} layers, expected at most {self.layers}")
        if ((codes < 0) | (codes >= self.levels)).any():
            raise ValueError(f"codes are {codes.min().item()} to {codes.max().item()}, expected 0 to {self.levels - 1}")
        return self.parts(codes).sum(-1)

    def parts(self, codes: Tensor) -> Tensor:
        """Codes (…, k) -> float64 (…, k), what each layer adds to the value."""
        layers = torch.arange(codes.shape[-1], device=codes.device, dtype=torch.float64)
        return self._centre(codes.double()) * float(self.levels) ** -layers

    def _centre(self, code: Tensor) -> Tensor:
        """The middle of a part, at scale 1."""
        return (2 * code - (self.levels - 1)) / self.levels
