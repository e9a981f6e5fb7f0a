"""Sizes of networks as a configuration may state them: what any machine could hold, and what a layer can have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Layers = Annotated[int, Field(ge=1, le=1000)]
Heads = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=2**17)]
Vocabulary = Annotated[int, Field(ge=1, le=2**22)]
Tokens = Annotated[int, Field(ge=1, le=2**16)]
Pixels = Annotated[int, Field(ge=1, le=2**12)]
Actions = Annotated[int, Field(ge=1, le=2**12)]  # of a chunk
Steps = Annotated[int, Field(ge=1, le=10_000)]  # from noise to actions

STEM_STRIDE = 4  # of image networks: at full and half resolution a processor spends its time on memory, not arithmetic


def check_stages(widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    """Raises: ValueError: an image network needs one number of blocks for each width behind its stem's."""
    if not blocks or len(blocks) != len(widths) - 1:
        raise ValueError(
            f"vision blocks {blocks} need one entry per stage, {len(widths) - 1} for vision widths {widths}"
        )
