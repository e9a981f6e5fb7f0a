"""Plans looked up in a plan file: the hand-checked ones that ship with the project, or one's own."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Library, Plan, normalise_instruction, normalise_suite, read_library
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.remaining import remaining_plan


@cache
def shipped_library() -> Library:
    """The plans of all 130 instructions of the five LIBERO suites; read once a process, and so read-only."""
    with as_file(files("substep_planner") / "data" / "APD_plans.json") as path:
        return MappingProxyType({suite: MappingProxyType(plans) for suite, plans in read_library(path).items()})


def load_library(path: str) -> Library:
    """The plan file at ``path``; an empty path means the shipped one. Raises: ValueError: it cannot be read."""
    try:
        return read_library(Path(path)) if path else shipped_library()
    except OSError as error:
        raise ValueError(f"plan file {path} cannot be read: {error.strerror or error}") from error


def find_plan(library: Library, instruction: str, suite: str = "") -> tuple[str, Plan] | None:
    """(suite, plan) for an instruction; the given suite's own plan first, then any suite's, in the file's order."""
    key = normalise_instruction(instruction)
    preferred = normalise_suite(suite)
    for name in sorted(library, key=lambda name: normalise_suite(name) != preferred):
        if key in library[name]:
            return name, library[name][key]
    return None


class LibraryDecomposer:
    """Looks the instruction up."""

    name = "library"
    wants_picture = False

    def __init__(self, library: Library) -> None:
        self._library = library

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        found = find_plan(self._library, request.instruction, request.suite)
        if found is None:
            count = sum(map(len, self._library.values()))
            raise PlanningError(
                ErrorCode.NO_PLAN,
                f"no plan for {normalise_instruction(request.instruction)!r} among the library's {count} instructions",
            )
        suite, plan = found
        return SourcedPlan(remaining_plan(plan, request.done), f"{self.name}:{suite}")


def create(settings: DecomposerSettings) -> LibraryDecomposer:
    return LibraryDecomposer(load_library(settings.library))
