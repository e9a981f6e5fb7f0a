"""The compact model as a policy: from a checkpoint folder to chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.device import choose_device
from substep_policy.guidance_settings import GuidanceSettings
from substep_policy.heads.decoder import Prefix
from substep_policy.heads.guidance import TARGET, WEIGHTS, Guide
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.compact.preprocessing import Preprocessor
from substep_policy.models.model import SubstepModel
from substep_policy.models.model_policy import ModelPolicy, together
from substep_policy.models.normalization import DatasetStatistics, Statistics, fitting_statistics
from substep_policy.policy import Asked, LeftOver
from substep_policy.run_modes import Execution, Quantization

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


@dataclass(frozen=True)
class _Input:
    """What the model takes of one observation: token ids and mask (L,), images (cameras, S, S, 3), proprio (N,)."""

    ids: np.ndarray
    mask: np.ndarray
    images: np.ndarray
    proprio: np.ndarray


class CompactPolicy(ModelPolicy):
    """Implements ``substep_policy.policy.Policy``. The instruction is encoded once a substep."""

    in_one_pass = True

    def __init__(
        self,
        name: str,
        model: SubstepModel,
        preprocessor: Preprocessor,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        guidance: GuidanceSettings,
    ) -> None:
        config = preprocessor.config
        super().__init__(name, config, config.chunk_length, model, chunks, read_statistics, guidance=guidance)
        self._preprocessor = preprocessor
        self._text = None

    def _normalize_by(self, statistics: Statistics) -> None:
        self._preprocessor = self._preprocessor.with_statistics(statistics)

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

    def predict_batch(self, asked: Sequence[Asked]) -> list[Chunk | ChunkRefused]:
        """See ``substep_policy.policy.Shareable``. All in one pass of the network."""
        return together(asked, self._read, self._answer)

    def _read(self, asked: Asked) -> _Input:
        with refusing(RefusalKind.INSTRUCTION):
            ids, mask = self._preprocessor.text([asked.instruction])
        with refusing(RefusalKind.OBSERVATION):
            images = self._preprocessor.images(asked.observation.images)
            return _Input(ids[0], mask[0], images, self._preprocessor.proprio(asked.observation.proprio))

    @torch.inference_mode()
    def _answer(self, inputs: list[_Input]) -> list[Chunk | ChunkRefused]:
        ids, mask, images, proprio = (
            self._tensor(np.stack([getattr(each, name) for each in inputs]))
            for name in ("ids", "mask", "images", "proprio")
        )
        backbone = self._model.backbone
        text = backbone.encode_text(ids, mask)
        prefix = backbone.encode_with_text(images, self._model.proprio_projector(proprio), text)
        return self._chunks.chunks(*self._model.decoder.decode(backbone, prefix))

    @torch.no_grad()  # what inference mode makes cannot be differentiated through
    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """See ``substep_policy.policy.Guided``. Raises: ValueError: as ``predict``."""
        inputs = self._guide_inputs(left_over)
        guide = Guide(self._guidance, inputs[TARGET], inputs[WEIGHTS])
        model, prefix = self._model, self._prefix(observation)
        return self._chunks.chunk(*model.decoder.decode_guided(model.backbone, prefix, guide))

    def _prefix(self, observation: Observation) -> Prefix:
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        images = self._tensor(self._preprocessor.images(observation.images)[None])
        proprio = self._tensor(self._preprocessor.proprio(observation.proprio)[None])
        backbone = self._model.backbone
        return backbone.encode_with_text(images, self._model.proprio_projector(proprio), self._text)


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
    torch.manual_seed(settings.seed)
    return CompactPolicy(
        name=f"compact:{folder.name}",
        model=model.to(choose_device(settings.device)).eval(),
        preprocessor=load_preprocessor(folder, model_config, statistics.proprio),
        chunks=ChunkBuilder.build(model, model_config, statistics.action),
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
