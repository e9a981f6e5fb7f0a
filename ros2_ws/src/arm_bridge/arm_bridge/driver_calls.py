"""Asks services of drivers, and gives up on those that do not answer."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future


async def ask(node: Node, client: Client, request: Any, timeout: float) -> Any:
    """In a coroutine of the node's executor: the response; None: nobody answers within ``timeout`` s."""
    if not client.service_is_ready():
        return None
    future = client.call_async(request)
    timer = _once(node, timeout, future)
    answer = await future
    node.destroy_timer(timer)
    return answer


async def later(node: Node, seconds: float) -> None:
    """In a coroutine of the node's executor: let time pass."""
    future = Future()
    timer = _once(node, seconds, future)
    await future
    node.destroy_timer(timer)


def wait_for(client: Client, request: Any, timeout: float) -> Any:
    """In another thread than the executor's: the response.

    Raises:
        ValueError: nobody answers within ``timeout`` s.
    """
    answered = threading.Event()
    if client.wait_for_service(timeout_sec=timeout):
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if answered.wait(timeout):
            return future.result()
    raise ValueError(f"no answer from {client.srv_name} within {timeout:g} s")


def _once(node: Node, seconds: float, future: Future) -> Any:
    def over() -> None:
        if not future.done():
            future.set_result(None)

    return node.create_timer(seconds, over, clock=Clock(clock_type=ClockType.STEADY_TIME))
