"""Has a policy name what comes next, in a thread of its own, on the newest observation that is whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from substep_core.latest_only_worker import LatestOnlyWorker
from substep_core.named_substep import NamedSubstep

ENDED = "the policy is not active"


@dataclass(frozen=True)
class NamingAnswer:
    """Words and the stamp (ns) of the observation that they are about; or why there are none."""

    named: NamedSubstep | None = None
    stamp: int = 0
    why_not: str = ""


@dataclass(frozen=True)
class _Question:
    task: str
    answer: Callable[[NamingAnswer], None]


class SubstepNaming:
    """Answers questions one after the other; those that come before the first observation wait for it.

    Args:
        name: task, messages of an observation -> answer; raises ValueError. Called in the naming thread.
        failed: told, in that thread, of another exception, which ends it.
    """

    def __init__(
        self, name: Callable[[str, Mapping[str, Any]], NamingAnswer], failed: Callable[[Exception], None]
    ) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._questions: list[_Question] = []
        self._is_over = False
        self._worker = LatestOnlyWorker[Mapping[str, Any]](self._answer_all, failed, "naming")

    def ask(self, task: str, answer: Callable[[NamingAnswer], None], newest: Mapping[str, Any] | None) -> None:
        """``answer`` is called in the naming thread; after the end, at once.

        Args:
            newest: messages of an observation; None: there is none.
        """
        with self._lock:
            if not (is_over := self._is_over):
                self._questions.append(_Question(task, answer))
        if is_over:
            answer(NamingAnswer(why_not=ENDED))
            return
        if newest is not None:
            self._worker.put(newest)

    @property
    def is_asked(self) -> bool:
        """A question waits."""
        return bool(self._questions)

    def observe(self, newest: Mapping[str, Any]) -> None:
        """An observation has become whole."""
        self._worker.put(newest)

    def stop(self) -> None:
        """End the thread; who still waits is told so."""
        with self._lock:
            self._is_over = True
        self._worker.stop()
        for question in self._take():
            question.answer(NamingAnswer(why_not=ENDED))

    def _take(self) -> list[_Question]:
        with self._lock:
            taken, self._questions = self._questions, []
        return taken

    def _answer_all(self, messages: Mapping[str, Any]) -> None:
        taken = self._take()
        for place, question in enumerate(taken):
            try:
                answer = self._name(question.task, messages)
            except ValueError as error:
                answer = NamingAnswer(why_not=str(error))
            except Exception as error:  # it ends the thread: who waits is told before
                for lost in taken[place:]:
                    lost.answer(NamingAnswer(why_not=f"the policy failed: {type(error).__name__}: {error}"))
                raise
            question.answer(answer)
