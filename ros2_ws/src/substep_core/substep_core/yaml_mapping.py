"""Reads what people write as YAML: one mapping, whose keys are checked by whoever it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_mapping(file: Path, what: str) -> dict[Any, Any]:
    """what: the file is to hold, for messages. Raises: ValueError: it cannot be read, or holds no mapping."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return mapping_of(text, str(file), what)


def mapping_of(text: str, source: str, what: str) -> dict[Any, Any]:
    """Raises: ValueError: the text is not YAML or no mapping; the message names ``source``."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # the last of numbers and dates that are none
        raise ValueError(f"{source} is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{source} holds a {type(data).__name__}, expected {what}")
    return data
