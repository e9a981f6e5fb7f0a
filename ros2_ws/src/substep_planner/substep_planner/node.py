"""Lifecycle node ``planner``: carries out tasks given in words and owns the active substep.

How a client learns that its goal was turned away: ROS 2 actions carry no reason in a rejection, so before the
rejection goes out the reason is logged and published on goal_rejection.
"""

from __future__ import annotations

import functools
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from sensor_msgs.msg import Image
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
    TaskStatus,
)
from substep_interfaces.srv import DecomposeTask, StartTask

from substep_core.contract import CameraRole, contract_from_text
from substep_core.errors import ErrorCode, PlanningError
from substep_core.protocol import TaskEvent
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_core.ros.node_main import run_node
from substep_planner import diagnostics as planner_diagnostics
from substep_planner import messages as planner_messages
from substep_planner import parameters as planner_parameters
from substep_planner.completion.views import CameraViews
from substep_planner.completion.watcher import CompletionWatcher
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.fallback import Decomposition, decompose
from substep_planner.manager.events import (
    Activate,
    AnotherPlan,
    Deactivate,
    EpisodeProgress,
    Finish,
    MakePlan,
    Stopped,
    TaskFeedback,
)
from substep_planner.manager.goal_queue import GoalQueue
from substep_planner.manager.grasp_watch import FingerLimits
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.manager.task_loop import TaskLoop
from substep_planner.newest_image import NewestPicture
from substep_planner.parameters import PlannerRegistry, PlannerSettings
from substep_planner.policy_words import PolicyWords

SIGN_OF_LIFE = 1.0  # s between two messages of active_substep, whether anything has changed or not
ECHOES = 100  # more than are on their way at once
SHUTDOWN_DELAY = 0.5  # s between the end of the task and that of a node that cannot go on
STOPPING_TIME = 5.0  # s that a task may take to end on deactivation
PICTURE_WAIT = 5.0  # s that a plan waits for the first frame, where a decomposer looks at it
EXECUTOR_THREADS = 6  # a task and one that preempts it hold a thread each; lifecycle, plans, topics need theirs
NOT_ACTIVE = "the planner is not active any more"
DEFAULT_REGISTRY = PlannerRegistry()


class PlannerFault(RuntimeError):
    """The completion scorer raised; the node cannot go on."""


