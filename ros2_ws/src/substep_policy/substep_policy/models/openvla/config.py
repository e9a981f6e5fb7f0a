"""Sizes of an OpenVLA-OFT backbone. The defaults are those of the published 7.5 B checkpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_policy.models.sizes import Actions, Heads, Layers, Pixels, Vocabulary, Width


@configuration
class VisionTransformerConfig:
    """One vision transformer, and how its pixels are normalised.

    Attributes:
        width: of a patch token; mlp_width: of the feed-forward layers between.
        register_tokens: DINOv2's registers, which come after its class token.
        layer_scale: starting value of LayerScale; None: the model has none.
        class_token: the model has one.
        attention_pooling: the model carries SigLIP's pooling head; its weights are kept and never used.
        mean, std: of RGB in [0, 1].
    """

    width: Width
    layers: Layers
    heads: Heads
    mlp_width: Width
    register_tokens: int = Field(default=0, ge=0, le=1024)
    layer_scale: float | None = None
    class_token: bool = False
    attention_pooling: bool = False
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.layers < 2:
            raise ValueError(f"layers is {self.layers}: features come from the second-to-last block, so at least 2")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")


DINOV2_LARGE = VisionTransformerConfig(
    width=1024,
    layers=24,
    heads=16,
    mlp_width=4096,
    register_tokens=4,
    layer_scale=1e-5,
    class_token=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
SIGLIP_SO400M = VisionTransformerConfig(width=1152, layers=27, heads=16, mlp_width=4304, attention_pooling=True)


@configuration
class LanguageModelConfig:
    """A Llama. ``vocabulary_size`` counts the rows of the embedding, the last ``padding_rows`` stand for no text."""

    width: Width = 4096
    layers: Layers = 32
    heads: Heads = 32
    key_value_heads: Heads = 32
    mlp_width: Width = 11008
    vocabulary_size: Vocabulary = 32064
    padding_rows: int = 64
    norm_epsilon: float = 1e-6
    rope_theta: float = 10000.0
    max_positions: int = 2048

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")
        if not 0 <= self.padding_rows < self.vocabulary_size:
            raise ValueError(f"padding_rows is {self.padding_rows}, of a vocabulary of {self.vocabulary_size}")


@configuration
class LlamaTokens:
    """Ids that frame the sequence. ``empty`` closes every prompt: Llama's token of the lone space marker."""

    bos: int = Field(default=1, ge=0)
    eos: int = Field(default=2, ge=0)
    empty: int = Field(default=29871, ge=0)
    pad: int = Field(default=32000, ge=0)


@configuration
class OpenVLAConfig:
    """An OpenVLA-OFT backbone.

    Attributes:
        image_size: side of the square images in pixels.
        cameras: in the order in which their patches enter the sequence; empty: all of the robot's.
        chunk_length: actions of a chunk, each of which takes as many slots of the sequence as it has values.
        film: the instruction modulates the vision transformers (OpenVLA-OFT+).
    """

    type: Literal["openvla"] = "openvla"
    dinov2: VisionTransformerConfig = DINOV2_LARGE
    siglip: VisionTransformerConfig = SIGLIP_SO400M
    language_model: LanguageModelConfig = LanguageModelConfig()
    tokens: LlamaTokens = LlamaTokens()
    image_size: Pixels = 224
    patch_size: Pixels = 14
    cameras: tuple[str, ...] = ()
    chunk_length: Actions = 8
    film: bool = False

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        highest = max(self.tokens.bos, self.tokens.eos, self.tokens.empty, self.tokens.pad)
        if highest >= self.language_model.vocabulary_size:
            raise ValueError(
                f"token id {highest} is outside the vocabulary of {self.language_model.vocabulary_size} tokens"
            )


PUBLISHED = OpenVLAConfig()
