"""The compact model as a policy: from a checkpoint folder to chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.device import choose_device
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GuidanceSettings, load_guidance
from substep_policy.heads.decoder import Prefix
from substep_policy.heads.guidance import TARGET, WEIGHTS, Guide
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.compact.preprocessing import Preprocessor
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import DatasetStatistics, Statistics, fitting_statistics
from substep_policy.policy import LeftOver
from substep_policy.run_modes import Execution, Quantization

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class CompactPolicy:
    """Implements ``substep_policy.policy.Policy``. The instruction is encoded once a substep.

    Args:
        read_statistics: those of a data set of the checkpoint, by its name.
    """

    requires_scene = False

    def __init__(
        self,
        name: str,
        model: SubstepModel,
        preprocessor: Preprocessor,
        chunks: ChunkBuilder,
        device: torch.device,
        read_statistics: Callable[[str | None], DatasetStatistics],
        guidance: GuidanceSettings = DEFAULT_GUIDANCE,
    ) -> None:
        config = preprocessor.config
        self.name, self.robot = name, config.robot
        self.cameras, self.horizon = config.cameras, config.chunk_length
        self.device, self.dtype = str(device), "float32"
        self._model, self._preprocessor, self._chunks = model.to(device).eval(), preprocessor, chunks
        self._device = device
        self._read_statistics, self._guidance = read_statistics, load_guidance(guidance)
        self._text = None

    @property
    def eos_threshold(self) -> float | None:
        """See ``substep_policy.policy.EosThresholded``."""
        return self._chunks.eos_threshold

    def use_dataset(self, dataset: str | None) -> None:
        """See ``substep_policy.policy.OfSeveralDataSets``."""
        statistics = self._read_statistics(dataset)
        self._preprocessor = self._preprocessor.with_statistics(statistics.proprio)
        self._chunks = self._chunks.with_statistics(statistics.action)

    @torch.inference_mode()
    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do, the empty one too: what the model makes of it is its own affair.

        Raises:
            TextTooLong: it has more tokens than the model takes.
        """
        ids, mask = self._preprocessor.text([instruction])
        self._text = self._model.backbone.encode_text(self._tensor(ids), self._tensor(mask))

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, or no substep was started."""
        return self._chunks.chunk(*self._model.decoder.decode(self._model.backbone, self._prefix(observation)))

    @property
    def why_not_guided(self) -> str:
        """See ``substep_policy.policy.Guided``."""
        return self._chunks.why_not_guided(self._guidance, Execution.EAGER)

    @torch.no_grad()  # what inference mode makes cannot be differentiated through
    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """See ``substep_policy.policy.Guided``. Raises: ValueError: as ``predict``."""
        inputs = self._chunks.guide_inputs(left_over, self._guidance, self.horizon)
        guide = Guide(self._guidance, self._tensor(inputs[TARGET]), self._tensor(inputs[WEIGHTS]))
        model, prefix = self._model, self._prefix(observation)
        return self._chunks.chunk(*model.decoder.decode_guided(model.backbone, prefix, guide))

    def _prefix(self, observation: Observation) -> Prefix:
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        images = self._tensor(self._preprocessor.images(observation.images)[None])
        proprio = self._tensor(self._preprocessor.proprio(observation.proprio)[None])
        backbone = self._model.backbone
        return backbone.encode_with_text(images, self._model.proprio_projector(proprio), self._text)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def load(folder: Path, settings: PolicySettings) -> CompactPolicy:
    """The policy of a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow.
    """
    if settings.dtype not in ("auto", "float32"):
        raise ValueError(f"dtype is {settings.dtype!r}; the compact model runs in float32")
    if settings.quantization is not Quantization.NONE or settings.execution is not Execution.EAGER:
        raise ValueError(
            f"quantization is {settings.quantization.value!r} and execution {settings.execution.value!r}; "
            "the compact model needs neither: 'none' and 'eager'"
        )
    model_config, model = CHECKPOINTS.load(folder)
    model_config = replace(model_config, eos=model_config.eos.at(settings.eos_threshold, folder))
    read_statistics = partial(fitting_statistics, folder, model_config)
    statistics = read_statistics(settings.dataset)
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    return CompactPolicy(
        name=f"compact:{folder.name}",
        model=model,
        preprocessor=load_preprocessor(folder, model_config, statistics.proprio),
        chunks=ChunkBuilder.build(model, model_config, statistics.action),
        device=device,
        read_statistics=read_statistics,
        guidance=settings.guidance,
    )


def load_preprocessor(folder: Path, config: CompactModelConfig, proprio_statistics: Statistics) -> Preprocessor:
    """The preprocessing a checkpoint was trained with. Raises: ValueError: its tokenizer does not fit the model."""
    tokenizer = InstructionTokenizer.load(folder / TOKENIZER_FILE, config.preprocessing.max_instruction_tokens)
    if tokenizer.vocabulary_size > config.backbone.vocabulary_size:
        raise ValueError(
            f"{folder / TOKENIZER_FILE} has {tokenizer.vocabulary_size} tokens, "
            f"the model knows {config.backbone.vocabulary_size}"
        )
    return Preprocessor(config, proprio_statistics, tokenizer)
