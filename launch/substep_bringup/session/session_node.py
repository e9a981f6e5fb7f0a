"""Node ``session``: the topics, services and the action that a session uses."""

from __future__ import annotations

import functools
import time
from collections import Counter

from rcl_interfaces.msg import Log
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from substep_interfaces.msg import ActiveSubstep, GoalRejection
from substep_interfaces.srv import ResetEpisode

from substep_bringup.child_process import signs_of_life
from substep_bringup.session.complaints import Complaints
from substep_bringup.session.goal import Goal, GoalClient
from substep_bringup.session.interruption import wait_quietly
from substep_bringup.session.recorder import RunRecorder, VideoStats
from substep_bringup.session.session_config import SessionConfig, run_folder_at
from substep_bringup.session.tracker import RunTracker
from substep_core.contract import contract_from_text
from substep_core.episode import Placement
from substep_core.ros import topics
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_core.ros.parameters import BadParameter, NodeParameters

SIGN_OF_LIFE = 1.0  # s between two of the session
STUCK = 120.0  # s in which the session's own thread turns at least once: finishing a video takes long
LAST_WORDS = 2.0  # s for news that is on its way when something has ended
KEPT = 50  # messages of a topic: the session keeps up on the average, not at every moment
IMAGES_KEPT = 100  # a busy recorder should miss none
PLACEMENTS = {Placement.BENCHMARK: ResetEpisode.Request.BENCHMARK, Placement.WIDENED: ResetEpisode.Request.WIDENED}


