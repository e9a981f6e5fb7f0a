"""The chunks of demonstrations that an action tokenizer is fitted to: those a policy learns from, without frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from substep_core.contract import action_limits
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.models.normalization import ActionNormalizer, Statistics, action_statistics, load_statistics
from training.data.dataset import split_episodes
from training.data.readers import Demonstration, DemonstrationError, ReadReport, read_demonstrations
from training.train.config import FinetuneConfig

log = logging.getLogger("training")


@dataclass(frozen=True)
class ActionChunks:
    """Normalised chunks, each (N, C, A) float32; ``held_out`` is empty where no demonstration is."""

    space: ActionSpace
    training: np.ndarray
    held_out: np.ndarray

    @property
    def measured(self) -> tuple[np.ndarray, str]:
        """What is measured on, and what that is."""
        return (self.held_out, "held-out") if len(self.held_out) else (self.training, "training")


def read_chunks(config: FinetuneConfig) -> ActionChunks:
    """A chunk from every taught timestep, normalised as a policy of this configuration has them.

    Raises:
        DemonstrationError: there is nothing to fit to, or something is damaged and ``skip_damaged`` is off.
    """
    data, report = config.data, ReadReport()
    demonstrations = list(read_demonstrations(data.sources, data.robot, report, data.skip_damaged))
    training, held_out = split_episodes(demonstrations, data.held_out_every)
    if not training:
        raise DemonstrationError(f"nothing to fit a tokenizer to: {len(report.skipped)} demonstrations were skipped")
    normalizer = ActionNormalizer(data.robot, config.model.gripper, _statistics(config, training))
    length = config.model.chunk_length
    chunks = [
        normalizer.encode(_cut(episodes, length)) if episodes else np.zeros((0, length, data.robot.action_width))
        for episodes in (training, held_out)
    ]
    log.info("%d chunks of %d demonstrations, %d held-out chunks", len(chunks[0]), len(training), len(chunks[1]))
    return ActionChunks(ActionSpace.of(normalizer, length), *(values.astype(np.float32) for values in chunks))


def _statistics(config: FinetuneConfig, training: Sequence[Demonstration]) -> Statistics:
    """As the policy's training has them (``training.data.build``)."""
    if config.data.statistics == "initial_checkpoint":
        found = load_statistics(config.initial_folder).action
    else:
        taught = np.concatenate([demonstration.actions[demonstration.taught] for demonstration in training])
        found = action_statistics(taught, config.model.gripper, config.data.robot)
    limits = config.data.action_bounds == "limits"
    return found.with_bounds(*action_limits(config.data.robot)) if limits else found


def _cut(demonstrations: Sequence[Demonstration], length: int) -> np.ndarray:
    """(N, C, A); beyond a demonstration's end its last action is repeated."""
    found = []
    for demonstration in demonstrations:
        begins = np.flatnonzero(demonstration.taught)
        steps = np.minimum(begins[:, None] + np.arange(length), len(demonstration) - 1)
        found.append(demonstration.actions[steps])
    return np.concatenate(found)
