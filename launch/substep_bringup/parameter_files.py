"""Reads and checks ROS parameter files before any node is started.

ROS itself ignores a node name that matches nothing, so a misspelt one would go unnoticed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from substep_core.yaml_mapping import read_mapping

SECTION = "ros__parameters"
WILDCARDS = ("*", "**")


class ParameterFileError(ValueError):
    """A parameter file that cannot be used; the message names the file and the place."""


def read_parameter_file(path: Path) -> dict[str, dict[str, Any]]:
    """Read a file of the form ``/**/bridge: {ros__parameters: {…}}``.

    Returns:
        node pattern -> parameter name (nested names joined by dots) -> value.

    Raises:
        ParameterFileError: no such file, no YAML, or another structure.
    """
    try:
        content = read_mapping(path, "node names")
    except ValueError as error:
        raise ParameterFileError(f"parameter file {error}") from error
    return {str(pattern): _section(path, pattern, section) for pattern, section in content.items()}


def check_parameter_file(path: Path, owned: Mapping[str, Collection[str]], nodes: tuple[str, ...]) -> None:
    """Check a user's file.

    Args:
        owned: node name -> parameters that launch arguments set, which a file must leave alone.
        nodes: names that a file may have sections for.

    Raises:
        ParameterFileError: a node that there is not, or a parameter that is an argument.
    """
    for pattern, parameters in read_parameter_file(path).items():
        for node in _matched_nodes(path, pattern, nodes):
            both = sorted(set(parameters) & set(owned.get(node, ())))
            if both:
                raise ParameterFileError(
                    f"parameter file {path} sets {', '.join(both)} of node {node!r}: these follow from the launch "
                    "arguments; leave them out of the file and give them as arguments"
                )


def _matched_nodes(path: Path, pattern: str, nodes: tuple[str, ...]) -> tuple[str, ...]:
    name = pattern.rsplit("/", 1)[-1]
    if name in WILDCARDS:
        return nodes
    if name not in nodes:
        raise ParameterFileError(f"parameter file {path} names node {pattern!r}: expected one of {', '.join(nodes)}")
    return (name,)


def _section(path: Path, pattern: object, section: object) -> dict[str, Any]:
    if not isinstance(section, dict) or set(section) != {SECTION} or not isinstance(section[SECTION], dict | None):
        raise ParameterFileError(f"parameter file {path}: {pattern!r} must hold one key, {SECTION!r}, with parameters")
    return dict(_flatten(section[SECTION] or {}))


def _flatten(parameters: Mapping[str, Any], prefix: str = ""):
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
