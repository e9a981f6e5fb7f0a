"""Prepares batches ahead in threads while the main thread trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Argument, Result = TypeVar("Argument"), TypeVar("Result")


def prefetch(function: Callable[[Argument], Result], arguments: Iterable[Argument], depth: int) -> Iterator[Result]:
    """``map(function, arguments)`` in order, up to ``depth`` results ahead; an error is raised in its turn."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=depth) as executor:
        for argument in arguments:
            waiting.append(executor.submit(function, argument))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
