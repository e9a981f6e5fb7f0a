"""A node in the test process that publishes and hears what a test wants, on an executor in its own thread."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest, EpisodeStatus, GoalRejection
from substep_interfaces.srv import ResetEpisode

from substep_core.ros import topics
from substep_core.ros.topics import Topic

PATIENCE = 60.0  # s, for what must come; a loaded machine is slow
KEPT = 1000  # messages of a topic: a test should miss none


class Goal:
    """An ExecuteTask goal on its way."""

    def __init__(self, probe: Probe, task: str) -> None:
        self._probe = probe
        self.feedback: list[ExecuteTask.Feedback] = []
        probe.wait(probe.execute_task.server_is_ready, "the execute_task server")
        goal = ExecuteTask.Goal(task=task)
        sent = probe.on_executor(lambda: probe.execute_task.send_goal_async(goal, self._on_feedback))
        self.handle = probe.result_of(sent, "an answer to the goal")
        self.accepted = self.handle.accepted
        self._result = probe.on_executor(self.handle.get_result_async) if self.accepted else None

    def _on_feedback(self, message: Any) -> None:
        with self._probe.changed:
            self.feedback.append(message.feedback)
            self._probe.changed.notify_all()

    def cancel(self) -> None:
        self._probe.result_of(self._probe.on_executor(self.handle.cancel_goal_async), "an answer to the cancel request")

    def result(self, timeout: float = PATIENCE) -> ExecuteTask.Result:
        return self._probe.result_of(self._result, "the result of the goal", timeout).result

    def status(self) -> int:
        """action_msgs GoalStatus of the ended goal."""
        return self._probe.result_of(self._result, "the result of the goal").status


class Probe:
    """Records what the graph says, newest last, and speaks to it.

    ``changed`` is notified with every message; ``wait`` builds on it, so no test needs to sleep.
    """

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("probe", context=self.context)
        self.changed = threading.Condition()
        self._create_entities()
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="probe")
        self._thread.start()

    def _create_entities(self) -> None:
        node = self.node
        self.requests: list[ChunkRequest] = self.record(topics.CHUNK_REQUEST)
        self.chunks: list[ActionChunk] = self.record(topics.ACTION_CHUNK)
        self.reports: list[ChunkReport] = self.record(topics.CHUNK_REPORT)
        self.substeps: list[ActiveSubstep] = self.record(topics.ACTIVE_SUBSTEP)
        self.statuses: list[EpisodeStatus] = self.record(topics.EPISODE_STATUS)
        self._diagnostics: list[DiagnosticArray] = self.record(topics.DIAGNOSTICS)
        self.rejections: list[GoalRejection] = self.record(topics.GOAL_REJECTION)
        self.chunk_publisher = topics.ACTION_CHUNK.publisher(node)
        self.execute_task = topics.EXECUTE_TASK.client(node)
        self.reset_episode = topics.RESET_EPISODE.client(node)
        self.decompose_task = topics.DECOMPOSE_TASK.client(node)

    def record(self, topic: Topic, *, raw: bool = False) -> list:
        """Messages of a topic, newest last; ``raw``: as serialized bytes."""
        received: list = []

        def receive(message: Any) -> None:
            with self.changed:
                received.append(message)
                self.changed.notify_all()

        topic.with_depth(KEPT).subscription(self.node, receive, raw=raw)
        return received

    def reset(self, **where: Any) -> ResetEpisode.Response:
        """A fresh episode, by default of the same task; requests, chunks and reports so far are forgotten."""
        response = self.call(self.reset_episode, ResetEpisode.Request(**where))
        assert response.success, response.message
        for messages in (self.requests, self.chunks, self.reports):
            messages.clear()
        return response

    def answer_requests(self, answer: Callable[[ChunkRequest], ActionChunk | None]) -> None:
        """Stand in for the policy: every chunk_request is answered by what ``answer`` returns."""

        def receive(request: ChunkRequest) -> None:
            chunk = answer(request)
            if chunk is not None:
                self.chunk_publisher.publish(chunk)

        topics.CHUNK_REQUEST.with_depth(KEPT).subscription(self.node, receive)

    def complaints(self) -> list[str]:
        """Messages of all warnings and errors in diagnostics so far."""
        statuses = [status for array in list(self._diagnostics) for status in array.status]
        return [status.message for status in statuses if status.level > DiagnosticStatus.OK]

    def newest_diagnostics(self) -> dict[str, Time]:
        """Node -> stamp of the newest that it has said."""
        arrays = [array for array in list(self._diagnostics) if array.status]
        return {array.status[0].hardware_id: array.header.stamp for array in arrays}

    def diagnostic_values(self, name: str, key: str) -> list[str]:
        """Everything that the status of that name has said under that key so far."""
        statuses = [status for array in list(self._diagnostics) for status in array.status if status.name == name]
        return [item.value for status in statuses for item in status.values if item.key == key]

    def wait(self, holds: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
        """What ``holds`` returns once that is true; AssertionError naming ``what`` when it does not come in time."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not (value := holds()):
                assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
                self.changed.wait(0.1)  # not every condition comes with a message
            return value

    def result_of(self, future: Any, what: str, timeout: float = PATIENCE) -> Any:
        def wake(_: Any) -> None:
            with self.changed:
                self.changed.notify_all()

        future.add_done_callback(wake)
        self.wait(future.done, what, timeout)
        return future.result()

    def on_executor(self, call: Callable[[], Any]) -> Any:
        """What ``call`` returns, run in the executor's thread: rclpy's action client loses answers to other threads."""
        return self.result_of(self._executor.create_task(call), "a turn of the executor")

    def call(self, client: Any, request: Any, timeout: float = PATIENCE) -> Any:
        self.wait(client.service_is_ready, f"service {client.srv_name}", timeout)
        return self.result_of(client.call_async(request), f"an answer of {client.srv_name}", timeout)

    def hears(self, node: str) -> bool:
        """Whether a node of that name takes part in the graph."""
        return node in self.node.get_node_names()

    def transition(self, node: str, transition: int, timeout: float = PATIENCE) -> bool:
        """Ask a lifecycle node for a transition; whether it was carried out."""
        client = self.node.create_client(ChangeState, f"{node}/change_state")
        request = ChangeState.Request(transition=Transition(id=transition))
        success = self.call(client, request, timeout).success
        self.node.destroy_client(client)
        return success

    def state(self, node: str) -> str:
        client = self.node.create_client(GetState, f"{node}/get_state")
        label = self.call(client, GetState.Request()).current_state.label
        self.node.destroy_client(client)
        return label

    def set_parameter(self, node: str, name: str, value: Any) -> SetParametersResult:
        client = self.node.create_client(SetParameters, f"{node}/set_parameters")
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        (result,) = self.call(client, request).results
        self.node.destroy_client(client)
        return result

    def bring_up(self, *nodes: str) -> None:
        """Configure and activate, in this order."""
        for node in nodes:
            assert self.transition(node, Transition.TRANSITION_CONFIGURE), f"{node} refused to configure"
            assert self.transition(node, Transition.TRANSITION_ACTIVATE), f"{node} refused to activate"

    def configure_anew(self, node: str, **parameters: Any) -> None:
        """Change parameters of an active node and bring it up again."""
        assert self.transition(node, Transition.TRANSITION_DEACTIVATE)
        assert self.transition(node, Transition.TRANSITION_CLEANUP)
        for name, value in parameters.items():
            assert self.set_parameter(node, name, value).successful
        self.bring_up(node)

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.execute_task.destroy()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        self.context.destroy()
        gc.collect()  # rclpy's participant lives as long as reference cycles hold its node

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
