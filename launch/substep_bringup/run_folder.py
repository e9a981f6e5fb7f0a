"""Layout of a run's folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"


@dataclass(frozen=True)
class RunFolder:
    """``runs/<time>/`` with video.mp4, summary.json, config.json, logs/ and parameters/."""

    path: Path

    @staticmethod
    def create(runs: Path, config: Mapping[str, Any], now: datetime | None = None) -> RunFolder:
        """Make a new folder below ``runs`` and note the run's configuration in it.

        Args:
            config: must be representable in JSON.

        Raises:
            OSError: it cannot be made there; its class says why, as FileExistsError does where ``runs`` is a file.
        """
        name = (now or datetime.now()).strftime(TIME_FORMAT)
        runs = runs.expanduser()
        try:
            return RunFolder._create(runs, name, json.dumps(config, indent=2) + "\n")
        except OSError as error:
            raise type(error)(f"there can be no folder for a run in {runs}: {error.strerror}") from error

    @staticmethod
    def _create(runs: Path, name: str, config: str) -> RunFolder:
        runs.mkdir(parents=True, exist_ok=True)
        folder = RunFolder.open(_make_unique(runs, name))
        (folder.path / "config.json").write_text(config, encoding="utf-8")
        return folder

    @staticmethod
    def open(path: Path) -> RunFolder:
        """A folder that was made before, or is made now.

        Raises:
            OSError: it cannot be made or written to, as where the disk is full.
        """
        folder = RunFolder(path.expanduser().resolve())
        for below in (folder.logs, folder.parameters):
            below.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.path, buffering=0) as probe:
            probe.write(bytes(4096))
        return folder

    @property
    def video(self) -> Path:
        return self.path / "video.mp4"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def parameters(self) -> Path:
        return self.path / "parameters"

    def config(self) -> dict[str, Any]:
        """The configuration that ``create`` noted; empty where the session was started by hand."""
        path = self.path / "config.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def note_failure(self, what: str) -> None:
        """Note why the run is over; the process runner does so before it ends the session. The first counts."""
        try:
            with self._failure.open("x", encoding="utf-8") as file:
                file.write(what)
        except FileExistsError:
            return

    def failure(self) -> str:
        """What ``note_failure`` was told; "" when nothing failed."""
        return self._failure.read_text(encoding="utf-8") if self._failure.is_file() else ""

    @property
    def _failure(self) -> Path:
        return self.path / "logs" / "failure.txt"


def _make_unique(runs: Path, name: str) -> Path:
    """Two runs may start in the same second."""
    number = 1
    while True:
        path = runs / (name if number == 1 else f"{name}_{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
