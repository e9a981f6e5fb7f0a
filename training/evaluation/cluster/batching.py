"""Answers what several ask at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Question, Answer = TypeVar("Question"), TypeVar("Answer")


@dataclass
class _Waiting(Generic[Question, Answer]):
    question: Question
    since: float  # s
    answer: asyncio.Future[Answer]


class Batcher(Generic[Question, Answer]):
    """Gathers questions until there are enough, or one has waited long enough. Its methods are called in one loop.

    Args:
        answer: questions -> as many answers; called in a thread of its own, never twice at a time.
        most: questions of a batch.
        wait: s that a question waits for others, while nothing is being answered.
    """

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[Answer]], most: int, wait: float) -> None:
        self._answer, self._most, self._wait = answer, most, wait
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._thread = ThreadPoolExecutor(1, "answering")
        self._is_busy = False
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, question: Question) -> Answer:
        """Raises: whatever answering its batch raised."""
        waiting = _Waiting(question, time.monotonic(), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._go_on()
        return await waiting.answer

    async def alone(self, function: Callable[[], Answer]) -> Answer:
        """Call something in the thread that answers, when it comes to it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _go_on(self) -> None:
        """Begin a batch, or see to it that one is begun in time."""
        if self._is_busy or not self._waiting:
            return
        left = self._waiting[0].since + self._wait - time.monotonic()
        if len(self._waiting) >= self._most or left <= 0:
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._in_time)

    def _in_time(self) -> None:
        self._timer = None
        self._go_on()

    def _begin(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._is_busy = True
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, self._answer, [waiting.question for waiting in batch])
        done.add_done_callback(lambda answers: self._end(batch, answers))

    def _end(self, batch: list[_Waiting[Question, Answer]], done: asyncio.Future[Sequence[Answer]]) -> None:
        self._is_busy = False
        error = done.exception()
        answers = done.result() if error is None else [None] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():  # who asked is gone
                continue
            if error is None:
                waiting.answer.set_result(answer)
            else:
                waiting.answer.set_exception(error)
        self._go_on()
