"""Lifecycle node ``planner``: carries out tasks given in words and owns the active substep.

How a client learns that its goal was turned away: ROS 2 actions carry no reason in a rejection, so before the
rejection goes out the reason is logged and published on /diagnostics, status "<node>: goals", value ``last_rejection``
("101 BUSY: …", numbers as in ExecuteTask).
"""

from __future__ import annotations

import functools
import traceback
import uuid
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, EpisodeStatus, SceneState
from substep_interfaces.srv import DecomposeTask

from substep_planner import planner_diagnostics, planner_messages, planner_parameters
from substep_planner.completion.views import CameraViews
from substep_planner.completion.watcher import CompletionWatcher
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.fallback import Decomposition, decompose
from substep_planner.errors import ErrorCode, PlanningError
from substep_planner.picture import NewestPicture
from substep_planner.planner_parameters import PlannerRegistry
from substep_planner.substep_manager import SubstepManager
from substep_planner.task_desk import TaskDesk
from substep_planner.task_events import Activate, EpisodeProgress, Finish, Hold, MakePlan, Report
from substep_planner.task_loop import TaskLoop
from substep_policy.messages import image_from_message, to_nanoseconds
from substep_policy.node_main import run_node
from substep_policy.node_parameters import BadParameter, NodeParameters

HEARTBEAT_PERIOD = 1.0  # s
LEAVE_TAKING = 0.5  # s between the end of the task and that of a node that cannot go on
STOPPING_TIME = 5.0  # s that a task may take to end on deactivation
PICTURE_WAIT = 5.0  # s that a plan waits for the first frame, where a decomposer looks at it
EXECUTOR_THREADS = 6  # a task and one that preempts it hold a thread each; lifecycle, plans, topics need theirs
DEFAULT_REGISTRY = PlannerRegistry()
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
REPORTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


def image_topic(camera: str) -> str:
    return f"camera/{camera}/image_raw"


class PlannerFault(RuntimeError):
    """The completion scorer raised; the node cannot go on."""


