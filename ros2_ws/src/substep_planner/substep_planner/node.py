"""Lifecycle node ``planner``: carries out tasks given in words and owns the active substep."""

from __future__ import annotations

from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action.server import ServerGoalHandle
from rclpy.executors import MultiThreadedExecutor
from std_msgs.msg import String
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRefusal, ChunkReport, EpisodeStatus, TaskStatus

from substep_core.contract import contract_from_text
from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.skills import skills_from_text
from substep_core.printable import shortened
from substep_core.protocol import TaskEvent
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.node_main import run_node
from substep_planner import diagnostics as planner_diagnostics
from substep_planner import messages as planner_messages
from substep_planner import parameters as planner_parameters
from substep_planner.cameras import Cameras
from substep_planner.goal_server import STOPPING_TIME, GoalServer
from substep_planner.lookout import Lookout
from substep_planner.manager.events import Activate, Deactivate, EpisodeProgress, Finish, Stopped, TaskFeedback
from substep_planner.manager.goal_queue import GoalQueue
from substep_planner.manager.grasp_watch import FingerLimits
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.manager.task_loop import TaskLoop
from substep_planner.parameters import PlannerRegistry, PlannerSettings
from substep_planner.plan_maker import PlanMaker
from substep_planner.policy_words import PolicyWords
from substep_planner.substep_publisher import SubstepPublisher

