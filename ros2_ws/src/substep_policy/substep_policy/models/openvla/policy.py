"""OpenVLA-OFT as a policy: from a checkpoint folder in the published layout to chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GuidanceSettings
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.model import SubstepModel
from substep_policy.models.model_policy import LargeModelPolicy, together
from substep_policy.models.normalization import DatasetStatistics, Statistics, fitting_statistics
from substep_policy.models.on_device import load_to_run
from substep_policy.models.openvla.images import OpenVLAImages
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder
from substep_policy.models.openvla.published import load_model
from substep_policy.models.openvla.published_config import read_config
from substep_policy.policy import Asked
from substep_policy.run_modes import Execution

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class OpenVLAPolicy(LargeModelPolicy):
    """Implements ``substep_policy.policy.Policy``."""

    in_one_pass = True

    def __init__(
        self,
        name: str,
        config: OpenVLAModelConfig,
        model: SubstepModel,
        prompts: OpenVLAPromptBuilder,
        images: OpenVLAImages,
        proprio: Statistics,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        execution: Execution = Execution.EAGER,
        guidance: GuidanceSettings = DEFAULT_GUIDANCE,
    ) -> None:
        super().__init__(name, config, config.chunk_length, model, chunks, read_statistics, execution, guidance)
        self._prepare(config.backbone.tokens.pad)
        self._prompts, self._images, self._proprio = prompts, images, proprio
        self._text: dict[str, torch.Tensor] | None = None

    def _normalize_by(self, statistics: Statistics) -> None:
        self._proprio = statistics

    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do: what the model makes of it is its own affair.

        Raises:
            TextTooLong: it has more tokens than the language model has positions.
        """
        self._text = self._prompt_inputs([instruction])

    def predict_batch(self, asked: Sequence[Asked]) -> list[Chunk | ChunkRefused]:
        """See ``substep_policy.policy.Shareable``. All in one pass.

        Prompts are padded to the longest, so that sums are rounded otherwise beside another one.
        """
        return together(asked, self._read, self._answer)

    def _read(self, asked: Asked) -> tuple[str, np.ndarray, np.ndarray]:
        """Instruction, pixels (cameras, …) and normalised proprioception (S,)."""
        with refusing(RefusalKind.INSTRUCTION):
            self._prompts.build([asked.instruction])
        with refusing(RefusalKind.OBSERVATION):
            pixels = self._images(asked.observation.images)
            return asked.instruction, pixels, self._proprio.normalize(asked.observation.proprio)

    @torch.inference_mode()
    def _answer(self, inputs: list[tuple[str, np.ndarray, np.ndarray]]) -> list[Chunk | ChunkRefused]:
        instructions, pixels, proprio = zip(*inputs, strict=True)
        seen = self._seen(np.stack(pixels), np.stack(proprio))
        return self._chunks.chunks(*self._act({**self._prompt_inputs(instructions), **seen}))

    def _inputs(self, observation: Observation) -> dict[str, torch.Tensor]:
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        pixels, proprio = self._images(observation.images)[None], self._proprio.normalize(observation.proprio)[None]
        return {**self._text, **self._seen(pixels, proprio)}

    def _prompt_inputs(self, instructions: Sequence[str]) -> dict[str, torch.Tensor]:
        prompts = self._prompts.build(instructions)
        return {
            "input_ids": self._tensor(prompts.input_ids),
            "attention_mask": self._tensor(prompts.attention_mask),
            "slot_start": self._tensor(prompts.slot_start),
        }

    def _seen(self, pixels: np.ndarray, proprio: np.ndarray) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": self._tensor(pixels).to(self._weight_dtype),
            "proprio": self._tensor(proprio).to(self._weight_dtype),
        }


def load(folder: Path, settings: PolicySettings) -> OpenVLAPolicy:
    """The policy of a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow, a data set to choose, statistics of another robot.
        TooLargeError: the weights do not fit into the memory of the device, or of the computer.
    """
    model_config = read_config(folder)
    model_config = dataclasses.replace(model_config, eos=model_config.eos.at(settings.eos_threshold, folder))
    prompts = OpenVLAPromptBuilder(read_tokenizer(folder / TOKENIZER_FILE), model_config)
    read_statistics = partial(fitting_statistics, folder, model_config)
    statistics = read_statistics(settings.dataset)
    model = load_to_run(load_model, folder, settings)
    torch.manual_seed(settings.seed)
    return OpenVLAPolicy(
        name=f"openvla:{folder.name}",
        config=model_config,
        model=model,
        prompts=prompts,
        images=OpenVLAImages(model_config),
        proprio=statistics.proprio,
        chunks=ChunkBuilder.build(model, model_config, statistics.action),
        read_statistics=read_statistics,
        execution=settings.execution,
        guidance=settings.guidance,
    )
