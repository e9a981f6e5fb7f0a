"""From a configuration to data sets, statistics and preprocessing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from substep_policy.normalization import (
    DatasetStatistics,
    action_statistics,
    load_statistics,
    save_statistics,
)
from training.config import DataConfig, FinetuneConfig
from training.dataset import SubstepDataset, split_episodes
from training.demonstrations import DemonstrationError, ReadReport, read_demonstrations
from training.folder_lock import in_turn
from training.labels import SubstepLabels
from training.models import ModelInputs, ModelKind, model_kind
from training.store import DemonstrationStore, StoredEpisode, StoreFormat
from training.transform import SubstepTransform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on, and what its checkpoints must keep of it. ``held_out`` is None where nothing is."""

    name: str
    training: SubstepDataset
    held_out: SubstepDataset | None
    statistics: DatasetStatistics
    inputs: ModelInputs
    transform: SubstepTransform

    def save(self, folder: Path) -> None:
        """The part a policy needs, into a checkpoint folder."""
        save_statistics(folder, self.name, self.statistics)
        self.inputs.save(folder)


def open_store(config: DataConfig, format: StoreFormat) -> tuple[DemonstrationStore, list[StoredEpisode]]:
    """The frames of all sources, read into the cache as far as they are not there yet, and which of it they are.

    Commands that use a cache add to it in turn. One that reads it is not disturbed: what it knows of stays as it is.

    Raises:
        StoreError: the cache holds other demonstrations under the names of these.
        DemonstrationError: there is nothing to train on, or something is damaged and ``skip_damaged`` is off.
    """
    report = ReadReport()
    demonstrations = read_demonstrations(config.sources, report, config.skip_damaged)
    with in_turn(config.cache):
        store = DemonstrationStore(config.cache, format)
        episodes = store.extend(demonstrations, report, config.workers)
    log.info("%d demonstrations in %s, %d skipped", len(episodes), config.cache, len(report.skipped))
    if report.skipped and not config.skip_damaged:
        raise DemonstrationError(report.skipped[0])
    if not episodes:
        raise DemonstrationError(f"nothing to train on: {len(report.skipped)} demonstrations were skipped, none read")
    return store, episodes


def load_labels(config: DataConfig) -> dict[str, SubstepLabels]:
    """The labels of every collection.

    Raises:
        LabelError: a file is not in the format.
        ValueError: two sources make a collection and name different labels, or one makes a collection of its own and
            names none.
    """
    paths: dict[str, Path | None] = {}
    for source in config.sources:
        path = source.labels or config.labels
        if source.collection and path is not source.labels:  # episodes of other recordings have the same numbers
            raise ValueError(
                f"data.sources: {source.path} is collection {source.collection!r} and has no labels, and data.labels, "
                f"{config.labels}, is of the sources without a name: give it labels"
            )
        if paths.setdefault(source.collection, path) != path:
            raise ValueError(
                f"collection {source.collection!r} has labels {paths[source.collection]} and {path}: give the sources "
                "different collections, or the same labels"
            )
    return {name: SubstepLabels() if path is None else SubstepLabels.load(path) for name, path in paths.items()}


def prepare_data(config: FinetuneConfig, resumed: Path | None = None) -> TrainingData:
    """Data sets and preprocessing.

    Args:
        resumed: a checkpoint of this very run, whose tokenizer and statistics are kept.
    """
    source, kind = config.data, model_kind(config)
    store, episodes = open_store(source, kind.store_format)
    labels = load_labels(source)
    training, held_out = split_episodes(episodes, source.held_out_every)
    _log_held_out(training, held_out, source.held_out_every)
    length = config.model.chunk_length
    data = SubstepDataset(store, labels, source.rules, training, length)
    log.info("training: %d timesteps of %d episodes; %s", len(data), len(training), data.label_use)
    for suite, shares in data.shares().items():
        log.info("samples of %s: %.1f %%, of its tasks %.1f to %.1f %% each", suite, *(100 * share for share in shares))
    statistics = _statistics(config, kind, data, resumed)
    said = {text for truth in data.truths for text in truth.instructions}
    inputs = kind.inputs(resumed or config.initial_folder, said, statistics.proprio)
    return TrainingData(
        source.name,
        data,
        SubstepDataset(store, labels, source.rules.shown_once(), held_out, length) if held_out else None,
        statistics,
        inputs,
        SubstepTransform(inputs, statistics.action, config.model.gripper),
    )


def _log_held_out(training: Sequence[StoredEpisode], held_out: Sequence[StoredEpisode], every: int) -> None:
    """What the threshold is chosen on must not be a few tasks unnoticed, as with many small collections."""
    there = {(episode.suite, episode.task) for episode in [*training, *held_out]}
    seen = {(episode.suite, episode.task) for episode in held_out}
    log.info("held out: %d episodes of %d of %d tasks", len(held_out), len(seen), len(there))
    if every and len(seen) < len(there):
        log.warning(
            "no demonstration of %d tasks is held out (data.held_out_every is %d, and no collection has as many of "
            "them): losses are not watched and the EOS threshold is not chosen there",
            len(there) - len(seen),
            every,
        )


def _statistics(
    config: FinetuneConfig, kind: ModelKind, data: SubstepDataset, resumed: Path | None
) -> DatasetStatistics:
    """The run's own, those of the checkpoint that it starts from, or the data's."""
    if resumed is not None:
        return load_statistics(resumed)
    if config.data.statistics == "initial_checkpoint":
        found = load_statistics(config.initial_folder)
    else:
        proprio = data.training_proprio()
        actions = action_statistics(data.training_actions(), config.model.gripper)
        found = DatasetStatistics(actions, kind.proprio_statistics(proprio), len(proprio), len(data.episodes))
    return replace(found, action=found.action.with_unit_bounds()) if config.data.action_bounds == "unit" else found
