"""Sizes of a π0.5 backbone. The defaults are those of the published 3.3 B checkpoints."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_policy.models.sizes import (
    STEM_STRIDE,
    Actions,
    Heads,
    Layers,
    Pixels,
    Tokens,
    Vocabulary,
    Width,
    check_stages,
)


@configuration
class SiglipSize:
    """A SigLIP vision transformer, as published.

    Attributes:
        mlp_width: of the feed-forward layers between.
        patch_size: side in pixels of what becomes a token.
    """

    type: Literal["siglip"] = "siglip"
    width: Width = 1152
    layers: Layers = 27
    heads: Heads = 16
    mlp_width: Width = 4304
    patch_size: Pixels = 14

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")


@configuration
class ToldWords:
    """The compact policy's encoder of an instruction, which tells the layers of its image network what to look for.

    Attributes:
        layers, heads: of a transformer as wide as the image tokens.
        max_tokens: of an instruction with its end; a longer one is refused.
    """

    layers: Layers = 2
    heads: Heads = 8
    max_tokens: Tokens = 32


class Folding(enum.StrEnum):
    """How a square of neighbouring patches becomes one token."""

    MEAN = "mean"  # their mean
    STACK = "stack"  # a projection of all of them, which begins as their mean


@configuration
class ConvolutionSize:
    """The compact policy's image network: few tokens, and quick on a processor.

    Attributes:
        widths, blocks, keypoints: as ``CompactConfig``.
        width: of the tokens and of what tells its layers which camera they look at.
        pooling: side of the square of patches that become one token.
        told: what encodes the words that its layers are told: the substep to act, the task to name the next one; None:
            they are told none.
    """

    type: Literal["convolution"] = "convolution"
    widths: tuple[Width, ...] = (64, 128, 256)
    blocks: tuple[Layers, ...] = (1, 2)
    keypoints: Width = 48
    width: Width = 256
    pooling: Pixels = 2
    folding: Folding = Folding.MEAN
    told: ToldWords | None = None

    def __post_init__(self) -> None:
        check_stages(self.widths, self.blocks)
        if self.told is not None and self.width % self.told.heads:
            raise ValueError(f"width {self.width} does not divide into {self.told.heads} heads of told")


Vision = Annotated[SiglipSize | ConvolutionSize, Field(discriminator="type")]


@configuration
class GemmaSize:
    """A Gemma: the language model, or the action expert beside it."""

    width: Width
    mlp_width: Width
    layers: Layers = 18
    heads: Heads = 8
    key_value_heads: Heads = 1
    head_dim: Width = 256

    def __post_init__(self) -> None:
        if self.heads % self.key_value_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.key_value_heads} key and value heads")
        if self.width % 2 or self.head_dim % 2:
            raise ValueError(f"width is {self.width} and head_dim {self.head_dim}, must be even")


GEMMA_2B = GemmaSize(width=2048, mlp_width=16_384)
GEMMA_300M = GemmaSize(width=1024, mlp_width=4096)
SHARED = ("layers", "heads", "key_value_heads", "head_dim")  # the expert attends to the language model layer by layer


class Conditioning(enum.StrEnum):
    """What the action expert attends to beside the images."""

    SUBTASK = "subtask"  # the low-level prompt alone, which has the substep and not the task (the published models)
    JOINT = "joint"  # the high-level prompt and the substep that answers it: one prefix serves both halves


class StateText(enum.StrEnum):
    """How proprioception enters."""

    DISCRETE = "discrete"  # as numbers from 0 to 255 in the prompt
    NONE = "none"  # not at all; openpi's discrete_state_input false


class StateScaling(enum.StrEnum):
    """What of the proprioception becomes −1 and 1."""

    QUANTILES = "quantiles"  # its 1st and 99th percentile
    MEAN_STD = "mean_std"  # one standard deviation below and above its mean


@configuration
class PromptConfig:
    """How prompts are written.

    Attributes:
        state: how proprioception enters; state_scaling: what of it becomes −1 and 1.
        padded_state: numbers of the state in the prompt, filled up with the middle (128); 0: as many as it has, as in
            every published checkpoint.
        max_tokens: of a prompt with its answer; a longer one is refused.
        max_answer_tokens: of the words for a substep.
    """

    state: StateText = StateText.DISCRETE
    state_scaling: StateScaling = StateScaling.QUANTILES
    padded_state: int = Field(default=0, ge=0, le=1024)
    max_tokens: Tokens = Field(default=200, ge=8)
    max_answer_tokens: Tokens = 48


@configuration
class GemmaTokens:
    """Ids of PaliGemma's tokenizer."""

    pad: int = Field(default=0, ge=0)
    eos: int = Field(default=1, ge=0)
    bos: int = Field(default=2, ge=0)


@configuration
class Pi05Config:
    """A π0.5 backbone.

    Attributes:
        vocabulary_size: rows of the embedding, which is the output layer too.
        image_size: side of the square images in pixels.
        render_size: side in pixels at which cameras are rendered for it, as in its training data.
        cameras: in the order in which their patches enter the sequence; empty: all of the robot's.
        chunk_length: actions of a chunk, a token of the expert each.
        knowledge_insulation: no loss of the actions reaches vision and language model (Driess et al. 2025).
    """

    type: Literal["pi05"] = "pi05"
    vision: Vision = SiglipSize()
    language_model: GemmaSize = GEMMA_2B
    expert: GemmaSize = GEMMA_300M
    vocabulary_size: Vocabulary = Field(default=257_152, ge=8)
    tokens: GemmaTokens = GemmaTokens()
    image_size: Pixels = 224
    render_size: Pixels = 256
    cameras: tuple[str, ...] = ()
    chunk_length: Actions = 50
    conditioning: Conditioning = Conditioning.SUBTASK
    prompt: PromptConfig = PromptConfig()
    knowledge_insulation: bool = True

    def __post_init__(self) -> None:
        if self.image_size % self.vision_stride:
            raise ValueError(f"image_size {self.image_size} is no multiple of {self.vision_stride}, a token's side")
        for name in SHARED:
            language, expert = getattr(self.language_model, name), getattr(self.expert, name)
            if language != expert:
                raise ValueError(f"the expert has {expert} {name} and the language model {language}: must be equal")
        if self.told is not None and self.conditioning is Conditioning.JOINT:
            raise ValueError(
                "vision.told is there and conditioning 'joint': what is told to act is not what is told to name the "
                "next substep, so images are looked at twice: expected conditioning 'subtask'"
            )
        if (highest := max(self.tokens.pad, self.tokens.eos, self.tokens.bos)) >= self.vocabulary_size:
            raise ValueError(f"token id {highest} is outside the vocabulary of {self.vocabulary_size} tokens")

    @property
    def told(self) -> ToldWords | None:
        """Of an image network whose layers are told words."""
        return self.vision.told if isinstance(self.vision, ConvolutionSize) else None

    @property
    def vision_stride(self) -> int:
        """Side in pixels of what a token of an image stands for."""
        if isinstance(self.vision, SiglipSize):
            return self.vision.patch_size
        return STEM_STRIDE * 2 ** len(self.vision.blocks) * self.vision.pooling


PUBLISHED = Pi05Config()