SHUTDOWN_DELAY = 0.5  # s between the end of the task and that of a node that cannot go on
EXECUTOR_THREADS = 6  # a task and one that preempts it hold a thread each; lifecycle, plans, topics need theirs
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
        self._queue = GoalQueue()
        self._settings: PlannerSettings | None = None
        self._cameras: Cameras | None = None
        self._plans: PlanMaker | None = None
        self._lookout: Lookout | None = None
        self._episode: EpisodeProgress | None = None
        self._last: TaskFeedback | Finish | None = None
        self._completion_complaint = self._last_end = ""
        self._fingers = FingerLimits()  # the robot's, once it is known
        self._task = ""  # in words, whose substep is active
        self._fault: Exception | None = None
        self._fault_noticed = self.create_guard_condition(self._end_after_task)
        self._goals = GoalServer(self, self._queue, self)

    # --- lifecycle ---

    def configure(self) -> None:
        words = PolicyWords(self.client(topics.NAME_SUBSTEP), self.parameters.value("words_timeout"))
        settings = planner_parameters.read(self.parameters, self._registry, lambda: words.ask(self._task))
        for failed in settings.failed_decomposers:
            self.complain(f"decomposer {failed.name} {failed.why}; the others are asked")
        self._settings, self._cameras = settings, Cameras(self)
        self._substeps = SubstepPublisher(self, self._queue.tell)
        self._task_status = self.advertise(topics.TASK_STATUS)
        self._plans = PlanMaker(self, settings, self._cameras, words, lambda: self._episode)
        if settings.scorer is not None:
            report = self._queue.tell, self._completion_unanswered, self._completion_failed
            self._lookout = Lookout(self._cameras, settings.scorer, settings.watch, *report)
        self.subscribe(topics.EPISODE_STATUS, self._on_episode)
        self.subscribe(topics.CHUNK_REPORT, self._on_report)
        self.subscribe(topics.ACTION_CHUNK, self._on_chunk)
        self.subscribe(topics.CHUNK_REFUSAL, self._on_refusal)
        self.subscribe(topics.ROBOT_CONTRACT, self._on_contract)
        self.subscribe(topics.POLICY_SKILLS, self._on_policy_skills)
        self._goals.configure(settings.preempt)

    def activate(self) -> None:
        self._publish_task_status(TaskStatus())
        if self._lookout is not None:
            self._lookout.start()

    def deactivate(self) -> None:
        self._goals.stop()
        if self._lookout is not None:
            self._lookout.stop()

    def release(self) -> None:
        self._settings = self._cameras = self._plans = self._lookout = None  # with the models that they hold
        self._episode = self._last = None

    def destroy_node(self) -> None:
        self.deactivate()
        self._goals.destroy()
        super().destroy_node()

    # --- what the others say ---

    def _on_contract(self, message: String) -> None:
        try:
            robot = contract_from_text(message.data, topics.ROBOT_CONTRACT.name)
            self._fingers = FingerLimits.of(robot)
            self._cameras.use(robot)
            self._plans.skills = robot.skills
        except ValueError as error:
            self.complain(f"robot_contract is not heeded: {error}")

    def _on_policy_skills(self, message: String) -> None:
        """Raises: ValueError: it names none."""
        self._plans.policy_skills = skills_from_text(message.data)

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode = planner_messages.progress_from_message(message)  # latched: it may come before activation
        self._queue.tell(self._episode)

    def _on_report(self, message: ChunkReport) -> None:
        try:
            self._queue.tell(planner_messages.report_from_message(message))
        except ValueError as error:
            self.complain(f"chunk_report is not heeded: {error}")

    def _on_chunk(self, message: ActionChunk) -> None:
        self._queue.tell(planner_messages.announcement_from_message(message))

    def _on_refusal(self, message: ChunkRefusal) -> None:
        try:
            self._queue.tell(planner_messages.refusal_from_message(message))
        except ValueError as error:
            self.complain(f"chunk_refusal is not heeded: {error}")

    # --- tasks, as the goal server asks for them ---

    def new_task(self, identity: str, told: str, goal: ServerGoalHandle | None) -> TaskLoop:
        new_manager = partial(self._new_manager, identity, told)
        return TaskLoop(new_manager, self._plans.make, self._plans.revise, _TaskOutlet(self, told, goal))

    def _new_manager(self, task_id: str, told: str, now: float) -> SubstepManager:
        rule, fingers = self._settings.new_rule(), self._fingers
        return SubstepManager(self._settings.manager, rule, told, task_id, self._episode, now, fingers)

    def conclude(self, told: str, finish: Finish) -> None:
        self._last = finish
        how = "is done" if finish.success else f"ended with {finish.code.name}"
        task = repr(shortened(told)) if told else "of the episode"
        self._last_end = f"task {task} {how}: {finish.message}"
        (self.say if finish.as_wished else self.complain)(self._last_end)
        self._publish_task_status(planner_messages.end_to_status(told, finish))

    def last_end(self) -> str:
        return self._last_end

    # --- what the tasks say ---

    def activate_substep(self, command: Activate) -> None:
        """Make a substep the active one, and look out for its effect."""
        self._task = command.task
        if self._lookout is not None:
            self._lookout.watch(command.key, command.plan)
        self._substeps.publish(planner_messages.activation_to_message(command))

    def hold(self, plan_done: bool = False) -> None:
        """Make nothing active."""
        if self._lookout is not None:
            self._lookout.rest()
        self._substeps.publish(ActiveSubstep(plan_done=plan_done))

    def note(self, told: str, report: TaskFeedback) -> None:
        """Remember, and tell, what just happened."""
        self._last = report
        if report.event is not TaskEvent.NONE:
            self._publish_task_status(planner_messages.feedback_to_status(told, report))
            place = f"substep {report.key.index + 1} of {len(report.plan)}"
            self.say(f"{report.event_text}: {place}, {report.plan[report.key.index].instruction!r}")
            self.publish_diagnostics()

    def _publish_task_status(self, message: TaskStatus) -> None:
        if self.context.ok():
            message.header.stamp = self.now()
            self._task_status.publish(message)

    # --- a scorer that gets no answer ends the task whose rule looks: in the next one it may get one ---

    def _completion_unanswered(self, error: PlanningError) -> None:
        why = f"scorer {self._settings.scorer.name}: {error}"
        if self._settings.new_rule().uses_vision:
            self._queue.tell(Stopped(error.code, why))
        else:  # it only informs
            self._complain_of_completion(why)

    # --- a scorer that fails ends the node: no rule that looks could be followed any more ---

    def _completion_failed(self, error: Exception) -> None:
        self._fault = PlannerFault(f"scorer {self._settings.scorer.name} failed: {type(error).__name__}: {error}")
        self._fault.__cause__ = error
        self._queue.stop_all(ErrorCode.BACKEND_FAILED, f"the completion scorer failed: {type(error).__name__}: {error}")
        self._fault_noticed.trigger()

    def _end_after_task(self) -> None:
        """Let the task's result go out before the end."""
        self._queue.wait_until_idle(STOPPING_TIME)
        self.repeat(SHUTDOWN_DELAY, self._raise_fault)

    def _raise_fault(self) -> None:
        raise self._fault

    # --- diagnostics ---

    def diagnostics(self) -> list[DiagnosticStatus]:
        name = self.get_fully_qualified_name()
        completion = planner_diagnostics.completion_status(name, self._lookout)
        if completion.level == DiagnosticStatus.ERROR:
            self._complain_of_completion(completion.message)
        return [
            planner_diagnostics.task_status(name, self._last),
            planner_diagnostics.goals_status(name, self._queue.busy, self._goals.last_rejection),
            planner_diagnostics.plan_status(name, self._plans.last, self._settings.failed_decomposers),
            completion,
        ]

    def _complain_of_completion(self, what: str) -> None:
        """Diagnostics say it again and again, the log once."""
        if what != self._completion_complaint:
            self._completion_complaint = what
            self.complain(what)


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
    return run_node(PlannerNode, executor_type=partial(MultiThreadedExecutor, num_threads=EXECUTOR_THREADS))
