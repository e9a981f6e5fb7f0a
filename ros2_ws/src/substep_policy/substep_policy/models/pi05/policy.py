"""π0.5 as a policy: from a checkpoint folder to chunks, and to words for the next substep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from substep_core.chunk import Chunk
from substep_core.named_substep import NamedSubstep
from substep_core.observation import Observation
from substep_policy.guidance_settings import GuidanceSettings
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.model_policy import LargeModelPolicy
from substep_policy.models.normalization import DatasetStatistics, Statistics
from substep_policy.models.on_device import load_to_run
from substep_policy.models.pi05.config import Conditioning
from substep_policy.models.pi05.images import Pi05Images
from substep_policy.models.pi05.model import Pi05Model, Pi05ModelConfig
from substep_policy.models.pi05.prompt import Pi05PromptBuilder, Pi05Prompts
from substep_policy.models.pi05.published import load_model
from substep_policy.models.pi05.published_config import read_config
from substep_policy.models.pi05.statistics import find_statistics
from substep_policy.models.pi05.tokenizer import find_tokenizer
from substep_policy.run_modes import Execution

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class Pi05Policy(LargeModelPolicy):
    """Implements ``substep_policy.policy.Policy`` and ``SubstepNamer``."""

    def __init__(
        self,
        name: str,
        config: Pi05ModelConfig,
        model: Pi05Model,
        prompts: Pi05PromptBuilder,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        execution: Execution,
        guidance: GuidanceSettings,
    ) -> None:
        super().__init__(name, config, config.horizon, model, chunks, read_statistics, execution, guidance)
        self._prepare(config.backbone.tokens.pad)
        self._config, self._prompts, self._images = config.backbone, prompts, Pi05Images(config)
        self._substep: tuple[str, str] | None = None

    def _normalize_by(self, statistics: Statistics) -> None:
        self._prompts = self._prompts.with_statistics(statistics)

    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do: what the model makes of it is its own affair."""
        self._substep = instruction, task

    def _chunk(self, actions: torch.Tensor, hidden: torch.Tensor) -> Chunk:
        return self._chunks.chunk(actions[:, : self.horizon], hidden[:, : self.horizon])

    def _inputs(self, observation: Observation) -> dict[str, torch.Tensor]:
        if self._substep is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        instruction, task = self._substep
        proprio = observation.proprio[None]
        if self._config.conditioning is Conditioning.JOINT:
            prompts = self._prompts.high([task], proprio, [instruction])
        else:
            prompts = self._prompts.low([instruction], proprio)
        return self._batch(observation, prompts)

    @torch.inference_mode()
    def next_substep(self, observation: Observation, task: str) -> NamedSubstep:
        """See ``SubstepNamer``. Raises: ValueError: a camera is missing, or the prompt is too long."""
        batch = self._batch(observation, self._prompts.high([task], observation.proprio[None]))
        backbone = self._model.backbone
        prefix = backbone.encode(batch)
        answer = backbone.say(prefix, self._config.prompt.max_answer_tokens)
        probability = math.exp(answer.log_probability)
        return NamedSubstep(self._prompts.words(answer.ids), probability, answer.is_complete)

    def _batch(self, observation: Observation, prompts: Pi05Prompts) -> dict[str, torch.Tensor]:
        arrays = {"pixel_values": self._images(observation.images)[None], **prompts.arrays}
        return {name: self._tensor(array) for name, array in arrays.items()}


def load(folder: Path, settings: PolicySettings) -> Pi05Policy:
    """The policy of a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow, a data set to choose, statistics of another robot.
        TooLargeError: the weights do not fit into the memory of the device, or of the computer.
    """
    config = read_config(folder)
    config = dataclasses.replace(config, eos=config.eos.at(settings.eos_threshold, folder))
    read_statistics = partial(find_statistics, folder, config=config)
    statistics = read_statistics(settings.dataset)
    prompts = Pi05PromptBuilder(find_tokenizer(folder), config.backbone, statistics.proprio)
    if settings.execution is not Execution.EAGER and not config.action_head.fills_slots:
        raise ValueError(
            f"execution is {settings.execution.value!r}: tokens that are said one after the other run eagerly"
        )
    model = load_to_run(load_model, folder, settings)
    torch.manual_seed(settings.seed)
    chunks = ChunkBuilder.build(model, config, statistics.action)
    how = settings.execution, settings.guidance
    return Pi05Policy(f"pi05:{folder.name}", config, model, prompts, chunks, read_statistics, *how)
