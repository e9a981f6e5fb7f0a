"""Accepts, rejects or preempts ExecuteTask goals: one task runs at a time."""

from __future__ import annotations

import threading

from substep_core.errors import ErrorCode
from substep_planner.manager.events import Event, Stopped
from substep_planner.manager.task_loop import TaskLoop


class GoalQueue:
    """Holds the tasks that were accepted and have not ended: one, or while it is being preempted two and more."""

    def __init__(self) -> None:
        self._tasks: list[TaskLoop] = []
        self._changed = threading.Condition()

    @property
    def busy(self) -> bool:
        with self._changed:
            return bool(self._tasks)

    def add(self, task: TaskLoop) -> None:
        """Put a task at the end of the line."""
        with self._changed:
            self._tasks.append(task)

    def wait_for_turn(self, task: TaskLoop) -> None:
        """Until every task before this one has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks[0] is task)

    def remove(self, task: TaskLoop) -> None:
        """A task has ended."""
        with self._changed:
            self._tasks.remove(task)
            self._changed.notify_all()

    def tell(self, event: Event) -> None:
        """Pass an event to the running task."""
        with self._changed:
            running = self._tasks[:1]
        for task in running:
            task.put(event)

    def stop_all(self, code: ErrorCode, message: str) -> None:
        """End every task, also those whose turn has not come."""
        with self._changed:
            tasks = list(self._tasks)
        for task in tasks:
            task.put(Stopped(code, message))

    def wait_until_idle(self, timeout: float) -> bool:
        """Whether every task has ended within ``timeout`` s."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._tasks, timeout)
