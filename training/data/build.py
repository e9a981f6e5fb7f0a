"""Builds data sets, statistics and preprocessing from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from substep_core.contract import action_limits
from substep_policy.models.kind import kind_of
from substep_policy.models.normalization import (
    STATISTICS_FILE,
    ActionNormalizer,
    DatasetStatistics,
    action_statistics,
    check_widths,
    load_statistics,
    read_statistics_file,
    save_statistics,
)
from training.data.dataset import SubstepDataset, split_episodes
from training.data.frame_cache import DemonstrationStore, StoredEpisode, StoreFormat
from training.data.label_files import FoundLabels, load_labels
from training.data.planned_store import PlannedStore
from training.data.readers import Demonstration, DemonstrationError, ReadReport, read_demonstrations
from training.data.transform import SubstepTransform, check_batch_size
from training.folder_lock import in_turn
from training.train.config import DataConfig, FinetuneConfig, NoEosHead
from training.train.models import ModelInputs, ModelTraining, model_training
from training.train.modes import ActionsOnly

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on, and what its checkpoints must keep of it.

    Attributes:
        held_out: None where nothing is.
        training_transform: of what is trained on, where that is another; None: ``transform``.
        kept_threshold: EOS threshold of checkpoints as long as none is chosen for them; None: the configuration's.
    """

    name: str
    training: SubstepDataset
    held_out: SubstepDataset | None
    statistics: DatasetStatistics
    inputs: ModelInputs
    transform: SubstepTransform
    training_transform: SubstepTransform | None = None
    kept_threshold: float | None = None

    def save(self, folder: Path) -> None:
        """The part a policy needs, into a checkpoint folder."""
        save_statistics(folder, self.name, self.statistics)
        self.inputs.save(folder)


def open_store(
    config: DataConfig,
    format: StoreFormat,
    labels: FoundLabels | None = None,
    check: Callable[[Sequence[Demonstration]], None] | None = None,
) -> tuple[DemonstrationStore, list[StoredEpisode]]:
    """The frames of all sources, read into the cache as far as they are not there yet, and which of it they are.

    Commands that use a cache add to it in turn. One that reads it is not disturbed: what it knows of stays as it is.

    Args:
        labels: of the files; those that the sources say themselves are added.
        check: told of the demonstrations before their frames are read or rendered, which takes long; may raise.

    Raises:
        StoreError: the cache holds other demonstrations under the names of these.
        DemonstrationError: there is nothing to train on, or something is damaged and ``skip_damaged`` is off.
        ValueError: the labels are of other demonstrations, or ``config.rules`` names others.
    """
    report = ReadReport()
    demonstrations = list(read_demonstrations(config.sources, config.robot, report, config.skip_damaged))
    if demonstrations:
        config.rules.check_names(demonstrations)
        if labels is not None and config.rules.use_substep_decomposition:
            labels.complete(demonstrations)
        if check is not None:
            check(demonstrations)
    with in_turn(config.cache):
        store = DemonstrationStore(config.cache, format)
        episodes = store.extend(demonstrations, report, config.workers)
    log.info("%d demonstrations in %s, %d skipped", len(episodes), config.cache, len(report.skipped))
    if report.skipped and not config.skip_damaged:
        raise DemonstrationError(report.skipped[0])
    if not episodes:
        why = f", the first because of this: {report.skipped[0]}" if report.skipped else ""
        raise DemonstrationError(
            f"nothing to train on: {len(report.skipped)} demonstrations were skipped, none read{why}"
        )
    return store, episodes


def prepare_data(config: FinetuneConfig, resumed: Path | None = None) -> TrainingData:
    """Data sets and preprocessing.

    Args:
        resumed: a checkpoint of this very run, whose tokenizer and statistics are kept.
    """
    source, kind = config.data, model_training(config)
    labels = load_labels(source)
    _check_before(config, resumed)
    store, episodes = open_store(source, kind.store_format, labels, partial(_rehearse, config, kind, labels, resumed))
    training, held_out = split_episodes(episodes, source.held_out_every)
    _log_held_out(training, held_out, source.held_out_every)
    length = config.model.chunk_length
    data = SubstepDataset(store, labels.by_collection, source.rules, training, length)
    log.info("training: %d timesteps of %d episodes; %s", len(data), len(training), data.label_use)
    for suite, shares in data.shares().items():
        log.info("samples of %s: %.1f %%, of its tasks %.1f to %.1f %% each", suite, *(100 * share for share in shares))
    statistics = _statistics(config, kind, data, resumed)
    inputs = _inputs(config, kind, data, statistics, resumed)
    return TrainingData(
        source.name,
        data,
        SubstepDataset(store, labels.by_collection, source.rules.shown_once(), held_out, length) if held_out else None,
        statistics,
        inputs,
        SubstepTransform(inputs, ActionNormalizer(source.robot, config.model.gripper, statistics.action)),
        kept_threshold=_kept_threshold(config, resumed),
    )