class PlannerNode(LifecycleNode):
    """Parameters, topics, action and lifecycle around ``SubstepManager``. Needs a MultiThreadedExecutor.

    Args:
        registry: where decomposers and completion scorers come from.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, registry: PlannerRegistry = DEFAULT_REGISTRY, **node_options) -> None:
        super().__init__("planner", **node_options)
        self._declared = NodeParameters(self)
        self._registry = registry
        planner_parameters.declare(self._declared, registry)
        self._is_active = False
        self._desk = TaskDesk()
        self._episode: EpisodeProgress | None = None
        self._last: Report | Finish | None = None
        self._last_rejection = ""
        self._last_plan: Decomposition | None = None
        self._scene = b""  # newest SceneState, serialised: its names are looked up when a plan is asked for
        self._picture = NewestPicture()
        self._watcher: CompletionWatcher | None = None
        self._views: CameraViews | None = None
        self._fault: Exception | None = None
        self._fault_noticed = self.create_guard_condition(self._take_leave)
        self._entities: list = []
        # Lives as long as the node: an executor that is just waiting trips over an action server that is destroyed.
        self._action = ActionServer(
            self,
            ExecuteTask,
            "execute_task",
            self._execute,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    # --- lifecycle ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._settings = planner_parameters.read(self._declared, self._registry)
        except BadParameter as error:
            self.get_logger().error(f"configure failed: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would swallow it; whatever a backend's loading raises is a failed configure
            self.get_logger().error(f"configure failed: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        self._create_entities()
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        if self._settings.scorer is not None:
            self._watcher = CompletionWatcher(
                self._settings.scorer, self._settings.watch, self._desk.tell, self._completion_failed
            )
        self._is_active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop("the planner was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop("the planner was shut down")
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        self.stop("the planner ends")
        self._action.destroy()
        super().destroy_node()

    def _create_entities(self) -> None:
        self._substeps = self.create_lifecycle_publisher(ActiveSubstep, "active_substep", LATCHED)
        self._diagnostics = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 10)
        subscriptions = [
            self.create_subscription(EpisodeStatus, "episode_status", self._on_episode, LATCHED),
            self.create_subscription(ChunkReport, "chunk_report", self._on_report, REPORTS),
            self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, RELIABLE),
            self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10),
            self.create_subscription(SceneState, "scene_state", self._on_scene, qos_profile_sensor_data, raw=True),
        ]
        if self._settings.wants_picture:
            topic, handle = image_topic(self._settings.picture_camera), self._picture.put
            subscriptions.append(self.create_subscription(Image, topic, handle, qos_profile_sensor_data, raw=True))
        if self._settings.scorer is not None:
            cameras = self._settings.scorer.cameras
            self._views = CameraViews(cameras)
            subscriptions += [self._subscribe_to_camera(camera) for camera in cameras]
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # beats on when simulated time stands still
        timer = self.create_timer(HEARTBEAT_PERIOD, self._publish_diagnostics, clock=steady)
        service = self.create_service(
            DecomposeTask, "decompose_task", self._on_decompose, callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._entities = [(self.destroy_subscription, item) for item in subscriptions]
        self._entities += [(self.destroy_timer, timer), (self.destroy_service, service)]
        self._entities += [(self.destroy_lifecycle_publisher, item) for item in (self._substeps, self._diagnostics)]

    def _subscribe_to_camera(self, camera: str) -> Subscription:
        handle = functools.partial(self._on_image, camera)
        return self.create_subscription(Image, image_topic(camera), handle, qos_profile_sensor_data)

    def stop(self, why: str) -> None:
        """End every task and accept no more."""
        self._is_active = False
        self._desk.stop_all(ErrorCode.NOT_ACTIVE, why)
        if not self._desk.wait_until_idle(STOPPING_TIME):
            self.get_logger().error(f"a task did not end within {STOPPING_TIME} s of: {why}")
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def _release(self) -> None:
        for destroy, entity in self._entities:
            destroy(entity)
        self._entities = []
        self._episode = self._last = self._last_plan = None
        self._scene = b""
        self._picture.forget()

    # --- what the others say ---

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode = planner_messages.progress_from_message(message)  # latched: it may come before activation
        self._desk.tell(self._episode)

    def _on_report(self, message: ChunkReport) -> None:
        try:
            self._desk.tell(planner_messages.report_from_message(message))
        except ValueError as error:
            self.get_logger().error(f"chunk_report is not heeded: {error}")

    def _on_chunk(self, message: ActionChunk) -> None:
        self._desk.tell(planner_messages.announcement_from_message(message))

    def _on_image(self, camera: str, message: Image) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        stamp = to_nanoseconds(message.header.stamp)
        if (views := self._views.add(camera, stamp, message)) is not None:
            watcher.offer(stamp, lambda: {name: image_from_message(view, name) for name, view in views.items()})

    def _on_scene(self, serialised: bytes) -> None:
        self._scene = serialised

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if refusal := planner_messages.refusal_from_diagnostics(status):
                self._desk.tell(refusal)

    # --- goals ---

    def _on_goal(self, goal: ExecuteTask.Goal) -> GoalResponse:
        if not self._is_active:
            return self._reject(ErrorCode.NOT_ACTIVE, goal, "the planner is not active")
        if self._desk.busy and not self._settings.preempt:
            return self._reject(ErrorCode.BUSY, goal, "another task is under way; cancel it or wait for its end")
        return GoalResponse.ACCEPT

    def _reject(self, code: ErrorCode, goal: ExecuteTask.Goal, why: str) -> GoalResponse:
        self._last_rejection = f"{code.value} {code.name}: {goal.task!r}: {why}"
        self.get_logger().warning(f"goal rejected: {self._last_rejection}")
        self._publish_diagnostics()
        return GoalResponse.REJECT

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        self._desk.stop_all(ErrorCode.PREEMPTED, f"another task came: {goal.request.task!r}")
        task = TaskLoop(functools.partial(self._new_manager, goal), self._make_plan, _GoalOutlet(self, goal))
        self._desk.add(task)
        goal.execute(functools.partial(self._execute, task=task))

    def _new_manager(self, goal: ServerGoalHandle, now: float) -> SubstepManager:
        task_id = uuid.UUID(bytes=bytes(goal.goal_id.uuid)).hex[:12]
        settings = self._settings
        return SubstepManager(settings.manager, settings.new_rule(), goal.request.task, task_id, self._episode, now)

    def _execute(self, goal: ServerGoalHandle, task: TaskLoop) -> ExecuteTask.Result:
        self._desk.wait_for_turn(task)
        try:
            return self._conclude(goal, task.run())
        finally:
            self._desk.remove(task)

    def _conclude(self, goal: ServerGoalHandle, finish: Finish) -> ExecuteTask.Result:
        self._last = finish
        end = f"task {goal.request.task or 'of the episode'!r} ended with {finish.code.name}: {finish.message}"
        if finish.as_wished:  # a logger call must keep its severity, so there are two
            self.get_logger().info(end)
        else:
            self.get_logger().error(end)
        if not self.context.ok():
            pass  # the process ends: there is nobody to tell
        elif finish.success:
            goal.succeed()
        elif finish.code is ErrorCode.CANCELED:
            goal.canceled()
        else:
            goal.abort()
        return planner_messages.result_to_message(finish)

    # --- plans ---

    def _make_plan(self, request: MakePlan) -> SourcedPlan:
        return self._decompose(PlanRequest(request.instruction, request.suite, request.done, request.trouble))

    def _decompose(self, request: PlanRequest) -> SourcedPlan:
        """With what there is to see now."""
        objects = planner_messages.categories_in_scene(self._scene)
        picture = self._picture.newest(PICTURE_WAIT) if self._settings.wants_picture else None
        result = decompose(replace(request, objects=objects, image=picture), self._settings.decomposers)
        for remark in result.remarks:
            self.get_logger().warning(f"plan by {result.sourced.source}: {remark}")
        self._last_plan = result
        self._publish_diagnostics()
        return result.sourced

    def _on_decompose(self, request: DecomposeTask.Request, response: DecomposeTask.Response) -> DecomposeTask.Response:
        try:
            if not self._is_active:
                raise PlanningError(ErrorCode.NOT_ACTIVE, "the planner is not active")
            suite = self._episode.suite if self._episode is not None else ""
            sourced = self._decompose(PlanRequest(request.task, suite))
        except PlanningError as error:
            response.success, response.error_code, response.message = False, int(error.code), str(error)
            return response
        response.success, response.source = True, sourced.source
        response.substeps = planner_messages.substeps_to_messages(sourced.plan.substeps)
        return response

    # --- a scorer that fails ends the node: no rule that looks could be followed any more ---

    def _completion_failed(self, error: Exception) -> None:
        self._fault = error
        self._desk.stop_all(ErrorCode.BACKEND_FAILED, f"the completion scorer failed: {type(error).__name__}: {error}")
        self._fault_noticed.trigger()

    def _take_leave(self) -> None:
        """Let the task's result go out before the end."""
        self._desk.wait_until_idle(STOPPING_TIME)
        self.create_timer(LEAVE_TAKING, self._raise_fault, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _raise_fault(self) -> None:
        name = self._settings.scorer.name
        raise PlannerFault(f"scorer {name} failed: {type(self._fault).__name__}: {self._fault}") from self._fault

    # --- what the planner says ---

    def activate_substep(self, command: Activate) -> None:
        """Make a substep the active one, and look out for its effect."""
        if self._watcher is not None:
            self._watcher.watch(command.key, command.plan)
        self._publish_substep(planner_messages.activation_to_message(command))

    def hold(self, plan_done: bool = False) -> None:
        """Make nothing active."""
        if self._watcher is not None:
            self._watcher.rest()
        self._publish_substep(ActiveSubstep(plan_done=plan_done))

    def _publish_substep(self, message: ActiveSubstep) -> None:
        if self.context.ok():
            message.header.stamp = self.get_clock().now().to_msg()
            self._substeps.publish(message)

    def note(self, report: Report) -> None:
        """Remember, and log, what just happened."""
        self._last = report
        if report.event:
            place = f"substep {report.key.index + 1} of {len(report.plan)}"
            self.get_logger().info(f"{report.event}: {place}, {report.plan[report.key.index].instruction!r}")
            self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        if not self._is_active or not self.context.ok():
            return
        name = self.get_fully_qualified_name().lstrip("/")
        statuses = [
            planner_diagnostics.task_status(name, self._last),
            planner_diagnostics.goals_status(name, self._desk.busy, self._last_rejection),
            planner_diagnostics.plan_status(name, self._last_plan),
            planner_diagnostics.completion_status(name, self._settings.scorer, self._views),
        ]
        if statuses[-1].level == DiagnosticStatus.ERROR:
            self.get_logger().error(statuses[-1].message, once=True)
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


class _GoalOutlet:
    """Where the commands of one goal's task go."""

    def __init__(self, node: PlannerNode, goal: ServerGoalHandle) -> None:
        self._node = node
        self._goal = goal

    def activate(self, command: Activate) -> None:
        self._node.activate_substep(command)

    def hold(self, command: Hold) -> None:
        self._node.hold(command.plan_done)

    def report(self, command: Report) -> None:
        self._node.note(command)
        if self._node.context.ok():
            self._goal.publish_feedback(planner_messages.feedback_to_message(command))

    def is_cancel_requested(self) -> bool:
        return self._goal.is_cancel_requested


def main() -> int:
    return run_node(PlannerNode, executor_type=functools.partial(MultiThreadedExecutor, num_threads=EXECUTOR_THREADS))
