"""The planner node in process, and everybody around it played by the test: client, bridge, policy."""

from __future__ import annotations

import gc
import queue
import threading

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import (
    ActionChunk,
    ActiveSubstep,
    ChunkRefusal,
    ChunkReport,
    EpisodeStatus,
    GoalRejection,
    SceneObject,
    SceneState,
    TaskStatus,
)
from substep_interfaces.srv import DecomposeTask, ReviseTask, StartTask

from substep_core.contract import LIBERO_PANDA, CameraRole, RobotContract, contract_to_text, load_robot
from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Plan, Substep
from substep_core.protocol import Cause, TaskEvent
from substep_core.ros import topics
from substep_core.ros.messages import image_to_message, to_time
from substep_core.ros.node_main import RCLError
from substep_planner.completion.registry import SCORERS
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.decomposers.grounding.decomposer import create as create_grounding
from substep_planner.decomposers.library import LibraryDecomposer, shipped_library
from substep_planner.decomposers.registry import DECOMPOSERS, DecomposerSettings
from substep_planner.decomposers.rules import RulesDecomposer
from substep_planner.node import EXECUTOR_THREADS, PlannerFault, PlannerNode
from substep_planner.parameters import PlannerRegistry

PATIENCE = 20.0  # s, for what must come
TASK = "put the milk in the basket"


class HangingDecomposer:
    """Answers when the test is over."""

    name = "hanging"
    wants_picture = False
    asked, released = threading.Event(), threading.Event()

    def __init__(self, settings) -> None: ...

    def decompose(self, request):
        self.asked.set()
        self.released.wait()
        raise PlanningError(ErrorCode.NO_PLAN, "too late")


class BabblingDecomposer:
    """Has nothing useful to say."""

    name = "babbling"
    wants_picture = False

    def __init__(self, settings) -> None: ...

    def decompose(self, request):
        raise PlanningError(ErrorCode.INVALID_PLAN, "the answer is not JSON")


def unreachable(settings):
    """Cannot be loaded."""
    raise OSError("no server at \x1b[2J")


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
    cameras = ("scene",)
    threshold = 0.5

    def __init__(self, settings) -> None: ...

    def begin_plan(self, substeps): ...

    def score(self, images, index):
        brightness = images["scene"].max()
        if brightness == 255:
            raise RuntimeError("blinded")
        return brightness / 200


