"""Where action tokens stand among the tokens of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class VocabularyPlace:
    """Where action tokens stand in a language model's vocabulary: counted down from its end.

    Attributes:
        vocabulary_size: of the language model.
        skipped: ids at its end that are left alone, such as PaliGemma's 128 of segmentation.
    """

    vocabulary_size: int
    skipped: int = 128

    def to_language_model(self, ids: Sequence[int]) -> list[int]:
        """Action tokens -> ids of the language model."""
        return [self.vocabulary_size - 1 - self.skipped - number for number in ids]

    from_language_model = to_language_model  # its own inverse
