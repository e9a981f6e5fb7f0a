"""Many arbitrary chunks in parts, over several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce

from arm_bridge.bench import LimitBroken, PlayedChunks, play

PART = 2000  # chunks


@dataclass(frozen=True)
class BenchPart:
    """Chunks of one adapter that are drawn with one seed."""

    adapter: str
    chunks: int
    seed: int


def parts(adapters: Sequence[str], chunks: int, seed: int) -> list[BenchPart]:
    """Args: chunks: of all adapters together; seed: of the first part."""
    each = max(1, chunks // len(adapters))
    sizes = [min(PART, each - begin) for begin in range(0, each, PART)]
    names = [(name, size) for name in adapters for size in sizes]
    return [BenchPart(name, size, seed + number) for number, (name, size) in enumerate(names)]


def play_parts(todo: Sequence[BenchPart], workers: int) -> Iterator[tuple[BenchPart, PlayedChunks]]:
    """Each as it is done. Raises: LimitBroken: a command beyond a limit has left; the message names the part."""
    if workers == 1:
        yield from zip(todo, map(_play, todo), strict=True)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from zip(todo, pool.map(_play, todo), strict=True)


def together(played: Sequence[PlayedChunks]) -> PlayedChunks:
    """The sum of several."""
    return reduce(lambda one, other: one + other, played)


def _play(part: BenchPart) -> PlayedChunks:
    try:
        return play(part.adapter, part.chunks, part.seed)
    except LimitBroken as error:
        raise LimitBroken(f"{part.adapter}, seed {part.seed}: {error}") from error
