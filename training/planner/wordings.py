"""The templates of wordings.yaml, by name and in capitals: ``wordings.PUT``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def _templates() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8"))


def __getattr__(name: str) -> Any:
    try:
        return _templates()[name.lower()]
    except KeyError:
        raise AttributeError(name) from None
