"""``./substep train action-tokenizer CONFIG.yaml --type rfsq --out FOLDER [--KEY VALUE …]``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from substep_core.configuration import dump, parse
from substep_policy.action_tokenizers.folder import TOKENIZER_KINDS, load_tokenizer
from training.action_tokenizer.chunks import ActionChunks, read_chunks
from training.action_tokenizer.report import TokenizerReport, report
from training.folder_lock import alone_in
from training.train.config import override, read_config, read_overrides
from training.whole_file import write_whole

REPORT_FILE = "report.json"
DATA_KEYS = ("data", "model")  # of a policy's training, that say what is tokenized


class Fitting(Protocol):
    """Configuration of a fitting: a class that ``TokenizerKind.training`` names."""

    type: str

    def fit(self, chunks: ActionChunks, out: Path) -> None:
        """Write the fitted tokenizer into a folder. Raises: ValueError: the data do not allow it."""


def read_fitting(type: str, changes: Sequence[str]) -> Fitting:
    """The defaults of a type with ``key.subkey=value`` changes.

    Raises:
        ValueError: an unknown type or key, or a wrong value.
    """
    module, _, name = TOKENIZER_KINDS.load(type).training.partition(":")
    kind = getattr(importlib.import_module(module), name)
    return parse(kind, override(dump(kind()), read_overrides(changes)), "command line")


def fit_tokenizer(config: Path, type: str, out: Path, changes: Sequence[str]) -> TokenizerReport:
    """Fit a tokenizer to what a policy is to be trained on, and measure it.

    Args:
        config: the policy's training configuration.
        changes: keys of ``data`` and ``model`` in it, and of the tokenizer's own configuration.

    Raises:
        ValueError: a key or value is wrong, or the data do not allow it.
    """
    of_data = [change for change in changes if change.split(".")[0] in DATA_KEYS]
    fitting = read_fitting(type, [change for change in changes if change not in of_data])
    chunks = read_chunks(read_config(config, of_data))
    with alone_in(out):
        fitting.fit(chunks, out)
        measured = report(load_tokenizer(out), chunks)
        write_whole(out / REPORT_FILE, measured.to_json() + "\n")
    return measured
