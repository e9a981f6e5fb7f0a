"""Runs a substep manager: queues its events, tells it the time, carries out its commands."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.manager.events import (
    Activate,
    AnswerRevision,
    Command,
    Deactivate,
    Event,
    Finish,
    MakePlan,
    MakeRevision,
    PlanFailed,
    PlanMade,
    ReviseTask,
    RevisionAnswer,
    RevisionFailed,
    RevisionMade,
    Stopped,
    TaskFeedback,
    Tick,
)
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.revision import Revision

TICK = 0.1  # s
TOO_LATE = "the task has just ended"


class Outlet(Protocol):
    """Where a task's commands go. Called in the task's thread."""

    def activate(self, command: Activate) -> None:
        """Publish the active substep."""

    def deactivate(self, command: Deactivate) -> None:
        """Publish that nothing is active, and whether the plan is done."""

    def report(self, command: TaskFeedback) -> None:
        """Publish feedback."""

    def is_cancel_requested(self) -> bool:
        """Whether the client has asked to end the task."""


class TaskLoop:
    """One task, in the thread that calls ``run``.

    Args:
        new_manager: makes the task's manager, given the time in s.
        make_plan: may take long; raises ``PlanningError``. Called in a thread of its own.
        make_revision: understands words that are to change the task, as ``make_plan`` does tasks.
        outlet: where commands go.
    """

    def __init__(
        self,
        new_manager: Callable[[float], SubstepManager],
        make_plan: Callable[[MakePlan], SourcedPlan],
        make_revision: Callable[[MakeRevision], Revision],
        outlet: Outlet,
    ) -> None:
        self._new_manager = new_manager
        self._make_plan, self._make_revision = make_plan, make_revision
        self._outlet = outlet
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._ending, self._is_over = threading.Lock(), False

    def put(self, event: Event) -> None:
        """Tell the task something; from any thread. Words that come when it is over are answered at once."""
        with self._ending:
            if not self._is_over:
                self._events.put(event)
                return
        if isinstance(event, ReviseTask):
            event.answer(RevisionAnswer(ErrorCode.NO_PLAN, TOO_LATE))

    def run(self) -> Finish:
        """Until the task is over."""
        now = time.monotonic()
        manager = self._new_manager(now)
        finish = self._perform(manager.start(now))
        while finish is None:
            event = self._next_event()
            finish = self._perform(manager.handle(event, time.monotonic()))
        self._answer_the_rest()
        return finish

    def _answer_the_rest(self) -> None:
        """Words that came too late."""
        with self._ending:
            self._is_over = True
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, ReviseTask):
                event.answer(RevisionAnswer(ErrorCode.NO_PLAN, TOO_LATE))

    def _next_event(self) -> Event:
        if self._outlet.is_cancel_requested():
            return Stopped(ErrorCode.CANCELED, "canceled by request")
        try:
            return self._events.get(timeout=TICK)
        except queue.Empty:
            return Tick()

    def _perform(self, commands: list[Command]) -> Finish | None:
        for command in commands:
            match command:
                case MakePlan():
                    threading.Thread(target=self._plan, args=(command,), name="planning", daemon=True).start()
                case MakeRevision():
                    threading.Thread(target=self._revise, args=(command,), name="revising", daemon=True).start()
                case AnswerRevision():
                    command.asked.answer(command.answer)
                case Activate():
                    self._outlet.activate(command)
                case Deactivate():
                    self._outlet.deactivate(command)
                case TaskFeedback():
                    self._outlet.report(command)
                case Finish():
                    return command
        return None

    def _plan(self, request: MakePlan) -> None:
        try:
            self.put(PlanMade(request, self._make_plan(request)))
        except PlanningError as error:
            self.put(PlanFailed(request, error.code, str(error), error.clarification))
        except Exception as error:  # the border of the thread: a fault of a backend must not leave the task waiting
            self.put(PlanFailed(request, ErrorCode.BACKEND_FAILED, f"{type(error).__name__}: {error}"))

    def _revise(self, request: MakeRevision) -> None:
        try:
            self.put(RevisionMade(request, self._make_revision(request)))
        except PlanningError as error:
            self.put(RevisionFailed(request, error.code, str(error), error.clarification))
        except Exception as error:  # the border of the thread, as above
            self.put(RevisionFailed(request, ErrorCode.BACKEND_FAILED, f"{type(error).__name__}: {error}"))
