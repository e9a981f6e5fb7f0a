"""OpenVLA-OFT as a policy: from a checkpoint folder in the published layout to chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GuidanceSettings, load_guidance
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.execution import executor
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import DatasetStatistics, Statistics, fitting_statistics
from substep_policy.models.on_device import load_to_run
from substep_policy.models.openvla.images import ImagePipeline
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.prompt import PromptBuilder
from substep_policy.models.openvla.published import load_model
from substep_policy.models.openvla.published_config import read_config
from substep_policy.policy import LeftOver
from substep_policy.run_modes import Execution

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class OpenVLAPolicy:
    """Implements ``substep_policy.policy.Policy``.

    Args:
        read_statistics: those of a data set of the checkpoint, by its name.
    """

    requires_scene = False

    def __init__(
        self,
        name: str,
        config: OpenVLAModelConfig,
        model: SubstepModel,
        prompts: PromptBuilder,
        images: ImagePipeline,
        proprio: Statistics,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        execution: Execution = Execution.EAGER,
        guidance: GuidanceSettings = DEFAULT_GUIDANCE,
    ) -> None:
        weight = next(model.parameters())
        self.name, self.device = name, str(weight.device)
        self.robot, self.cameras, self.horizon = config.robot, config.cameras, config.chunk_length
        self.dtype = str(weight.dtype).removeprefix("torch.")
        self._chunks = chunks
        pad = model.backbone.config.tokens.pad
        self._execution, self._guidance = execution, load_guidance(guidance)
        self._act = executor(model.act, execution, weight.device, pad)
        self._act_guided = executor(partial(model.act_guided, guidance=self._guidance), execution, weight.device, pad)
        self._prompts, self._images, self._proprio = prompts, images, proprio
        self._device, self._weight_dtype = weight.device, weight.dtype
        self._read_statistics = read_statistics
        self._text: dict[str, torch.Tensor] | None = None

    @property
    def eos_threshold(self) -> float | None:
        """See ``substep_policy.policy.EosThresholded``."""
        return self._chunks.eos_threshold

    def use_dataset(self, dataset: str | None) -> None:
        """See ``substep_policy.policy.OfSeveralDataSets``."""
        statistics = self._read_statistics(dataset)
        self._proprio = statistics.proprio
        self._chunks = self._chunks.with_statistics(statistics.action)

    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do: what the model makes of it is its own affair.

        Raises:
            TextTooLong: it has more tokens than the language model has positions.
        """
        prompts = self._prompts.build([instruction])
        self._text = {
            "input_ids": self._tensor(prompts.input_ids),
            "attention_mask": self._tensor(prompts.attention_mask),
            "slot_start": self._tensor(prompts.slot_start),
        }

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, or no substep was started."""
        return self._chunks.chunk(*self._act(self._inputs(observation)))

    @property
    def why_not_guided(self) -> str:
        """See ``substep_policy.policy.Guided``."""
        return self._chunks.why_not_guided(self._guidance, self._execution)

    @torch.no_grad()  # what inference mode makes cannot be differentiated through
    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """See ``substep_policy.policy.Guided``. Raises: ValueError: as ``predict``."""
        guide = self._chunks.guide_inputs(left_over, self._guidance, self.horizon)
        guide = {name: self._tensor(array) for name, array in guide.items()}
        return self._chunks.chunk(*self._act_guided({**self._inputs(observation), **guide}))

    def _inputs(self, observation: Observation) -> dict[str, torch.Tensor]:
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        pixels = self._tensor(self._images(observation.images)[None]).to(self._weight_dtype)
        proprio = self._tensor(self._proprio.normalize(observation.proprio)[None]).to(self._weight_dtype)
        return {**self._text, "pixel_values": pixels, "proprio": proprio}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def load(folder: Path, settings: PolicySettings) -> OpenVLAPolicy:
    """The policy of a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow, a data set to choose, statistics of another robot.
        TooLargeError: the weights do not fit into the memory of the device, or of the computer.
    """
    model_config = read_config(folder)
    model_config = dataclasses.replace(model_config, eos=model_config.eos.at(settings.eos_threshold, folder))
    prompts = PromptBuilder(read_tokenizer(folder / TOKENIZER_FILE), model_config)
    read_statistics = partial(fitting_statistics, folder, model_config)
    statistics = read_statistics(settings.dataset)
    model = load_to_run(load_model, folder, settings)
    torch.manual_seed(settings.seed)
    return OpenVLAPolicy(
        name=f"openvla:{folder.name}",
        config=model_config,
        model=model,
        prompts=prompts,
        images=ImagePipeline(model_config),
        proprio=statistics.proprio,
        chunks=ChunkBuilder.build(model, model_config, statistics.action),
        read_statistics=read_statistics,
        execution=settings.execution,
        guidance=settings.guidance,
    )
