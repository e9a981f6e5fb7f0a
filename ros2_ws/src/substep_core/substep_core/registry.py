"""Registries by entry points: an installed package adds an entry by name, without an edit here.

A package adds an entry in its setup.py or pyproject.toml, as in
``entry_points={"substep.decomposers": ["mine = my_package.planning:create"]}``. What an entry must be, a factory or an
object, is said where the registry is made.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import MappingProxyType
from typing import Generic, TypeVar

T = TypeVar("T")


class RegistryError(ValueError):
    """A name that stands for nothing, for two things, or for something that cannot be imported."""


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The entries of one group. A target is imported when it is loaded.

    Attributes:
        kind: what an entry is, for messages: "completion scorer".
        group: its entry points' group, such as "substep.completion_scorers"; empty: only ``given``.
        given: name -> object, beside the entry points; for tests, and for what exists in one process only.
    """

    kind: str
    group: str
    given: Mapping[str, T] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted. Imports nothing.

        Raises:
            RegistryError: a name has two targets.
        """
        return tuple(sorted({*self._entry_points(), *self.given}))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def check(self, name: str) -> None:
        """Imports nothing.

        Raises:
            RegistryError: there is no entry of that name; the message lists what there is and where it comes from.
        """
        self._find(name)

    def load(self, name: str) -> T:
        """Import the entry of that name.

        Raises:
            RegistryError: there is no such entry, or its target cannot be imported.
        """
        found = self._find(name)
        if not isinstance(found, EntryPoint):
            return found
        try:
            return found.load()
        except (ImportError, AttributeError) as error:
            raise RegistryError(
                f"{self.kind} {name!r} of {_distribution(found)} cannot be imported from {found.value}: {error}"
            ) from error

    def plus(self, given: Mapping[str, T]) -> Registry[T]:
        """This registry and these objects as well; for tests."""
        return Registry(self.kind, self.group, MappingProxyType({**self.given, **given}))

    def _find(self, name: str) -> T | EntryPoint:
        if name in self.given:
            return self.given[name]
        found = self._entry_points()
        if name not in found:
            raise RegistryError(f"unknown {self.kind} {name!r}: expected one of {self.listing}")
        return found[name]

    @property
    def listing(self) -> str:
        """Every name and where it comes from, for messages."""
        sources = {name: _distribution(entry) for name, entry in self._entry_points().items()}
        sources |= dict.fromkeys(self.given, "given here")
        listed = ", ".join(f"{name} ({sources[name]})" for name in sorted(sources))
        return listed or f"(no installed distribution has entry points in {self.group!r})"

    def _entry_points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in _installed(tuple(sys.path)).select(group=self.group) if self.group else ():
            if entry.name in found:
                raise RegistryError(
                    f"two distributions have a {self.kind} {entry.name!r}: {_distribution(found[entry.name])} "
                    f"({found[entry.name].value}) and {_distribution(entry)} ({entry.value}); uninstall one of them"
                )
            found[entry.name] = entry
        return found


@lru_cache(maxsize=1)
def _installed(path: tuple[str, ...]) -> EntryPoints:
    """Those of all distributions on the path: every file of each is read for it, which takes a tenth of a second."""
    return entry_points()


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}"
