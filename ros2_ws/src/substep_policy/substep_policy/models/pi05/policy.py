"""π0.5 as a policy: from a checkpoint folder to chunks, and to words for the next substep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.named_substep import NamedSubstep
from substep_core.observation import Observation
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GuidanceSettings, load_guidance
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.execution import executor
from substep_policy.models.normalization import DatasetStatistics
from substep_policy.models.on_device import load_to_run
from substep_policy.models.pi05.backbone import Words
from substep_policy.models.pi05.config import Conditioning
from substep_policy.models.pi05.images import ImagePipeline
from substep_policy.models.pi05.model import Pi05Model, Pi05ModelConfig
from substep_policy.models.pi05.prompt import PromptBuilder, Prompts
from substep_policy.models.pi05.published import load_model
from substep_policy.models.pi05.published_config import read_config
from substep_policy.models.pi05.statistics import find_statistics
from substep_policy.models.pi05.tokenizer import find_tokenizer
from substep_policy.policy import LeftOver
from substep_policy.run_modes import Execution

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class Pi05Policy:
    """Implements ``substep_policy.policy.Policy`` and ``SubstepNamer``.

    Args:
        read_statistics: those of a data set of the checkpoint, by its name.
    """

    requires_scene = False

    def __init__(
        self,
        name: str,
        config: Pi05ModelConfig,
        model: Pi05Model,
        prompts: PromptBuilder,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        execution: Execution = Execution.EAGER,
        guidance: GuidanceSettings = DEFAULT_GUIDANCE,
    ) -> None:
        weight = next(model.parameters())
        self.name, self.device = name, str(weight.device)
        self.robot, self.cameras, self.horizon = config.robot, config.cameras, config.horizon
        self.dtype = str(weight.dtype).removeprefix("torch.")
        self._config, self._model, self._prompts, self._chunks = config.backbone, model, prompts, chunks
        pad = config.backbone.tokens.pad
        self._execution, self._guidance = execution, load_guidance(guidance)
        self._act = executor(model.act, execution, weight.device, pad)
        self._act_guided = executor(partial(model.act_guided, guidance=self._guidance), execution, weight.device, pad)
        self._chunk_length = config.chunk_length
        self._images, self._device = ImagePipeline(config), weight.device
        self._read_statistics = read_statistics
        self._substep: tuple[str, str] | None = None

    @property
    def eos_threshold(self) -> float | None:
        """See ``substep_policy.policy.EosThresholded``."""
        return self._chunks.eos_threshold

    def use_dataset(self, dataset: str | None) -> None:
        """See ``substep_policy.policy.OfSeveralDataSets``."""
        statistics = self._read_statistics(dataset)
        self._prompts = self._prompts.with_statistics(statistics.proprio)
        self._chunks = self._chunks.with_statistics(statistics.action)

    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do: what the model makes of it is its own affair."""
        self._substep = instruction, task

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, the prompt is too long, or no substep was started."""
        return self._chunk(self._act(self._inputs(observation)))

    @property
    def why_not_guided(self) -> str:
        """See ``substep_policy.policy.Guided``."""
        return self._chunks.why_not_guided(self._guidance, self._execution)

    @torch.no_grad()  # what inference mode makes cannot be differentiated through
    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """See ``substep_policy.policy.Guided``. Raises: ValueError: as ``predict``."""
        guide = self._chunks.guide_inputs(left_over, self._guidance, self._chunk_length)
        guide = {name: self._tensor(array) for name, array in guide.items()}
        return self._chunk(self._act_guided({**self._inputs(observation), **guide}))

    def _chunk(self, found: tuple[torch.Tensor, torch.Tensor]) -> Chunk:
        """Of actions (1, C, A) and hidden states (1, C, D)."""
        actions, hidden = found
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
        return {"pixel_values": self._pixels(observation), **self._tensors(prompts)}

    @torch.inference_mode()
    def next_substep(self, observation: Observation, task: str) -> NamedSubstep:
        """See ``SubstepNamer``. Raises: ValueError: a camera is missing, or the prompt is too long."""
        words = Words(*self._tensors(self._prompts.high([task], observation.proprio[None])).values())
        backbone = self._model.backbone
        prefix = backbone.read(backbone.look(self._pixels(observation)), words)
        answer = backbone.say(prefix, self._config.prompt.max_answer_tokens)
        probability = math.exp(answer.log_probability)
        return NamedSubstep(self._prompts.words(answer.ids), probability, answer.is_complete)

    def _pixels(self, observation: Observation) -> torch.Tensor:
        return self._tensor(self._images(observation.images)[None])

    def _tensors(self, prompts: Prompts) -> dict[str, torch.Tensor]:
        return {name: self._tensor(array) for name, array in vars(prompts).items()}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


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
    prompts = PromptBuilder(find_tokenizer(folder), config.backbone, statistics.proprio)
    if settings.execution is not Execution.EAGER and not config.action_head.fills_slots:
        raise ValueError(
            f"execution is {settings.execution.value!r}: tokens that are said one after the other run eagerly"
        )
    model = load_to_run(load_model, folder, settings)
    torch.manual_seed(settings.seed)
    chunks = ChunkBuilder.build(model, config, statistics.action)
    how = settings.execution, settings.guidance
    return Pi05Policy(f"pi05:{folder.name}", config, model, prompts, chunks, read_statistics, *how)
