"""Takes tasks from clients, by the action or by services, and carries them out one at a time.

How a client learns that its goal was turned away: ROS 2 actions carry no reason in a rejection, so before the
rejection goes out the reason is logged and published on goal_rejection.
"""

from __future__ import annotations

import functools
import queue
import threading
import uuid
from typing import Protocol

from rclpy.action import CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import GoalRejection
from substep_interfaces.srv import ReviseTask, StartTask

from substep_core.errors import ErrorCode
from substep_core.printable import shortened
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_planner import messages as planner_messages
from substep_planner.manager import events
from substep_planner.manager.events import Finish, RevisionAnswer, Stopped
from substep_planner.manager.goal_queue import GoalQueue
from substep_planner.manager.task_loop import TaskLoop

STOPPING_TIME = 5.0  # s that tasks may take to end on deactivation
REVISING_TIME = 60.0  # s that words which change a task may take to be understood
NOT_ACTIVE = "the planner is not active any more"


class TaskMaker(Protocol):
    """What a task is to the planner."""

    def new_task(self, identity: str, told: str, goal: ServerGoalHandle | None) -> TaskLoop:
        """Args: told: what the task is, as it was said; goal: of the action, where it began as one."""

    def conclude(self, told: str, finish: Finish) -> None:
        """A task has ended."""

    def last_end(self) -> str:
        """How the last task ended, in words; empty: none has."""


class GoalServer:
    """Lives as long as the node: an executor that is just waiting trips over an action server that is destroyed.

    Args:
        queue: of the tasks that were accepted.

    Attributes:
        last_rejection: in words; empty: none yet.
    """

    def __init__(self, node: GraphNode, queue: GoalQueue, tasks: TaskMaker) -> None:
        self._node, self._queue, self._tasks = node, queue, tasks
        self._preempt = False
        self.last_rejection = ""
        self._rejections = topics.GOAL_REJECTION.publisher(node)  # as the action: a node not active rejects too
        self._action = topics.EXECUTE_TASK.server(
            node,
            self._execute,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def configure(self, preempt: bool) -> None:
        """Offer the services too, until the node is cleaned up. preempt: a new task ends the one under way."""
        self._preempt = preempt
        group = MutuallyExclusiveCallbackGroup()
        self._node.serve(topics.START_TASK, self._on_start, group)
        self._node.serve(topics.STOP_TASK, self._on_stop, group)
        # "stop" must not wait for words that are still being understood
        self._node.serve(topics.REVISE_TASK, self._on_revise, ReentrantCallbackGroup())

    def stop(self) -> None:
        """End every task, so that what they hold is let go."""
        self._queue.stop_all(ErrorCode.NOT_ACTIVE, NOT_ACTIVE)
        if not self._queue.wait_until_idle(STOPPING_TIME):
            self._node.complain(f"a task did not end within {STOPPING_TIME} s of: {NOT_ACTIVE}")

    def destroy(self) -> None:
        self._action.destroy()

    # --- may it begin? ---

    def _on_goal(self, goal: ExecuteTask.Goal) -> GoalResponse:
        return GoalResponse.ACCEPT if self._refusal(goal.task) is None else GoalResponse.REJECT

    def _refusal(self, task: str) -> GoalRejection | None:
        """Why a task cannot begin now, which is also published; None if it can."""
        if not self._node.is_active:
            return self._refuse(ErrorCode.NOT_ACTIVE, task, "the planner is not active")
        if self._queue.busy and not self._preempt:
            return self._refuse(ErrorCode.BUSY, task, "another task is under way; cancel it or wait for its end")
        return None

    def _refuse(self, code: ErrorCode, task: str, why: str) -> GoalRejection:
        self.last_rejection = f"{code.value} {code.name}: {shortened(task)!r}: {why}"
        self._node.warn(f"goal rejected: {self.last_rejection}")
        rejection = GoalRejection(task=task, error_code=code, message=why)
        rejection.header.stamp = self._node.now()
        self._rejections.publish(rejection)
        self._node.publish_diagnostics()
        return rejection

    # --- its turn, and its end ---

    def _line_up(self, identity: uuid.UUID, told: str, goal: ServerGoalHandle | None = None) -> TaskLoop:
        self._queue.stop_all(ErrorCode.PREEMPTED, f"another task came: {shortened(told)!r}")
        task = self._tasks.new_task(identity.hex[:12], told, goal)
        self._queue.add(task)
        if not self._node.is_active:  # deactivated since the task was accepted, before it could be told
            task.put(Stopped(ErrorCode.NOT_ACTIVE, NOT_ACTIVE))
        return task

    def _carry_out(self, task: TaskLoop, told: str) -> Finish:
        self._queue.wait_for_turn(task)
        try:
            finish = task.run()
            self._tasks.conclude(told, finish)
            return finish
        finally:
            self._queue.remove(task)

    # --- by the action ---

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        task = self._line_up(uuid.UUID(bytes=bytes(goal.goal_id.uuid)), goal.request.task, goal)
        goal.execute(functools.partial(self._execute, task=task))

    def _execute(self, goal: ServerGoalHandle, task: TaskLoop) -> ExecuteTask.Result:
        finish = self._carry_out(task, goal.request.task)
        if not self._node.context.ok():
            pass  # the process ends: no client is left
        elif finish.success:
            goal.succeed()
        elif finish.code is ErrorCode.CANCELED and goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return planner_messages.result_to_message(finish)

    # --- by services, for clients that have no action ---

    def _on_start(self, request: StartTask.Request, response: StartTask.Response) -> StartTask.Response:
        if (refusal := self._refusal(request.task)) is not None:
            response.error_code, response.message = refusal.error_code, refusal.message
            return response
        task = self._line_up(uuid.uuid4(), request.task)
        threading.Thread(target=self._carry_out, args=(task, request.task), name="task", daemon=True).start()
        response.success = True
        return response

    def _on_revise(self, request: ReviseTask.Request, response: ReviseTask.Response) -> ReviseTask.Response:
        if not self._node.is_active:
            answer = RevisionAnswer(ErrorCode.NOT_ACTIVE, "the planner is not active")
        elif not self._queue.busy:
            answer = RevisionAnswer(ErrorCode.NO_PLAN, f"no task is under way: {self._tasks.last_end() or 'none yet'}")
        else:
            answers: queue.SimpleQueue[RevisionAnswer] = queue.SimpleQueue()
            self._queue.tell(events.ReviseTask(request.words, answers.put))
            try:
                answer = answers.get(timeout=REVISING_TIME)
            except queue.Empty:
                why = f"the words were not understood within {REVISING_TIME:g} s"
                answer = RevisionAnswer(ErrorCode.BACKEND_FAILED, why)
        return planner_messages.answer_to_response(answer, response)

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._queue.busy
        response.message = "" if response.success else "no task is under way"
        self._queue.stop_all(ErrorCode.CANCELED, f"canceled by {topics.STOP_TASK.name}")
        return response
