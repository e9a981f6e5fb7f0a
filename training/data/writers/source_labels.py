"""The labels that lie beside a source, or that it names."""

from __future__ import annotations

from training.data.readers import DataSource
from training.labels.file import LABELS_FILE, SubstepLabels


def source_labels(source: DataSource) -> SubstepLabels:
    """None at all where there is no file; a source may say its substeps itself."""
    path = source.labels or source.path / LABELS_FILE
    return SubstepLabels.load(path) if path.is_file() else SubstepLabels()
