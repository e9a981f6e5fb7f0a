"""The goals of a session, against an action server that says things late."""

import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from substep_interfaces.action import ExecuteTask

from substep_bringup.session.goal import GoalClient
from substep_core.ros.topics import EXECUTE_TASK

PATIENCE = 30.0


@pytest.fixture
def executor():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield SingleThreadedExecutor(context=context)
    rclpy.shutdown(context=context)


def spin_until(executor: SingleThreadedExecutor, condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.05)


def test_feedback_that_the_result_overtakes_is_heard(executor):
    server, session = (rclpy.create_node(name, context=executor.context) for name in ("server", "session"))
    goals, heard = [], []

    def execute(goal) -> ExecuteTask.Result:
        goals.append(goal)
        goal.succeed()
        return ExecuteTask.Result(success=True)

    action = EXECUTE_TASK.server(server, execute)
    client = GoalClient(session)
    executor.add_node(server)
    executor.add_node(session)
    spin_until(executor, client.is_ready)
    goal = client.send("put the mug on the plate", lambda feedback: heard.append(feedback.event))
    spin_until(executor, goal.is_over)
    assert goal.result.success
    goals[0].publish_feedback(ExecuteTask.Feedback(event=ExecuteTask.Feedback.EVENT_ADVANCED))
    spin_until(executor, lambda: heard)
    assert heard == [ExecuteTask.Feedback.EVENT_ADVANCED]
    action.destroy()
