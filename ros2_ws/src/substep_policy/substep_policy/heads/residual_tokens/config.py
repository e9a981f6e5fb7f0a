"""What both heads of residual codes are configured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from substep_core.configuration import configuration
from substep_policy.action_tokenizers.rfsq import NamedRfsq
from substep_policy.eos import EosSource
from substep_policy.heads.decoder import CONTINUOUS, DecoderShape, Vocabulary
from substep_policy.models.sizes import Width


@dataclass(frozen=True)
class CodeTokens:
    """The codes of the coarsest layer, and EOS as one more."""

    levels: int

    @property
    def eos_token_id(self) -> int:
        return self.levels

    @property
    def vocabulary_size(self) -> int:
        return self.levels + 1


@configuration
class ResidualTokensConfig:
    """Fields of both heads.

    Attributes:
        action_tokenizer: the folder of a fitted RFSQ tokenizer; in a checkpoint, its configuration.
        layers: how many of the tokenizer's are predicted, the coarsest; None: all.
        hidden_dim, blocks: of the MLP over an action's hidden states.
        chain_dim: features of each scalar that is coded.
        layer_discount: weight of a layer's loss relative to that of the layer before it: fine layers are noise.
        use_substep_eos: train EOS where a substep ends in the chunk; without it EOS cannot be read from codes.
    """

    action_tokenizer: NamedRfsq = Field(kw_only=True)
    layers: int | None = Field(default=None, ge=1)
    hidden_dim: Width = 512
    blocks: int = Field(default=2, ge=0, le=1000)
    chain_dim: Width = 32
    layer_discount: float = Field(default=0.5, gt=0, le=1)
    use_substep_eos: bool = True

    fills_slots: ClassVar[bool] = False

    def __post_init__(self) -> None:
        there = self.action_tokenizer.network.layers
        if self.layers is not None and self.layers > there:
            raise ValueError(f"layers is {self.layers}, the action tokenizer has {there}")

    @property
    def kept(self) -> int:
        """Layers that are predicted."""
        return self.action_tokenizer.network.layers if self.layers is None else self.layers

    @property
    def eos_sources(self) -> frozenset[EosSource]:
        return CONTINUOUS | {EosSource.TOKEN} if self.use_substep_eos else CONTINUOUS

    def tokenizer(self, vocabulary: Vocabulary | None) -> CodeTokens:
        """Of its own, whatever the backbone's vocabulary is."""
        return CodeTokens(self.action_tokenizer.network.levels)

    def check_shape(self, shape: DecoderShape) -> None:
        """Raises: ValueError: the tokenizer is for chunks of another shape."""
        space = self.action_tokenizer.space
        if (space.chunk_length, space.width) != (shape.chunk_length, shape.action_dim):
            raise ValueError(
                f"the action tokenizer {self.action_tokenizer.folder or ''} is for chunks ({space.chunk_length}, "
                f"{space.width}), and the model's are ({shape.chunk_length}, {shape.action_dim})"
            )
