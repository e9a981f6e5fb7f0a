"""Even samples of a task source: by category, difficulty and suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from substep_core.tasks import TaskSource

Place = tuple[str, int]  # suite, index


def sampled(source: TaskSource, suites: Sequence[str], count: int, seed: int) -> list[Place]:
    """``count`` of the suites' playable tasks, as many of each category as of the others, as far as there are.

    Within a category the cells (difficulty, suite) take turns in a drawn order, and tasks within a cell are drawn. A
    larger sample of the same seed begins with the smaller one.

    Raises:
        ValueError: there are fewer tasks.
    """
    cells: dict[str, dict[tuple[int, str], list[Place]]] = {}
    for suite in suites:
        for index, kind in source.playable(suite).items():
            level = 0 if kind.difficulty is None else kind.difficulty
            cells.setdefault(kind.category, {}).setdefault((level, suite), []).append((suite, index))
    generator = np.random.default_rng(seed)
    drawn = list(_in_turns([list(_in_turns(_shuffled(cells[category], generator))) for category in sorted(cells)]))
    if len(drawn) < count:
        raise ValueError(f"a sample of {count} tasks was asked for, but only {len(drawn)} can be played")
    return drawn[:count]


def _shuffled(cells: dict[tuple[int, str], list[Place]], generator: np.random.Generator) -> list[list[Place]]:
    ordered = [cells[cell] for cell in sorted(cells)]
    mixed = [[cell[place] for place in generator.permutation(len(cell))] for cell in ordered]
    return [mixed[place] for place in generator.permutation(len(mixed))]


def _in_turns(lists: Sequence[Sequence[Place]]) -> Iterator[Place]:
    for turn in zip_longest(*lists):
        yield from (place for place in turn if place is not None)