class PlannerNode(GraphNode):
    """Parameters, topics, action and lifecycle around ``SubstepManager``. Needs a MultiThreadedExecutor.

    Args:
        registry: where decomposers and completion scorers come from.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, registry: PlannerRegistry = DEFAULT_REGISTRY, **node_options) -> None:
        super().__init__("planner", **node_options)
        self._registry = registry
        planner_parameters.declare(self.parameters, registry)
        self._desk = GoalQueue()
        self._settings: PlannerSettings | None = None
        self._episode: EpisodeProgress | None = None
        self._last: TaskFeedback | Finish | None = None
        self._last_rejection = ""
        self._last_plan: Decomposition | None = None
        self._scene = b""  # newest SceneState, serialised: its names are looked up when a plan is asked for
        self._picture = NewestPicture()
        self._watcher: CompletionWatcher | None = None
        self._views: CameraViews | None = None
        self._completion_complaint = ""
        self._fingers = FingerLimits()  # the robot's, once it is known
        self._task = ""  # in words, whose substep is active
        self._by_role: list[tuple[str, Callable, bool]] = []  # cameras to subscribe to once the robot is known
        self._substep_lock = threading.Lock()
        self._sent: deque[tuple] = deque(maxlen=ECHOES)  # signatures of the newest messages of active_substep
        self._fault: Exception | None = None
        self._fault_noticed = self.create_guard_condition(self._end_after_task)
        # Lives as long as the node: an executor that is just waiting trips over an action server that is destroyed.
        self._rejections = topics.GOAL_REJECTION.publisher(self)  # as the action: a node that is not active rejects too
        self._action = topics.EXECUTE_TASK.server(
            self,
            self._execute,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    # --- lifecycle ---

    def configure(self) -> None:
        self._words = PolicyWords(self.client(topics.NAME_SUBSTEP), self.parameters.value("words_timeout"))
        self._settings = planner_parameters.read(self.parameters, self._registry, lambda: self._words.ask(self._task))
        for failed in self._settings.failed_decomposers:
            self.complain(f"decomposer {failed.name} {failed.why}; the others are asked")
        self._substeps = self.advertise(topics.ACTIVE_SUBSTEP)
        self._newest_substep = ActiveSubstep()
        self.subscribe(topics.ACTIVE_SUBSTEP, self._on_substep)
        self.repeat(SIGN_OF_LIFE, self._repeat_substep)
        self.subscribe(topics.EPISODE_STATUS, self._on_episode)
        self.subscribe(topics.CHUNK_REPORT, self._on_report)
        self.subscribe(topics.ACTION_CHUNK, self._on_chunk)
        self.subscribe(topics.CHUNK_REFUSAL, self._on_refusal)
        self.subscribe(topics.SCENE_STATE, self._on_scene, raw=True)
        self._by_role = []
        if self._settings.wants_picture:
            self._see(self._settings.picture_camera, self._picture.put, raw=True)
        if self._settings.scorer is not None:
            self._views = CameraViews(self._settings.scorer.cameras)
            for camera in self._settings.scorer.cameras:
                self._see(camera, functools.partial(self._on_image, camera))
        self.subscribe(topics.ROBOT_CONTRACT, self._on_contract)
        self.serve(topics.DECOMPOSE_TASK, self._on_decompose, MutuallyExclusiveCallbackGroup())
        self._task_status = self.advertise(topics.TASK_STATUS)
        goals = MutuallyExclusiveCallbackGroup()
        self.serve(topics.START_TASK, self._on_start, goals)
        self.serve(topics.STOP_TASK, self._on_stop, goals)

    def activate(self) -> None:
        self._publish_task_status(TaskStatus())
        if self._settings.scorer is not None:
            self._watcher = CompletionWatcher(
                self._settings.scorer, self._settings.watch, self._desk.tell, self._completion_failed
            )

    def deactivate(self) -> None:
        """End every task, so that what they hold is let go."""
        self._desk.stop_all(ErrorCode.NOT_ACTIVE, NOT_ACTIVE)
        if not self._desk.wait_until_idle(STOPPING_TIME):
            self.complain(f"a task did not end within {STOPPING_TIME} s of: {NOT_ACTIVE}")
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def release(self) -> None:
        self._settings = self._views = None  # with the models that they hold
        self._episode = self._last = self._last_plan = None
        self._scene = b""
        self._picture.forget()

    def destroy_node(self) -> None:
        self.deactivate()
        self._action.destroy()
        super().destroy_node()

    # --- cameras ---

    def _see(self, camera: str, callback: Callable, raw: bool = False) -> None:
        """``camera``: a name; or a role, whose camera is known once the robot contract is heard."""
        if camera in list(CameraRole):
            self._by_role.append((camera, callback, raw))
        else:
            self.subscribe(topics.camera_image(camera), callback, raw=raw)

    def _on_contract(self, message: String) -> None:
        try:
            robot = contract_from_text(message.data, topics.ROBOT_CONTRACT.name)
            self._fingers = FingerLimits.of(robot)
            wanted = [(robot.camera_called(role), *rest) for role, *rest in self._by_role]
        except ValueError as error:
            self.complain(f"robot_contract is not heeded: {error}")
            return
        self._by_role = []
        for camera, callback, raw in wanted:
            self.subscribe(topics.camera_image(camera), callback, raw=raw)

    # --- what the others say ---

    def _on_substep(self, message: ActiveSubstep) -> None:
        """The planner's own words come back; others' mean that somebody else commands the arm."""
        if _signature(message) not in self._sent:
            self._desk.tell(AnotherPlan(message.plan_id))

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode = planner_messages.progress_from_message(message)  # latched: it may come before activation
        self._desk.tell(self._episode)

    def _on_report(self, message: ChunkReport) -> None:
        try:
            self._desk.tell(planner_messages.report_from_message(message))
        except ValueError as error:
            self.complain(f"chunk_report is not heeded: {error}")

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

    def _on_refusal(self, message: ChunkRefusal) -> None:
        try:
            self._desk.tell(planner_messages.refusal_from_message(message))
        except ValueError as error:
            self.complain(f"chunk_refusal is not heeded: {error}")

    # --- goals ---

    def _on_goal(self, goal: ExecuteTask.Goal) -> GoalResponse:
        return GoalResponse.ACCEPT if self._refusal(goal.task) is None else GoalResponse.REJECT

    def _refusal(self, task: str) -> GoalRejection | None:
        """Why a task cannot begin now, which is also published; None if it can."""
        if not self.is_active:
            return self._refuse(ErrorCode.NOT_ACTIVE, task, "the planner is not active")
        if self._desk.busy and not self._settings.preempt:
            return self._refuse(ErrorCode.BUSY, task, "another task is under way; cancel it or wait for its end")
        return None

    def _refuse(self, code: ErrorCode, task: str, why: str) -> GoalRejection:
        self._last_rejection = f"{code.value} {code.name}: {task!r}: {why}"
        self.warn(f"goal rejected: {self._last_rejection}")
        rejection = GoalRejection(task=task, error_code=code, message=why)
        rejection.header.stamp = self.now()
        self._rejections.publish(rejection)
        self.publish_diagnostics()
        return rejection

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        task = self._line_up(uuid.UUID(bytes=bytes(goal.goal_id.uuid)), goal.request.task, goal)
        goal.execute(functools.partial(self._execute, task=task))

    def _on_start(self, request: StartTask.Request, response: StartTask.Response) -> StartTask.Response:
        """The action for clients that have none."""
        if (refusal := self._refusal(request.task)) is not None:
            response.error_code, response.message = refusal.error_code, refusal.message
            return response
        task = self._line_up(uuid.uuid4(), request.task)
        threading.Thread(target=self._carry_out, args=(task, request.task), name="task", daemon=True).start()
        response.success = True
        return response

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._desk.busy
        response.message = "" if response.success else "no task is under way"
        self._desk.stop_all(ErrorCode.CANCELED, f"canceled by {topics.STOP_TASK.name}")
        return response

    def _line_up(self, identity: uuid.UUID, told: str, goal: ServerGoalHandle | None = None) -> TaskLoop:
        self._desk.stop_all(ErrorCode.PREEMPTED, f"another task came: {told!r}")
        new_manager = functools.partial(self._new_manager, identity.hex[:12], told)
        task = TaskLoop(new_manager, self._make_plan, _TaskOutlet(self, told, goal))
        self._desk.add(task)
        if not self.is_active:  # deactivated since the task was accepted, before it could be told
            task.put(Stopped(ErrorCode.NOT_ACTIVE, NOT_ACTIVE))
        return task

    def _new_manager(self, task_id: str, told: str, now: float) -> SubstepManager:
        rule, fingers = self._settings.new_rule(), self._fingers
        return SubstepManager(self._settings.manager, rule, told, task_id, self._episode, now, fingers)

    def _carry_out(self, task: TaskLoop, told: str) -> Finish:
        self._desk.wait_for_turn(task)
        try:
            finish = task.run()
            self._conclude(told, finish)
            return finish
        finally:
            self._desk.remove(task)

    def _execute(self, goal: ServerGoalHandle, task: TaskLoop) -> ExecuteTask.Result:
        finish = self._carry_out(task, goal.request.task)
        if not self.context.ok():
            pass  # the process ends: no client is left
        elif finish.success:
            goal.succeed()
        elif finish.code is ErrorCode.CANCELED and goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return planner_messages.result_to_message(finish)

    def _conclude(self, told: str, finish: Finish) -> None:
        self._last = finish
        end = f"task {told or 'of the episode'!r} ended with {finish.code.name}: {finish.message}"
        (self.say if finish.as_wished else self.complain)(end)
        self._publish_task_status(planner_messages.end_to_status(told, finish))

    # --- plans ---

    def _make_plan(self, request: MakePlan) -> SourcedPlan:
        return self._decompose(PlanRequest(request.instruction, request.suite, request.done, request.failure))

    def _decompose(self, request: PlanRequest) -> SourcedPlan:
        """With what there is to see now."""
        objects = planner_messages.categories_in_scene(self._scene)
        picture = self._picture.newest(PICTURE_WAIT) if self._settings.wants_picture else None
        ask = functools.partial(self._words.ask, request.instruction)
        result = decompose(replace(request, objects=objects, image=picture, ask_policy=ask), self._settings.decomposers)
        for remark in result.remarks:
            self.warn(f"plan by {result.sourced.source}: {remark}")
        self._last_plan = result
        self.publish_diagnostics()
        return result.sourced

    def _on_decompose(self, request: DecomposeTask.Request, response: DecomposeTask.Response) -> DecomposeTask.Response:
        try:
            if not self.is_active:
                raise PlanningError(ErrorCode.NOT_ACTIVE, "the planner is not active")
            episode = self._episode
            suite, own = (episode.suite, episode.instruction) if episode is not None else ("", "")
            sourced = self._decompose(PlanRequest(request.task or own, suite))
        except PlanningError as error:
            response.success, response.error_code, response.message = False, int(error.code), str(error)
            return response
        response.success, response.source = True, sourced.source
        response.substeps = planner_messages.substeps_to_messages(sourced.plan.substeps)
        return response

    # --- a scorer that fails ends the node: no rule that looks could be followed any more ---

    def _completion_failed(self, error: Exception) -> None:
        self._fault = PlannerFault(f"scorer {self._settings.scorer.name} failed: {type(error).__name__}: {error}")
        self._fault.__cause__ = error
        self._desk.stop_all(ErrorCode.BACKEND_FAILED, f"the completion scorer failed: {type(error).__name__}: {error}")
        self._fault_noticed.trigger()

    def _end_after_task(self) -> None:
        """Let the task's result go out before the end."""
        self._desk.wait_until_idle(STOPPING_TIME)
        self.repeat(SHUTDOWN_DELAY, self._raise_fault)

    def _raise_fault(self) -> None:
        raise self._fault

    # --- what the planner says ---

    def activate_substep(self, command: Activate) -> None:
        """Make a substep the active one, and look out for its effect."""
        self._task = command.task
        if self._watcher is not None:
            self._watcher.watch(command.key, command.plan)
        self._publish_substep(planner_messages.activation_to_message(command))

    def hold(self, plan_done: bool = False) -> None:
        """Make nothing active."""
        if self._watcher is not None:
            self._watcher.rest()
        self._publish_substep(ActiveSubstep(plan_done=plan_done))

    def _publish_substep(self, message: ActiveSubstep) -> None:
        with self._substep_lock:
            self._newest_substep = message
            self._send_substep()

    def _repeat_substep(self) -> None:
        """The bridge holds the arm where it hears nothing of the planner for a while."""
        if self.is_active:
            with self._substep_lock:  # the one before must not come after
                self._send_substep()

    def _send_substep(self) -> None:
        if self.context.ok():
            message = self._newest_substep
            message.header.stamp = self.now()
            self._sent.append(_signature(message))
            self._substeps.publish(message)

    def _publish_task_status(self, message: TaskStatus) -> None:
        if self.context.ok():
            message.header.stamp = self.now()
            self._task_status.publish(message)

    def note(self, told: str, report: TaskFeedback) -> None:
        """Remember, and tell, what just happened."""
        self._last = report
        if report.event is not TaskEvent.NONE:
            self._publish_task_status(planner_messages.feedback_to_status(told, report))
            place = f"substep {report.key.index + 1} of {len(report.plan)}"
            self.say(f"{report.event_text}: {place}, {report.plan[report.key.index].instruction!r}")
            self.publish_diagnostics()

    def diagnostics(self) -> list[DiagnosticStatus]:
        name = self.get_fully_qualified_name()
        statuses = [
            planner_diagnostics.task_status(name, self._last),
            planner_diagnostics.goals_status(name, self._desk.busy, self._last_rejection),
            planner_diagnostics.plan_status(name, self._last_plan, self._settings.failed_decomposers),
            planner_diagnostics.completion_status(name, self._settings.scorer, self._views),
        ]
        if statuses[-1].level == DiagnosticStatus.ERROR:
            self._complain_of_completion(statuses[-1].message)
        return statuses

    def _complain_of_completion(self, what: str) -> None:
        """Diagnostics say it again and again, the log once."""
        if what != self._completion_complaint:
            self._completion_complaint = what
            self.complain(what)


def _signature(message: ActiveSubstep) -> tuple:
    """What tells a message from those of others; time may stand still."""
    stamp = to_nanoseconds(message.header.stamp)
    return stamp, message.plan_id, message.index, message.attempt, message.plan_done


class _TaskOutlet:
    """Where the commands of one task go.

    Args:
        told: what the task is, as it was said.
        goal: of the action, where the task began as one.
    """

    def __init__(self, node: PlannerNode, told: str, goal: ServerGoalHandle | None) -> None:
        self._node = node
        self._told = told
        self._goal = goal

    def activate(self, command: Activate) -> None:
        self._node.activate_substep(command)

    def deactivate(self, command: Deactivate) -> None:
        self._node.hold(command.plan_done)

    def report(self, command: TaskFeedback) -> None:
        self._node.note(self._told, command)
        if self._goal is not None and self._node.context.ok():
            self._goal.publish_feedback(planner_messages.feedback_to_message(command))

    def is_cancel_requested(self) -> bool:
        return self._goal is not None and self._goal.is_cancel_requested


def main() -> int:
    return run_node(PlannerNode, executor_type=functools.partial(MultiThreadedExecutor, num_threads=EXECUTOR_THREADS))
