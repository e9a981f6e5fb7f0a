"""Complete models with random weights at any size, for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from substep_core.contract import RobotContract
from substep_core.observation import Observation
from substep_policy.checkpoints.plain import save_model as save_compact
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.heads import EOSHeadConfig, L1HeadConfig
from substep_policy.memory import check_fits
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer, train_tokenizer
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from substep_policy.models.kind import ModelConfiguration
from substep_policy.models.model import EosDetection, SubstepModel
from substep_policy.models.normalization import DatasetStatistics, Statistics, action_statistics, save_statistics
from substep_policy.models.openvla.config import (
    LanguageModelConfig,
    LlamaTokens,
    OpenVLAConfig,
    VisionTransformerConfig,
)
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.prompt import prompt_text
from substep_policy.models.openvla.published import save_model as save_openvla

INSTRUCTION = "place the yellow and white mug on the right plate"
SAMPLES = 100

TOY_BACKBONE = OpenVLAConfig(
    dinov2=VisionTransformerConfig(
        width=16, layers=3, heads=2, mlp_width=32, register_tokens=4, layer_scale=0.5, class_token=True
    ),
    siglip=VisionTransformerConfig(width=32, layers=3, heads=2, mlp_width=48, attention_pooling=True),
    language_model=LanguageModelConfig(
        width=32, layers=2, heads=4, key_value_heads=4, mlp_width=48, vocabulary_size=320, max_positions=256
    ),
    tokens=LlamaTokens(bos=1, eos=2, empty=3, pad=4),
    image_size=28,
    chunk_length=4,
)


def published_model(robot: RobotContract) -> OpenVLAModelConfig:
    """The published size, with an EOS head."""
    return OpenVLAModelConfig(robot=robot, eos_head=EOSHeadConfig(), eos=EosDetection())


def toy_model(robot: RobotContract) -> OpenVLAModelConfig:
    """The same at a size that any machine runs."""
    return OpenVLAModelConfig(
        robot=robot,
        backbone=TOY_BACKBONE,
        action_head=L1HeadConfig(hidden_dim=32),
        eos_head=EOSHeadConfig(hidden_dim=16),
        eos=EosDetection(),
    )


def random_openvla(config: OpenVLAModelConfig, device: torch.device, dtype: torch.dtype) -> SubstepModel:
    """Made on the device itself and in that type: a large model needs no memory elsewhere.

    Raises:
        TooLargeError: the weights do not fit into the computer's memory.
    """
    with torch.device("meta"):
        check_fits(build_openvla(config), device, dtype, "a model with random weights")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return build_openvla(config).eval()
    finally:
        torch.set_default_dtype(before)


def word_tokenizer(config: OpenVLAModelConfig) -> Tokenizer:
    """A word a token, BOS in front, as many tokens as Llama's makes of such a prompt, give or take a few."""
    special = config.backbone.tokens
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for word, _ in splitter.pre_tokenize_str(prompt_text(INSTRUCTION))})
    first = max(special.bos, special.eos) + 3  # 3 and 4 are the toy's empty token and padding
    vocabulary = {"<unk>": 0, "<s>": special.bos, "</s>": special.eos}
    vocabulary |= {word: first + number for number, word in enumerate(words)}
    return tokenizer_of_words(vocabulary)


def tokenizer_of_words(vocabulary: Mapping[str, int]) -> Tokenizer:
    """Words for pieces, and BOS in front, as Llama's tokenizer puts it; ``<s>`` and ``<unk>`` are among the words."""
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    bos = ("<s>", vocabulary["<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[bos])
    return tokenizer


def random_statistics(config: ModelConfiguration) -> DatasetStatistics:
    random = np.random.default_rng(0)
    drawn = random.uniform(-1, 1, (SAMPLES, config.robot.action_width))
    actions = action_statistics(drawn, config.gripper, config.robot)
    proprio = Statistics.of(random.normal(size=(SAMPLES, sum(config.proprio_widths.values()))))
    return DatasetStatistics(actions, proprio, SAMPLES, 1)


def random_observation(robot: RobotContract, cameras: tuple[str, ...], size: int) -> Observation:
    """Args: size: side of the images in pixels."""
    random = np.random.default_rng(0)
    images = {camera: random.integers(0, 255, (size, size, 3), np.uint8) for camera in cameras}
    return Observation(images, random.normal(size=robot.state_width).astype(np.float32))


def write_random_compact(folder: Path, config: CompactModelConfig) -> None:
    """A complete checkpoint of a compact model."""
    save_compact(folder, config, build_compact(config), step=0)
    tokenizer = train_tokenizer([INSTRUCTION], config.backbone.vocabulary_size)
    InstructionTokenizer(tokenizer, config.preprocessing.max_instruction_tokens).save(folder / TOKENIZER_FILE)
    save_statistics(folder, "random", random_statistics(config))


def write_random_openvla(folder: Path, config: OpenVLAModelConfig, seed: int = 0) -> None:
    """A complete checkpoint in the published layout, float32, into an existing folder."""
    torch.manual_seed(seed)
    save_openvla(folder, config, random_openvla(config, torch.device("cpu"), torch.float32), step=0)
    word_tokenizer(config).save(str(folder / TOKENIZER_FILE))
    save_statistics(folder, "random", random_statistics(config))
