"""Fits a FAST tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_policy.action_tokenizers.fast import FastTokenizer
from training.action_tokenizer.chunks import ActionChunks


@configuration
class FastFitting:
    """Implements ``training.action_tokenizer.command.Fitting``.

    Attributes:
        scale: steps a unit that coefficients are rounded to.
        vocabulary_size: most tokens.
    """

    type: Literal["fast"] = "fast"
    scale: float = Field(default=10.0, gt=0)
    vocabulary_size: int = Field(default=1024, ge=2)

    def fit(self, chunks: ActionChunks, out: Path) -> None:
        FastTokenizer.fit(chunks.training, chunks.space, self.scale, self.vocabulary_size).save(out)
