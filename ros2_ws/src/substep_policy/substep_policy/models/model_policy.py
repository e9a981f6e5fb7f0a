"""What the policies of networks share: what they say of themselves, their data sets, and how a chunk is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GuidanceSettings, load_guidance
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.execution import executor
from substep_policy.models.kind import ModelConfiguration
from substep_policy.models.normalization import DatasetStatistics, Statistics
from substep_policy.policy import Asked, LeftOver, one_by_one
from substep_policy.run_modes import Execution

Input = TypeVar("Input")


class ModelPolicy(ABC):
    """A part of ``substep_policy.policy.Policy``.

    Args:
        horizon: actions of its chunks, before they are cut.
        read_statistics: those of a data set of the checkpoint, by its name.
    """

    requires_scene = False
    in_one_pass = False

    def __init__(
        self,
        name: str,
        config: ModelConfiguration,
        horizon: int,
        model: nn.Module,
        chunks: ChunkBuilder,
        read_statistics: Callable[[str | None], DatasetStatistics],
        execution: Execution = Execution.EAGER,
        guidance: GuidanceSettings = DEFAULT_GUIDANCE,
    ) -> None:
        weight = next(model.parameters())
        self.name, self.robot, self.cameras, self.horizon = name, config.robot, config.cameras, horizon
        self.skills: tuple[str, ...] = getattr(config, "skills", ())  # see ``substep_policy.policy.Taught``
        self.device, self.dtype = str(weight.device), str(weight.dtype).removeprefix("torch.")
        self._device, self._weight_dtype = weight.device, weight.dtype
        self._model, self._chunks, self._chunk_length = model, chunks, config.chunk_length
        self._execution, self._guidance = execution, load_guidance(guidance)
        self._read_statistics = read_statistics

    @property
    def eos_threshold(self) -> float | None:
        """See ``substep_policy.policy.EosThresholded``."""
        return self._chunks.eos_threshold

    def use_dataset(self, dataset: str | None) -> None:
        """See ``substep_policy.policy.OfSeveralDataSets``."""
        statistics = self._read_statistics(dataset)
        self._normalize_by(statistics.proprio)
        self._chunks = self._chunks.with_statistics(statistics.action)

    @abstractmethod
    def _normalize_by(self, statistics: Statistics) -> None:
        """Of proprioception."""

    @property
    def why_not_guided(self) -> str:
        """See ``substep_policy.policy.Guided``."""
        return self._chunks.why_not_guided(self._guidance, self._execution)

    @property
    def why_not_shared(self) -> str:
        """See ``substep_policy.policy.Shareable``."""
        if not self._chunks.decoder.draws:
            return ""
        return f"a {type(self._chunks.decoder).__name__} draws its actions, each episode from its own random numbers"

    def predict_batch(self, asked: Sequence[Asked]) -> list[Chunk | ChunkRefused]:
        """See ``substep_policy.policy.Shareable``."""
        return one_by_one(self, asked)

    def _guide_inputs(self, left_over: LeftOver) -> dict[str, torch.Tensor]:
        inputs = self._chunks.guide_inputs(left_over, self._guidance, self._chunk_length)
        return {name: self._tensor(array) for name, array in inputs.items()}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def together(
    asked: Sequence[Asked],
    read: Callable[[Asked], Input],
    answer: Callable[[list[Input]], list[Chunk | ChunkRefused]],
) -> list[Chunk | ChunkRefused]:
    """``Shareable.predict_batch`` of a network.

    Args:
        read: raises ChunkRefused.
        answer: in one pass, those that could be read, at least one.
    """
    inputs: list[Input | ChunkRefused] = []
    for each in asked:
        try:
            inputs.append(read(each))
        except ChunkRefused as refused:
            inputs.append(refused)
    readable = [each for each in inputs if not isinstance(each, ChunkRefused)]
    answers = iter(answer(readable) if readable else ())
    return [each if isinstance(each, ChunkRefused) else next(answers) for each in inputs]


class LargeModelPolicy(ModelPolicy):
    """One whose model has ``act`` and ``act_guided``, which may be captured or compiled."""

    def _prepare(self, pad_token: int) -> None:
        """Call when it is made. pad_token: id that prompts are padded with."""
        guided = partial(self._model.act_guided, guidance=self._guidance)
        self._act = executor(self._model.act, self._execution, self._device, pad_token)
        self._act_guided = executor(guided, self._execution, self._device, pad_token)

    @abstractmethod
    def _inputs(self, observation: Observation) -> dict[str, torch.Tensor]:
        """Of ``act``, batch 1. Raises: ValueError: a camera is missing, or no substep was started."""

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, the prompt is too long, or no substep was started."""
        return self._chunk(*self._act(self._inputs(observation)))

    @torch.no_grad()  # what inference mode makes cannot be differentiated through
    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """See ``substep_policy.policy.Guided``. Raises: ValueError: as ``predict``."""
        return self._chunk(*self._act_guided({**self._inputs(observation), **self._guide_inputs(left_over)}))

    def _chunk(self, actions: torch.Tensor, hidden: torch.Tensor) -> Chunk:
        """Of actions (1, C, A) and hidden states (1, C, D)."""
        return self._chunks.chunk(actions, hidden)
