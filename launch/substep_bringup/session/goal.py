"""Client of the ExecuteTask action: send a goal, poll its feedback and result, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from substep_interfaces.action import ExecuteTask
from unique_identifier_msgs.msg import UUID

from substep_core.ros.topics import EXECUTE_TASK

Feedback = ExecuteTask.Feedback


class GoalClient:
    """Sends goals to ``execute_task``. The executor that spins ``node`` moves them on.

    Feedback is taken from its topic: rclpy's client forgets whom to tell as soon as it has the result, and a result
    may overtake the feedback before it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.action = EXECUTE_TASK.client(node)
        self._listeners: dict[bytes, Callable[[Feedback], None]] = {}
        self._heard = EXECUTE_TASK.feedback.subscription(node, self._on_feedback)

    def is_ready(self) -> bool:
        """The planner would hear a goal, and its feedback would be heard."""
        return self.action.server_is_ready() and self._heard.get_publisher_count() > 0

    def send(self, task: str, hear: Callable[[Feedback], None]) -> Goal:
        """A new goal: what is to be done in words, or "" for the episode's own instruction."""
        identity = uuid.uuid4().bytes
        self._listeners[identity] = hear
        return Goal(self._node, self.action, ExecuteTask.Goal(task=task), UUID(uuid=list(identity)))

    def _on_feedback(self, message: ExecuteTask.Impl.FeedbackMessage) -> None:
        hear = self._listeners.get(bytes(message.goal_id.uuid))
        if hear is not None:
            hear(message.feedback)


class Goal:
    """A goal that was sent.

    The client is used in the executor's thread only: it notes what it waits for after it has asked, without a lock,
    and an answer that comes in between would be lost.
    """

    def __init__(self, node: Node, action: ActionClient, goal: ExecuteTask.Goal, identity: UUID) -> None:
        self._executor = node.executor
        self._action = action
        self._handle: ClientGoalHandle | None = None
        self._result: Future | None = None
        self._executor.create_task(self._send, goal, identity)

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

    def _send(self, goal: ExecuteTask.Goal, identity: UUID) -> None:
        self._action.send_goal_async(goal, goal_uuid=identity).add_done_callback(self._on_answer)

    def _on_answer(self, answer: Future) -> None:
        handle = answer.result()
        self._result = handle.get_result_async() if handle.accepted else None
        self._handle = handle
