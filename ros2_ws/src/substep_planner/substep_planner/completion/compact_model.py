"""The trained completion model: cameras and a substep's words to one logit, "this substep is done".

An image-text matching network: the words tell the image encoder what to look for (FiLM, Perez et al. 2018), then a few
queries look at image and word tokens together. Words are encoded once a plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from substep_core.configuration import configuration, dump, parse
from substep_core.hub import CONFIG_FILE
from substep_core.json_files import read_object
from substep_core.plan import Substep
from substep_policy.checkpoints.folder import CheckpointError, load_state
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.models.compact.backbone import CompactConfig, TextEncoder, TextFeatures
from substep_policy.models.compact.image_encoder import VisionEncoder
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.compact.preprocessing import resize
from substep_policy.models.compact.transformer import DecoderLayer
from substep_policy.models.sizes import Heads, Layers, Pixels, Tokens, Vocabulary, Width

WEIGHTS_FILE = "model.safetensors"
BETWEEN_TEXTS = " / "


@configuration
class CompletionConfig:
    """What the model sees, its sizes, and from which score on a frame shows the effect.

    Attributes:
        cameras: that it looks through, by name or role; none: training takes all that its frames show.
        image_size: side of its images in pixels.
        max_tokens: of a substep's words.
        vision_widths, vision_blocks: of the image encoder, as in ``CompactConfig``.
        width: of tokens.
        calibrated: the threshold was chosen on held-out demonstrations, and is no default.
    """

    model_type: Literal["completion"] = "completion"
    cameras: tuple[str, ...] = ()
    image_size: Pixels = 96
    max_tokens: Tokens = 48
    vision_widths: tuple[Width, ...] = (32, 64, 128)
    vision_blocks: tuple[Layers, ...] = (1, 2)
    vocabulary_size: Vocabulary = 1024
    text_layers: Layers = 2
    width: Width = 128
    heads: Heads = 4
    decoder_layers: Layers = 2
    queries: Tokens = 4
    dropout: float = 0.1
    threshold: float = 0.5
    calibrated: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold is {self.threshold}, must be a probability between 0 and 1")
        if self.image_size < 16:
            raise ValueError(f"image_size is {self.image_size}, must be at least 16 pixels")
        self.backbone()

    def backbone(self) -> CompactConfig:
        """The sizes of image and text encoder, checked."""
        return CompactConfig(
            vision_widths=self.vision_widths,
            vision_blocks=self.vision_blocks,
            vocabulary_size=self.vocabulary_size,
            text_layers=self.text_layers,
            width=self.width,
            heads=self.heads,
            dropout=self.dropout,
        )


class CompletionModel(nn.Module):
    """Frames and encoded words -> logits."""

    def __init__(self, config: CompletionConfig) -> None:
        super().__init__()
        if not config.cameras:
            raise ValueError("cameras is empty: the model needs at least one image")
        backbone = config.backbone()
        self.text_encoder = TextEncoder(backbone, config.max_tokens)
        self.vision_encoder = VisionEncoder(config.vision_widths, config.vision_blocks, config.width)
        self.vision_encoder.to(memory_format=torch.channels_last)
        self.camera_embedding = nn.Parameter(torch.randn(len(config.cameras), config.width) * 0.02)
        patches = (config.image_size // self.vision_encoder.stride) ** 2
        self.vision_projection = nn.Linear(config.vision_widths[-1], config.width)
        self.vision_position = nn.Parameter(torch.randn(len(config.cameras), patches, config.width) * 0.02)
        self.queries = nn.Parameter(torch.randn(config.queries, config.width) * 0.02)
        self.decoder = nn.ModuleList(
            DecoderLayer(config.width, config.heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.logit = nn.Linear(config.width, 1)

    def encode_text(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """Token ids (B, L) int64 and attention mask (B, L) bool -> features."""
        return self.text_encoder(ids, mask)

    def forward(self, images: Tensor, text: TextFeatures) -> Tensor:
        """Images (B, cameras, S, S, 3) uint8, encoded words -> logits (B,)."""
        vision = self._vision_tokens(images, text.summary)
        memory = torch.cat([vision, text.tokens], dim=1)
        mask = torch.cat([text.mask.new_ones(vision.shape[:2]), text.mask], dim=1)
        queries = self.queries + text.summary.unsqueeze(1)
        for layer in self.decoder:
            queries = layer(queries, memory, mask)
        return self.logit(self.norm(queries).mean(1)).squeeze(-1)

    def _vision_tokens(self, images: Tensor, text: Tensor) -> Tensor:
        """Images (B, cameras, S, S, 3) uint8, text (B, width) -> (B, cameras · patches, width)."""
        pixels = images.flatten(0, 1).movedim(-1, 1).to(text.dtype) / 127.5 - 1.0
        condition = (text.unsqueeze(1) + self.camera_embedding).flatten(0, 1)
        views = self.vision_projection(self.vision_encoder(pixels, condition))
        return (views.unflatten(0, images.shape[:2]) + self.vision_position).flatten(1, 2)


class CompletionInputs:
    """Frames and substeps in the form the model takes, in training and in the planner."""

    def __init__(self, config: CompletionConfig, tokenizer: InstructionTokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer

    def images(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Camera -> (H, W, 3) uint8, any size -> (cameras, S, S, 3) uint8.

        Raises:
            ValueError: a camera is missing.
        """
        missing = [camera for camera in self.config.cameras if camera not in images]
        if missing:
            raise ValueError(f"the completion model needs camera {', '.join(missing)}; there is {sorted(images)}")
        return np.stack([resize(images[camera], self.config.image_size) for camera in self.config.cameras])

    def texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """N texts -> ids (N, L) int64, attention mask (N, L) bool. Raises: TextTooLong: one has more than L tokens."""
        ids, mask = self.tokenizer.encode(texts)
        return torch.from_numpy(ids), torch.from_numpy(mask)


def substep_text(substep: Substep) -> str:
    """What the model reads of a substep: the motion and what is seen after it."""
    return substep.instruction + BETWEEN_TEXTS + substep.expected_effect


def save_completion_model(
    folder: Path, config: CompletionConfig, model: CompletionModel, tokenizer: InstructionTokenizer
) -> None:
    """Write the folder that ``load_completion_model`` reads: safetensors in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().half().contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE)
    tokenizer.save(folder / TOKENIZER_FILE)
    write_completion_config(folder, config)


def write_completion_config(folder: Path, config: CompletionConfig) -> None:
    (folder / CONFIG_FILE).write_text(json.dumps(dump(config), indent=2) + "\n")


def load_completion_model(folder: Path) -> tuple[CompletionConfig, CompletionModel, CompletionInputs]:
    """A model folder, on the CPU in float32, in ``eval()``.

    Raises:
        CheckpointError: a file is missing, damaged or does not fit; the message names it.
    """
    path = folder / CONFIG_FILE
    try:
        config = parse(CompletionConfig, read_object(path), str(path))
        tokenizer = InstructionTokenizer.load(folder / TOKENIZER_FILE, config.max_tokens)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no completion model: it has no {CONFIG_FILE}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    model = CompletionModel(config)
    load_state(model, folder / WEIGHTS_FILE)
    return config, model, CompletionInputs(config, tokenizer)
