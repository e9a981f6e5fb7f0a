"""Which labels are of which demonstrations: files beside the sources or named, and what sources say themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.data.readers import DataSource, Demonstration
from training.labels.file import LABELS_FILE, SubstepLabels
from training.train.config import DataConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundLabels:
    """Labels by collection, and the files that they come from."""

    files: tuple[Path, ...] = ()
    by_collection: Mapping[str, SubstepLabels] = field(default_factory=dict)

    def complete(self, demonstrations: Iterable[Demonstration]) -> None:
        """Add the substeps that sources say themselves, where the files have none.

        Raises:
            ValueError: there are files, and none of the demonstrations has labels.
        """
        suites, labelled, count = set(), 0, 0
        for demo in demonstrations:
            labels = self.by_collection[demo.collection]
            if demo.labels is not None and labels.find(demo.suite, demo.task, demo.episode) is None:
                labels.add(demo.suite, demo.task, demo.episode, demo.labels)
            labelled += labels.find(demo.suite, demo.task, demo.episode) is not None
            suites.add(demo.suite)
            count += 1
        if self.files and count and not labelled:
            there = sorted({place[0] for labels in self.by_collection.values() for place in labels.places()})
            raise ValueError(
                f"none of the {count} demonstrations has labels: they are of suites {', '.join(sorted(suites))}, and "
                f"{', '.join(map(str, self.files))} of {', '.join(there) or 'none'}"
            )


def load_labels(config: DataConfig) -> FoundLabels:
    """The labels of every collection, from files.

    Raises:
        LabelError: a file is not in the format.
        ValueError: a file that is named is missing, or two sources make a collection and their labels have an episode
            in common, or ``data.labels`` is given and a collection of its own has no labels.
    """
    files: dict[str, list[Path]] = {}
    for source in config.sources:
        path, there = labels_of(source, config), files.setdefault(source.collection, [])
        if path is not None and path not in there:
            there.append(path)
    merged = {collection: _merged(paths, collection) for collection, paths in files.items()}
    found = FoundLabels(tuple(path for paths in files.values() for path in paths), merged)
    if not found.files and config.rules.use_substep_decomposition:
        log.warning(
            "no %s lies in a source's folder and data.labels names none: episodes keep their task's instruction "
            "throughout, unless the source itself says their substeps. ./substep data label makes labels",
            LABELS_FILE,
        )
    return found


def labels_of(source: DataSource, config: DataConfig) -> Path | None:
    """The file with a source's labels, None where there is none.

    Raises:
        ValueError: a file that is named is missing, or ``data.labels`` is given and not for this source.
    """
    beside = source.path / LABELS_FILE
    for path, key in ((source.labels, "data.sources: labels"), (config.labels, "data.labels")):
        if path is None or (source.collection and key == "data.labels"):  # other episodes, of the same numbers
            continue
        if not path.is_file():
            raise ValueError(
                f"{key} {path} is missing: ./substep data label makes it. Without {key} a source's labels are "
                f"{LABELS_FILE} in its own folder, here {beside}"
            )
        return path
    if beside.is_file():
        return beside
    if source.collection and config.labels is not None:
        raise ValueError(
            f"data.sources: {source.path} is collection {source.collection!r} and has no labels, and data.labels, "
            f"{config.labels}, is of the sources without a name: give it labels"
        )
    return None


def _merged(paths: Iterable[Path], collection: str) -> SubstepLabels:
    """Raises: ValueError: two files have labels of the same episode."""
    merged, origin = SubstepLabels(), {}
    for path in paths:
        labels = SubstepLabels.load(path)
        for place in labels.places():
            if place in origin:
                raise ValueError(
                    f"collection {collection!r} has labels of {'/'.join(place)} in {origin[place]} and in {path}: give "
                    "the sources different collections, or the same labels"
                )
            origin[place] = path
            merged.add(*place, labels.find(*place))
    return merged
