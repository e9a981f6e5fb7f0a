"""Frozen, validated configuration classes, and reading them with errors that name file, key and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

import pydantic
from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def configuration(cls: type[T]) -> type[T]:
    """A frozen dataclass that checks types when it is made and refuses unknown keys."""
    return pydantic.dataclasses.dataclass(cls, frozen=True, config=ConfigDict(extra="forbid"))


def parse(kind: type[T], data: Any, source: str) -> T:
    """Plain data (from JSON or YAML) -> ``kind``.

    Raises:
        ValueError: every wrong, missing or unknown key, with its place, its value and what would be right.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors(include_url=False))
        raise ValueError(f"{source}: {problems}") from error


def dump(config: Any) -> dict[str, Any]:
    """A configuration -> plain data that JSON and YAML can hold, and ``parse`` reads back."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


@dataclass(frozen=True)
class Option:
    """A number in a configuration, for those who let people set it: as a parameter, on a command line."""

    name: str
    default: int | float
    bounds: tuple[int | float, int | float]
    description: str


def options_of(kind: type) -> tuple[Option, ...]:
    """The fields of a configuration all of which have a description and bounds, ``ge`` and ``le``."""
    found = []
    for name, info in kind.__pydantic_fields__.items():
        (low,), (high,) = ([getattr(m, side) for m in info.metadata if hasattr(m, side)] for side in ("ge", "le"))
        found.append(Option(name, info.default, (low, high), info.description))
    return tuple(found)


def _describe(problem: Any) -> str:
    if not problem["loc"]:
        return problem["msg"]
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"{place} is missing"
    if problem["type"] == "unexpected_keyword_argument":
        return f"{place} is not a known key"
    return f"{place} is {problem['input']!r}: {problem['msg']}"
