"""Asks a planner to change its running task, as ``./substep revise`` does."""

from __future__ import annotations

import rclpy
from rclpy.executors import SingleThreadedExecutor
from substep_interfaces.srv import ReviseTask

from substep_core.ros import topics

ANSWER_TIME = 90.0  # s for the words to be understood


class NoPlanner(RuntimeError):
    """There is no planner, or it does not answer."""


def revise_task(words: str, namespace: str, wait: float) -> ReviseTask.Response:
    """The planner's answer. Args: wait: s for it to be there. Raises: NoPlanner."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("revise", namespace=namespace, context=context)
    try:
        client = topics.REVISE_TASK.client(node)
        if not client.wait_for_service(wait):
            raise NoPlanner(f"no planner offers {client.service_name} within {wait:g} s: is a graph running there?")
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        future = client.call_async(ReviseTask.Request(words=words))
        executor.spin_until_future_complete(future, ANSWER_TIME)
        if not future.done():
            raise NoPlanner(f"{client.service_name} has not answered within {ANSWER_TIME:g} s")
        return future.result()
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
