"""Fields of a plain dataclass that are arguments of the command line, which reads them itself, and of ROS launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

import yaml

from substep_core.yaml_mapping import value_of

Config = TypeVar("Config")


class ArgumentError(ValueError):
    """An argument that is refused; the message names it, its value and what would be right."""


def argument(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A field that is an argument."""
    listed = f"{help}: {', '.join(choices)}" if choices else help
    return field(default=default, metadata={"help": listed, "choices": choices})


def check_arguments(config: Any) -> None:
    """Refuse values of another type than their field's default (unless that is None), and others than its choices.

    Raises:
        ArgumentError: naming the value and what would be right.
    """
    for entry in fields(config):
        choices, value = entry.metadata["choices"], getattr(config, entry.name)
        if entry.default is not None and type(value) is not type(entry.default):
            raise ArgumentError(f"{entry.name} is {value!r}, expected a value such as {to_text(entry.default)!r}")
        if choices and value not in choices:
            raise ArgumentError(f"unknown {entry.name} {value!r}: expected one of {', '.join(choices)}")


def to_text(value: Any) -> str:
    """A value as it is typed for ROS launch: texts as they are, nothing for None, others as YAML."""
    if value is None or isinstance(value, str):
        return value or ""
    data = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(data, default_flow_style=True, explicit_end=False).removesuffix("...\n").strip()


def config_from_texts(config_type: type[Config], texts: Mapping[str, str]) -> Config:
    """Build a configuration from ROS launch arguments; what is left out takes its default.

    Raises:
        ArgumentError: an unknown argument, or whatever the configuration itself refuses.
    """
    defaults = {entry.name: entry.default for entry in fields(config_type)}
    if unknown := [name for name in texts if name not in defaults]:
        raise ArgumentError(f"unknown argument {unknown[0]!r}: expected one of {', '.join(defaults)}")
    return config_type(**{name: _from_text(name, text, defaults[name]) for name, text in texts.items()})


def _from_text(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    try:
        value = value_of(text, name)
    except ValueError as error:
        raise ArgumentError(f"{name} is {text!r}, expected a value such as {to_text(default)!r}") from error
    return tuple(value) if isinstance(value, list) else value
