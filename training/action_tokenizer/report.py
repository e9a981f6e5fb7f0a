"""What a tokenizer loses, and what that costs.

A tokenizer is measured beside uniform bins and FAST of many finenesses, so that it can be compared at equal bits and at
equal error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from substep_policy.action_tokenizers.fast import FastTokenizer
from substep_policy.action_tokenizers.folder import ChunkTokenizer
from substep_policy.action_tokenizers.rfsq import RfsqTokenizer
from training.action_tokenizer.chunks import ActionChunks
from training.action_tokenizer.measure import (
    LayerUse,
    TokenizerFigures,
    bins_row,
    code_use,
    fast_curve,
    published_bins_row,
    row,
)

BIN_BITS = range(2, 15)


@dataclass(frozen=True)
class TokenizerReport:
    """A tokenizer's rows beside others'.

    Attributes:
        fast, bins: FAST and uniform bins, from coarse to fine.
        published_bins: 256 bins.
        clipped: of FAST, the share of coefficients outside of the fitted range, which are cut off.
    """

    chunks: str
    rows: tuple[TokenizerFigures, ...]
    fast: tuple[TokenizerFigures, ...]
    bins: tuple[TokenizerFigures, ...]
    published_bins: TokenizerFigures
    use: tuple[LayerUse, ...] = ()
    clipped: float | None = None

    def __str__(self) -> str:
        heads = [f"{error.group}, {error.unit}" for error in self.published_bins.groups]
        titles = f"{'mean (p99) a step':<20}{'bits':>7}" + "".join(f"{head:>24}" for head in heads)
        beside = f"{'bits at this error: FAST, bins':>34}{'error at these bits: FAST, bins':>34}"
        lines = [self.chunks, titles + beside]
        lines += [_line(row) + self._beside(row) for row in (*self.rows, self.published_bins)]
        lines += [
            f"layer {use.layer}: {use.used:.0%} of the codes in use, {use.entropy:.2f} bits a code" for use in self.use
        ]
        if self.clipped is not None:
            lines.append(f"{self.clipped:.3%} of the coefficients lie outside of the fitted range and are cut off")
        return "\n".join(lines)

    def _beside(self, row: TokenizerFigures) -> str:
        bits = [_told(bits_at(curve, row.rms), "{:.0f}") for curve in (self.fast, self.bins)]
        errors = [_told(error_at(curve, row.bits), "{:.2g}", row.rms) for curve in (self.fast, self.bins)]
        return f"{', '.join(bits):>34}{', '.join(errors):>34}"

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def _line(row: TokenizerFigures) -> str:
    return f"{row.name:<20}{row.bits:>7.0f}" + "".join(f"{error!s:>24}" for error in row.groups)


def _told(value: float, form: str, reference: float | None = None) -> str:
    """A number, or how many times the reference it is; a dash beyond what was measured."""
    if math.isnan(value):
        return "–"
    return form.format(value) if reference is None else f"{form.format(value / reference)}×"


def report(tokenizer: ChunkTokenizer, chunks: ActionChunks) -> TokenizerReport:
    """Measure a tokenizer on held-out chunks, or on those of training where none are held out."""
    actions, which = chunks.measured
    rows = tuple(row(tokenizer, actions, fineness) for fineness in range(1, tokenizer.finenesses + 1))
    use = code_use(tokenizer, actions) if isinstance(tokenizer, RfsqTokenizer) else ()
    return TokenizerReport(
        f"{len(actions)} {which} chunks of {chunks.space.chunk_length} actions",
        rows,
        fast_curve(chunks, actions),
        tuple(bins_row(chunks.space, actions, bits) for bits in BIN_BITS),
        published_bins_row(chunks.space, actions),
        use,
        tokenizer.clipped(actions) if isinstance(tokenizer, FastTokenizer) else None,
    )


def bits_at(curve: Sequence[TokenizerFigures], rms: float) -> float:
    """Bits at which a curve has this error; NaN beyond what was measured."""
    return _interpolate(curve, rms, lambda row: math.log(max(row.rms, 1e-12)), lambda row: row.bits, math.log)


def error_at(curve: Sequence[TokenizerFigures], bits: float) -> float:
    """Error that a curve has at so many bits; NaN beyond what was measured."""
    logarithm = _interpolate(curve, bits, lambda row: row.bits, lambda row: math.log(max(row.rms, 1e-12)), float)
    return math.exp(logarithm)


def _interpolate(
    curve: Sequence[TokenizerFigures],
    at: float,
    place: Callable[[TokenizerFigures], float],
    value: Callable[[TokenizerFigures], float],
    convert: Callable[[float], float],
) -> float:
    """Between the two rows beside ``at``, linearly in errors' logarithms."""
    points = sorted((place(row), value(row)) for row in curve)
    places, values = zip(*points, strict=True)
    return float(np.interp(convert(max(at, 1e-12)), places, values, left=math.nan, right=math.nan))