def _rehearse(
    config: FinetuneConfig,
    kind: ModelTraining,
    labels: FoundLabels,
    resumed: Path | None,
    demonstrations: Sequence[Demonstration],
) -> None:
    """Makes of the demonstrations all that training needs but frames. Raises: ValueError: something does not do."""
    planned = PlannedStore(demonstrations, kind.store_format)
    training, _ = split_episodes(planned.episodes, config.data.held_out_every)
    data = SubstepDataset(planned, labels.by_collection, config.data.rules, training, config.model.chunk_length)
    check_batch_size(config.optimizer.batch_size, data)
    if not isinstance(config.objective, ActionsOnly) and not data.label_use.labelled_episodes:
        raise ValueError(
            f"objective mode is {config.objective.mode!r}, and none of {len(training)} demonstrations has substep "
            "labels to take words from: ./substep data label makes them, data.labels names their file"
        )
    _inputs(config, kind, data, _statistics(config, kind, data, resumed), resumed)


def _inputs(
    config: FinetuneConfig,
    kind: ModelTraining,
    data: SubstepDataset,
    statistics: DatasetStatistics,
    resumed: Path | None,
) -> ModelInputs:
    """Raises: TextTooLong: the model cannot read one of the instructions whole."""
    said = {text for truth in data.truths for text in truth.instructions}
    inputs = kind.inputs(resumed or config.initial_folder, said, statistics.proprio)
    inputs.check(sorted(said))
    return inputs


def _check_before(config: FinetuneConfig, resumed: Path | None) -> None:
    """What would else be found only after frames were read or rendered.

    Raises:
        ValueError: the tokenizer is missing, or the initial checkpoint's statistics are missing or do not fit.
    """
    tokenizer = config.data.tokenizer
    if tokenizer is not None and not tokenizer.is_file():
        raise ValueError(f"data.tokenizer {tokenizer} is missing")
    if resumed is None and config.data.statistics == "initial_checkpoint":
        _read_statistics(config.initial_folder, config)


def _kept_threshold(config: FinetuneConfig, resumed: Path | None) -> float | None:
    """The EOS threshold that was chosen for the weights that training starts from; None: none was, or another is given.

    It serves until one is chosen for this run, which takes held-out demonstrations.
    """
    base, eos = resumed or config.initial_folder, config.checkpoint_model().eos
    if base is None or isinstance(config.eos, NoEosHead) or config.eos.threshold is not None:
        return None
    if resumed is None and config.new_heads:
        return None
    found = kind_of(base).read_config(base).eos
    if not found.calibrated or found.source is not eos.source:
        return None
    log.info("EOS threshold %s is kept from %s until one is chosen on held-out demonstrations", found.threshold, base)
    return found.threshold


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
    config: FinetuneConfig, kind: ModelTraining, data: SubstepDataset, resumed: Path | None
) -> DatasetStatistics:
    """The run's own, those of the checkpoint that it starts from, or the data's."""
    if resumed is not None:
        return _read_statistics(resumed, config)
    if config.data.statistics == "initial_checkpoint":
        found = _read_statistics(config.initial_folder, config)
    else:
        proprio = data.training_proprio()
        actions = action_statistics(data.training_actions(), config.model.gripper, config.data.robot)
        found = DatasetStatistics(actions, kind.proprio_statistics(proprio), len(proprio), len(data.episodes))
    if config.data.action_bounds == "quantiles":
        return found
    return replace(found, action=found.action.with_bounds(*action_limits(config.data.robot)))


def initial_dataset(folder: Path, name: str) -> str | None:
    """Which of a checkpoint's data sets is meant: the one of this name where it has several."""
    names = read_statistics_file(folder)
    return name if len(names) > 1 and name in names else None


def _read_statistics(folder: Path, config: FinetuneConfig) -> DatasetStatistics:
    """Raises: ValueError: they are missing, or of another robot than the data."""
    found = load_statistics(folder, initial_dataset(folder, config.data.name))
    check_widths(found, config.data.robot, config.model.proprio_widths, str(folder / STATISTICS_FILE))
    return found
