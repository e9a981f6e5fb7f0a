"""Reads what people write as YAML: one mapping, whose keys are checked by whoever it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_text(file: Path) -> str:
    """Raises: ValueError: the file cannot be read, or is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_mapping(file: Path, what: str) -> dict[Any, Any]:
    """what: the file is to hold, for messages. Raises: ValueError: it cannot be read, or holds no mapping."""
    return mapping_of(read_text(file), str(file), what)


def mapping_of(text: str, source: str, what: str) -> dict[Any, Any]:
    """Raises: ValueError: the text is not YAML or no mapping, or has a key twice; the message names ``source``."""
    data = value_of(text, source)
    if not isinstance(data, dict):
        raise ValueError(f"{source} holds a {type(data).__name__}, expected {what}")
    return data


def value_of(text: str, source: str) -> Any:
    """Whatever a text says as YAML. Raises: ValueError: as ``mapping_of``."""
    try:
        return yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {_in_one_line(error)}") from error
    except (RecursionError, ValueError) as error:  # the last of numbers and dates that are none
        raise ValueError(f"{source} is not YAML: {error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """Of a key that stands twice in a mapping YAML's own loader takes the last, without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if first := lines.get((key.tag, key.value)):
                problem = f"key {key.value!r} stands here again, and first in line {first}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            lines[key.tag, key.value] = key.start_mark.line + 1
        return node


def _in_one_line(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if problem is None:
        return " ".join(str(error).split())
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
