"""Parameters of a node without the node: what it would have read, where its values are known otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GivenParameters:
    """Takes the place of ``NodeParameters`` where a node's settings are read from values that it was once told.

    Args:
        given: name -> value; what is not among them has the default that it is declared with.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._values = dict(given)

    def declare(self, name: str, default: Any, description: str, **limits: Any) -> None:
        self._values.setdefault(name, default)

    def value(self, name: str) -> Any:
        return self._values[name]