REGISTRY = PlannerRegistry(
    decomposers=DECOMPOSERS.plus(
        {
            "hanging": HangingDecomposer,
            "babbling": BabblingDecomposer,
            "looking": LookingDecomposer,
            "unreachable": unreachable,
        }
    ),
    scorers=SCORERS.plus({"brightness": BrightnessScorer}),
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
        except RCLError:
            if self.executor.context.ok():
                raise
        except PlannerFault as error:
            self.fault.put(error)

    def stop(self) -> None:
        """After the context was shut down, as in a process that is told to end."""
        self._thread.join()
        self.executor.shutdown()


def _said(message: ActiveSubstep) -> tuple:
    return message.plan_id, message.index, message.attempt, message.plan_done


class PlannerGraph:
    """The node under test with its neighbours' topics at hand."""

    def __init__(self, **parameters) -> None:
        self.hanging = HangingDecomposer
        HangingDecomposer.asked.clear()
        HangingDecomposer.released.clear()
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.planner = PlannerNode(REGISTRY, context=self.context, parameter_overrides=overrides)
        self.node = rclpy.create_node("neighbours", context=self.context)
        self.substeps: queue.Queue[ActiveSubstep] = queue.Queue()
        self.signs: queue.Queue[ActiveSubstep] = queue.Queue()
        self.feedback: queue.Queue[ExecuteTask.Feedback] = queue.Queue()
        self.diagnostics: queue.Queue[DiagnosticStatus] = queue.Queue()
        self.rejections: queue.Queue[GoalRejection] = queue.Queue()
        self.statuses_of_tasks: queue.Queue[TaskStatus] = queue.Queue()
        self._create_entities()
        self.active = ActiveSubstep()
        planner_executor = MultiThreadedExecutor(EXECUTOR_THREADS, context=self.context)
        planner_executor.add_node(self.planner)
        own_executor = SingleThreadedExecutor(context=self.context)
        own_executor.add_node(self.node)
        self._spinners = [Spinner(planner_executor), Spinner(own_executor)]

    def _create_entities(self) -> None:
        node = self.node
        self._heard = ActiveSubstep()
        topics.ACTIVE_SUBSTEP.subscription(node, self._on_substep)
        topics.DIAGNOSTICS.subscription(node, self._on_diagnostics)
        topics.GOAL_REJECTION.subscription(node, self.rejections.put)
        topics.TASK_STATUS.subscription(node, self.statuses_of_tasks.put)
        self.statuses = topics.EPISODE_STATUS.publisher(node)
        self.reports = topics.CHUNK_REPORT.publisher(node)
        self.scenes = topics.SCENE_STATE.publisher(node)
        self.contracts = topics.ROBOT_CONTRACT.publisher(node)
        self.policy_skills = topics.POLICY_SKILLS.publisher(node)
        self.robot(load_robot(LIBERO_PANDA))
        self.chunks = topics.ACTION_CHUNK.publisher(node)
        self.refusals = topics.CHUNK_REFUSAL.publisher(node)
        self.change_state = node.create_client(ChangeState, "planner/change_state")
        self.get_state = node.create_client(GetState, "planner/get_state")
        self.decompose_task = topics.DECOMPOSE_TASK.client(node)
        self.start_task = topics.START_TASK.client(node)
        self.stop_task = topics.STOP_TASK.client(node)
        self.revise_task = topics.REVISE_TASK.client(node)
        self.execute_task = topics.EXECUTE_TASK.client(node)

    def robot(self, contract: RobotContract) -> None:
        """Have it there."""
        self.contracts.publish(String(data=contract_to_text(contract)))
        self.images = topics.camera_image(contract.camera_of(CameraRole.SCENE)).publisher(self.node)

    def _on_substep(self, message: ActiveSubstep) -> None:
        """What is new; signs of life repeat what was said."""
        before, self._heard = self._heard, message
        self.signs.put(message)
        if _said(before) != _said(message):
            self.substeps.put(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics.put(status)

    def close(self) -> None:
        HangingDecomposer.released.set()
        self.planner.deactivate()
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
        publishers = [self.statuses, self.reports, self.chunks, self.scenes, self.refusals]
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

    def start(self, task: str) -> StartTask.Response:
        return self.call(self.start_task, StartTask.Request(task=task))

    def stop(self) -> Trigger.Response:
        return self.call(self.stop_task, Trigger.Request())

    def revise(self, words: str) -> ReviseTask.Response:
        return self.call(self.revise_task, ReviseTask.Request(words=words))

    def next_task_status(self, state: int) -> TaskStatus:
        """The next that has this state."""
        while (status := self.statuses_of_tasks.get(timeout=PATIENCE)).state != state:
            pass
        return status

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

    def events_until(self, event: TaskEvent) -> list[tuple[TaskEvent, Cause]]:
        seen: list[tuple[TaskEvent, Cause]] = []
        while not seen or seen[-1][0] is not event:
            feedback = self.feedback.get(timeout=PATIENCE)
            if feedback.event != TaskEvent.NONE:
                seen.append((TaskEvent(feedback.event), Cause(feedback.cause)))
        return seen

    def next_sign(self) -> ActiveSubstep:
        """The next message of active_substep, new or not."""
        return self.signs.get(timeout=PATIENCE)

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

    def refuse(self, why: str) -> None:
        active = self.active
        self.refusals.publish(
            ChunkRefusal(
                plan_id=active.plan_id, substep_index=active.index, attempt=active.attempt,
                kind=ChunkRefusal.INSTRUCTION, reason=why,
            )
        )  # fmt: skip

    def diagnostic(self, name: str, **values: str) -> DiagnosticStatus:
        """The next status of that name whose values contain these texts."""
        while True:
            status = self.diagnostics.get(timeout=PATIENCE)
            found = {item.key: item.value for item in status.values}
            if status.name == name and all(text in found.get(key, "") for key, text in values.items()):
                return status


@pytest.fixture(scope="session")
def decomposers():
    """Those that ship and are asked by default, in their order."""
    return LibraryDecomposer(shipped_library()), create_grounding(DecomposerSettings()), RulesDecomposer()


@pytest.fixture
def graph(request):
    """A ``PlannerGraph``; its parameters come by indirect parametrization."""
    built = PlannerGraph(**getattr(request, "param", {}))
    yield built
    built.close()