class SessionNode(Node):
    """Hears everything there is to know about a run, and asks for what a run needs.

    Attributes:
        tracker, complaints: what was heard.
        execute_task: the planner's action.
        goal: the one that was sent, if any.
        rejection: why it was turned away, once the planner has said so.
    """

    def __init__(self, **node_options) -> None:
        super().__init__("session", **node_options)
        self.config = _declare_and_read(self)
        self.tracker = RunTracker()
        self.complaints = Complaints()
        self.execute_task = GoalClient(self)
        self.goal: Goal | None = None
        self.rejection: GoalRejection | None = None
        self._told: str | None = None  # as the goal said
        self._reset = topics.RESET_EPISODE.client(self)
        self._shadow, self._arm = topics.ROBOT_SHADOW.client(self), topics.ROBOT_ARM.client(self)
        self._turned = self._planner_heard = time.monotonic()
        self._sign_of_life = signs_of_life()
        self._sign_of_life()  # silence counts from here, even if the timer never comes to its first turn
        self.create_timer(SIGN_OF_LIFE, self._give_sign, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._recorder: RunRecorder | None = None
        self._has_cameras = True  # until the robot says otherwise
        topics.EPISODE_STATUS.with_depth(KEPT).subscription(self, self.tracker.hear_status)
        topics.ACTION_CHUNK.with_depth(KEPT).subscription(self, self.tracker.hear_chunk)
        topics.CHUNK_REPORT.with_depth(KEPT).subscription(self, self.tracker.hear_report)
        topics.DIAGNOSTICS.with_depth(KEPT).subscription(self, self.complaints.hear_diagnostics)
        topics.GOAL_REJECTION.subscription(self, self._on_rejection)
        topics.ACTIVE_SUBSTEP.subscription(self, self._on_substep)
        topics.ROSOUT.with_depth(KEPT).subscription(self, self._on_log)
        if self.config.video:
            topics.ROBOT_CONTRACT.subscription(self, self._on_contract)

    def full_name(self, node: str) -> str:
        """A node of this namespace, without the leading slash, e.g. "robot1/bridge"."""
        return f"{self.get_namespace()}/{node}".strip("/")

    def seen_twice(self) -> list[str]:
        """Names of nodes of this namespace that there are two of: of another graph in this domain."""
        counts = Counter(self.get_node_names_and_namespaces())
        ours = (*self.config.nodes, self.get_name())
        return [name for name in ours if counts[name, self.get_namespace()] > 1]

    def last_word(self, node: str) -> str:
        """What a node complained about; asked for when it has just refused something, so it may still be on its way."""
        name = self.full_name(node)
        wait_quietly(lambda: self.complaints.newest(name) != "", LAST_WORDS)
        return self.complaints.newest(name) or "it did not say why; see its log"

    def reset_episode(self, placement: Placement, init_state: int, seed: int) -> Future:
        """Reset the world within its current task."""
        request = ResetEpisode.Request(placement=PLACEMENTS[placement], init_state=init_state, seed=seed)
        return self._reset.call_async(request)

    def ask_for_shadow(self) -> Future:
        """std_srvs/Trigger, as the next one."""
        return self._shadow.call_async(Trigger.Request())

    def ask_to_arm(self) -> Future:
        return self._arm.call_async(Trigger.Request())

    def send_goal(self, task: str) -> Goal:
        self._told, self._planner_heard = task, time.monotonic()
        self.goal = self.execute_task.send(task, self.tracker.hear_feedback)
        return self.goal

    def turn(self) -> None:
        """The session's own thread goes on: to be called again and again."""
        self._turned = time.monotonic()

    def planner_silence(self) -> float:
        """s since the planner last gave a sign of life; it gives one a second while it is active."""
        return time.monotonic() - self._planner_heard

    def video_is_under_way(self) -> bool:
        """Its first frame is there, or there will be none: no video is wanted, or the robot has no camera."""
        recorder = self._recorder
        return recorder.has_begun if recorder else not (self.config.video and self._has_cameras)

    def close_video(self) -> VideoStats | None:
        """Finish the video; None when there is none."""
        recorder, self._recorder = self._recorder, None
        return recorder.close() if recorder else None

    def _on_contract(self, message: String) -> None:
        """The robot's cameras are known: record them, unless that is under way."""
        if self._recorder is not None:
            return
        robot, config = contract_from_text(message.data, topics.ROBOT_CONTRACT.name), self.config
        cameras, rate = config.cameras or robot.camera_names, config.video_rate or round(robot.rate)
        self._has_cameras = bool(cameras)
        if not cameras:
            return
        self._recorder = RunRecorder(config.run_folder.video, cameras, rate, self.tracker.progress)
        for camera in cameras:
            handle = functools.partial(self._on_image, camera)
            topics.camera_image(camera).with_depth(IMAGES_KEPT).subscription(self, handle)

    def _on_image(self, camera: str, message: Image) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.add(camera, to_nanoseconds(message.header.stamp), image_from_message(message, camera))

    def _give_sign(self) -> None:
        """Where the other thread is stuck there is none: whoever has started the session need not wait for it."""
        if time.monotonic() - self._turned < STUCK:
            self._sign_of_life()

    def _on_substep(self, message: ActiveSubstep) -> None:
        self._planner_heard = time.monotonic()

    def _on_rejection(self, message: GoalRejection) -> None:
        if message.task == self._told:  # others may send goals too
            self.rejection = message

    def _on_log(self, message: Log) -> None:
        if message.name != self.get_logger().name:
            self.complaints.hear_log(message)


def _declare_and_read(node: Node) -> SessionConfig:
    """Raises BadParameter: naming the parameter, its value and what would be right."""
    parameters = NodeParameters(node, read_only=True)
    default = SessionConfig.__dataclass_fields__
    parameters.declare("run_folder", "", "where video and summary go; empty: a new folder below runs")
    parameters.declare("nodes", list(default["nodes"].default), "lifecycle nodes in the order of their activation")
    parameters.declare("starts_graph", False, "the nodes were started for this session, so none is active yet")
    parameters.declare("task_text", "", "what the planner is told; empty: the episode's own instruction")
    placements = [placement.value for placement in Placement]
    parameters.declare("placement", placements[0], "of a reset that the session has to ask for", choices=placements)
    parameters.declare("init_state", 0, "of a reset that the session has to ask for", bounds=(0, 49))
    parameters.declare("seed", 0, "of a reset that the session has to ask for", bounds=(0, 2**31 - 1))
    parameters.declare("cameras", [""], "shown in the video from left to right; ['']: all of the robot's")
    parameters.declare("video", True, "record a video")
    parameters.declare("video_rate", 0, "frames per second of the video; 0: as the robot's rate", bounds=(0, 1000))
    parameters.declare("waits_for_robot", False, "the task begins when the robot is armed, or in shadow")
    parameters.declare("arms_robot", False, "the session arms the robot")
    parameters.declare("start_timeout", 120.0, "s for a node's process to answer", bounds=(0.1, 3600.0))
    parameters.declare(
        "planner_silence",
        10.0,
        "s without a sign of the planner after which its task is given up",
        bounds=(1.5, 86400.0),
    )
    parameters.declare("configure_timeout", 1800.0, "s for a node to load what it needs", bounds=(0.1, 86400.0))
    parameters.refuse_unknown()
    value = parameters.value
    try:
        return SessionConfig(
            nodes=tuple(value("nodes")),
            starts_graph=value("starts_graph"),
            task_text=value("task_text"),
            placement=Placement(value("placement")),
            init_state=value("init_state"),
            seed=value("seed"),
            cameras=tuple(name for name in value("cameras") if name),
            video=value("video"),
            video_rate=value("video_rate"),
            waits_for_robot=value("waits_for_robot"),
            arms_robot=value("arms_robot"),
            start_timeout=value("start_timeout"),
            configure_timeout=value("configure_timeout"),
            planner_silence=value("planner_silence"),
            run_folder=run_folder_at(value("run_folder")),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter {error}") from error
