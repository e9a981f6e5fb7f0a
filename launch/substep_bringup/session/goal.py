"""One ExecuteTask goal, as plain questions."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.executors import Executor
from rclpy.task import Future
from substep_interfaces.action import ExecuteTask


class Goal:
    """A goal that was sent. The executor that spins the client's node moves it on.

    The client is used in the executor's thread only: it notes what it waits for after it has asked, without a lock,
    and an answer that comes in between would be lost.

    Args:
        executor: spins the client's node.
        task: what is to be done, in words; "" for the episode's own instruction.
    """

    def __init__(
        self, executor: Executor, client: ActionClient, task: str, hear: Callable[[ExecuteTask.Feedback], None]
    ) -> None:
        self._executor = executor
        self._client = client
        self._handle: ClientGoalHandle | None = None
        self._result: Future | None = None
        executor.create_task(self._send, ExecuteTask.Goal(task=task), hear)

    def is_answered(self) -> bool:
        """The planner has accepted or rejected it."""
        return self._handle is not None and (not self._handle.accepted or self._result is not None)

    @property
    def accepted(self) -> bool:
        return self._handle is not None and self._handle.accepted

    def is_over(self) -> bool:
        """It succeeded, was aborted or cancelled."""
        return self._result is not None and self._result.done()

    @property
    def result(self) -> ExecuteTask.Result:
        """Once it is over."""
        return self._result.result().result

    def cancel(self) -> None:
        self._executor.create_task(self._handle.cancel_goal_async)

    def _send(self, goal: ExecuteTask.Goal, hear: Callable[[ExecuteTask.Feedback], None]) -> None:
        answer = self._client.send_goal_async(goal, feedback_callback=lambda message: hear(message.feedback))
        answer.add_done_callback(self._on_answer)

    def _on_answer(self, answer: Future) -> None:
        handle = answer.result()
        self._result = handle.get_result_async() if handle.accepted else None
        self._handle = handle
