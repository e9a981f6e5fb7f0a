"""Where a language model's weights are: a checkpoint as Transformers writes it, or a GGUF file of llama.cpp's kind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from substep_planner.decomposers.language_model.chat import BackendError

REQUIREMENT = "requirements/gguf.txt"


@dataclass(frozen=True)
class WeightsSource:
    """What ``from_pretrained`` is given.

    Attributes:
        name: hub id or folder.
        gguf_file: its name in that folder; None: a checkpoint as Transformers writes it.
    """

    name: str
    gguf_file: str | None = None

    @property
    def options(self) -> dict[str, str]:
        return {} if self.gguf_file is None else {"gguf_file": self.gguf_file}


def find_weights(model: str) -> WeightsSource:
    """A GGUF file, a folder that has one and no config.json, or whatever else the name stands for.

    Raises:
        ValueError: there is no such file, or the folder has several.
        BackendError: GGUF files cannot be read here.
    """
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"there is no GGUF file {model}")
    elif not path.is_dir() or (path / "config.json").exists() or not (files := sorted(path.glob("*.gguf"))):
        return WeightsSource(model)
    elif len(files) > 1:
        raise ValueError(f"{model} has {', '.join(file.name for file in files)}: name one of these files")
    else:
        path = files[0]
    if find_spec("gguf") is None:
        raise BackendError(f"{model}: the package gguf is not installed: ./substep install -r {REQUIREMENT}")
    return WeightsSource(str(path.parent), path.name)
