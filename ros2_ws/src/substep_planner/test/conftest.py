"""The planner node in process, and everybody around it played by the test: client, bridge, policy."""

from __future__ import annotations

import gc
import queue
import threading

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, EpisodeStatus, SceneObject, SceneState
from substep_interfaces.srv import DecomposeTask

from substep_planner.completion.registry import SCORERS
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.decomposers.registry import DECOMPOSERS
from substep_planner.errors import ErrorCode, PlanningError
from substep_planner.plan import Plan, Substep
from substep_planner.planner_node import EXECUTOR_THREADS, LATCHED, RELIABLE, REPORTS, PlannerFault, PlannerNode
from substep_planner.planner_parameters import PlannerRegistry
from substep_policy.messages import image_to_message, to_time

PATIENCE = 20.0  # s, for what must come
TASK = "put the milk in the basket"


class HangingDecomposer:
    """Answers when the test is over."""

    name = "hanging"
    wants_picture = False
    released = threading.Event()

    def __init__(self, settings) -> None: ...

    def decompose(self, request):
        self.released.wait()
        raise PlanningError(ErrorCode.NO_PLAN, "too late")


class BabblingDecomposer:
    """Has nothing useful to say."""

    name = "babbling"
    wants_picture = False

    def __init__(self, settings) -> None: ...

    def decompose(self, request):
        raise PlanningError(ErrorCode.INVALID_PLAN, "the answer is not JSON")


class LookingDecomposer:
    """Plans what it sees."""

    name = "looking"
    wants_picture = True

    def __init__(self, settings) -> None: ...

    def decompose(self, request):
        if request.image is None:
            raise PlanningError(ErrorCode.BACKEND_FAILED, "nothing to look at")
        effect = f"brightness {request.image.max()} in {request.image.shape}"
        return SourcedPlan(Plan(request.instruction, (Substep("pick up the milk", effect),)), self.name)


class BrightnessScorer:
    """An image of value 200 shows every effect, one of 255 is too much for it."""

    name = "brightness"
    cameras = ("agentview",)
    threshold = 0.5

    def __init__(self, settings) -> None: ...

    def begin_plan(self, substeps): ...

    def score(self, images, index):
        brightness = images["agentview"].max()
        if brightness == 255:
            raise RuntimeError("blinded")
        return brightness / 200


REGISTRY = PlannerRegistry(
    decomposers={
        **DECOMPOSERS,
        "hanging": f"{__name__}:HangingDecomposer",
        "babbling": f"{__name__}:BabblingDecomposer",
        "looking": f"{__name__}:LookingDecomposer",
    },
    scorers={**SCORERS, "brightness": f"{__name__}:BrightnessScorer"},
)


class Spinner:
    """An executor in a thread."""

    def __init__(self, executor) -> None:
        self.executor = executor
        self.fault: queue.Queue[PlannerFault] = queue.Queue()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass
        except PlannerFault as error:
            self.fault.put(error)

    def stop(self) -> None:
        """After the context was shut down, as in a process that is told to end."""
        self._thread.join()
        self.executor.shutdown()


class PlannerGraph:
    """The node under test with its neighbours' topics at hand."""

    def __init__(self, **parameters) -> None:
        HangingDecomposer.released.clear()
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.planner = PlannerNode(REGISTRY, context=self.context, parameter_overrides=overrides)
        self.node = rclpy.create_node("neighbours", context=self.context)
        self.substeps: queue.Queue[ActiveSubstep] = queue.Queue()
        self.feedback: queue.Queue[ExecuteTask.Feedback] = queue.Queue()
        self.diagnostics: queue.Queue[DiagnosticStatus] = queue.Queue()
        self._create_entities()
        self.active = ActiveSubstep()
        planner_executor = MultiThreadedExecutor(EXECUTOR_THREADS, context=self.context)
        planner_executor.add_node(self.planner)
        own_executor = SingleThreadedExecutor(context=self.context)
        own_executor.add_node(self.node)
        self._spinners = [Spinner(planner_executor), Spinner(own_executor)]

    def _create_entities(self) -> None:
        node = self.node
        node.create_subscription(ActiveSubstep, "active_substep", self.substeps.put, LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.statuses = node.create_publisher(EpisodeStatus, "episode_status", LATCHED)
        self.reports = node.create_publisher(ChunkReport, "chunk_report", REPORTS)
        self.scenes = node.create_publisher(SceneState, "scene_state", qos_profile_sensor_data)
        self.images = node.create_publisher(Image, "camera/agentview/image_raw", qos_profile_sensor_data)
        self.chunks = node.create_publisher(ActionChunk, "action_chunk", RELIABLE)
        self.others_diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.change_state = node.create_client(ChangeState, "planner/change_state")
        self.get_state = node.create_client(GetState, "planner/get_state")
        self.decompose_task = node.create_client(DecomposeTask, "decompose_task")
        self.execute_task = ActionClient(node, ExecuteTask, "execute_task")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics.put(status)

    def close(self) -> None:
        HangingDecomposer.released.set()
        self.planner.stop("the test is over")
        rclpy.try_shutdown(context=self.context)
        for spinner in self._spinners:
            spinner.stop()
        self.planner.destroy_node()
        self.execute_task.destroy()
        self.node.destroy_node()
        self.context.destroy()
        # A participant lives, and shows its services to the next test, until its nodes are collected.
        vars(self).clear()
        gc.collect()

    # --- lifecycle and services ---

    def wait(self, future):
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE)
        return future.result()

    def call(self, client, request):
        assert client.wait_for_service(PATIENCE)
        return self.wait(client.call_async(request))

    def transition(self, transition: int) -> bool:
        return self.call(self.change_state, ChangeState.Request(transition=Transition(id=transition))).success

    def state(self) -> int:
        return self.call(self.get_state, GetState.Request()).current_state.id

    def activate(self) -> PlannerGraph:
        assert self.transition(Transition.TRANSITION_CONFIGURE)
        assert self.transition(Transition.TRANSITION_ACTIVATE)
        assert self.state() == State.PRIMARY_STATE_ACTIVE
        assert self.execute_task.wait_for_server(PATIENCE)
        self._wait_for_subscribers()
        return self

    def _wait_for_subscribers(self) -> None:
        publishers = [self.statuses, self.reports, self.chunks, self.scenes]
        if self.planner.get_parameter("completion").value in REGISTRY.scorers:
            publishers.append(self.images)
        changed = threading.Event()
        timer = self.node.create_timer(0.01, changed.set)
        while not all(publisher.get_subscription_count() for publisher in publishers):
            changed.clear()
            assert changed.wait(PATIENCE)
        self.node.destroy_timer(timer)

    def decompose(self, task: str) -> DecomposeTask.Response:
        return self.call(self.decompose_task, DecomposeTask.Request(task=task))

    # --- the client ---

    def send(self, task: str):
        """The goal handle, accepted or not."""
        goal = ExecuteTask.Goal(task=task)
        return self.wait(self.execute_task.send_goal_async(goal, lambda message: self.feedback.put(message.feedback)))

    def accepted(self, task: str = TASK):
        handle = self.send(task)
        assert handle.accepted
        return handle

    def result(self, handle) -> ExecuteTask.Result:
        return self.wait(handle.get_result_async()).result

    def status(self, handle) -> int:
        return self.wait(handle.get_result_async()).status

    def cancel(self, handle) -> ExecuteTask.Result:
        assert self.wait(handle.cancel_goal_async()).goals_canceling
        assert self.status(handle) == GoalStatus.STATUS_CANCELED
        return self.result(handle)

    def events_until(self, event: str) -> list[str]:
        seen: list[str] = []
        while not seen or not seen[-1].startswith(event):
            if text := self.feedback.get(timeout=PATIENCE).event:
                seen.append(text)
        return seen

    # --- bridge and policy ---

    def next_substep(self) -> ActiveSubstep:
        self.active = self.substeps.get(timeout=PATIENCE)
        return self.active

    def next_active(self) -> ActiveSubstep:
        """The next that is not empty: an empty one that is replaced at once may never be seen."""
        while not self.next_substep().plan_id:
            pass
        return self.active

    def world(self, step=0, success=False, done=False, episode=1, instruction=TASK, suite="libero_object") -> None:
        self.statuses.publish(
            EpisodeStatus(
                episode=episode, suite=suite, instruction=instruction, step=step, success=success, done=success or done
            )
        )

    def scene(self, *categories: str) -> None:
        objects = [SceneObject(name=f"{category}_1", category=category) for category in categories]
        self.scenes.publish(SceneState(objects=objects))

    def frame(self, value: int, stamp: int) -> None:
        self.images.publish(image_to_message(np.full((8, 8, 3), value, np.uint8), to_time(stamp), "agentview"))

    def chunk_with_eos(self) -> None:
        active = self.active
        self.chunks.publish(
            ActionChunk(plan_id=active.plan_id, substep_index=active.index, attempt=active.attempt, eos_index=3)
        )

    def fault(self) -> str:
        return str(self._spinners[0].fault.get(timeout=PATIENCE))

    def report(self, outcome: int, **more) -> None:
        active = self.active
        self.reports.publish(
            ChunkReport(
                episode=1, plan_id=active.plan_id, substep_index=active.index, attempt=active.attempt,
                outcome=outcome, **more,
            )
        )  # fmt: skip

    def policy_error(self, message: str) -> None:
        active = self.active
        values = {"plan_id": active.plan_id, "substep_index": str(active.index), "attempt": str(active.attempt)}
        status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="policy: inference", message=message)
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        self.others_diagnostics.publish(DiagnosticArray(status=[status]))

    def diagnostic(self, name: str, **values: str) -> DiagnosticStatus:
        """The next status of that name whose values contain these texts."""
        while True:
            status = self.diagnostics.get(timeout=PATIENCE)
            found = {item.key: item.value for item in status.values}
            if status.name == name and all(text in found.get(key, "") for key, text in values.items()):
                return status


@pytest.fixture
def graph(request):
    """A ``PlannerGraph``; its parameters come by indirect parametrization."""
    built = PlannerGraph(**getattr(request, "param", {}))
    yield built
    built.close()
