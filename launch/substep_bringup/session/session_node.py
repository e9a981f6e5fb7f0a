"""Node ``session``: the topics, services and the action that a session uses."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import Image
from substep_interfaces.msg import ActionChunk, ChunkReport, EpisodeStatus
from substep_interfaces.srv import ResetEpisode

from libero_bridge.placement import Placement
from substep_bringup.session.complaints import Complaints
from substep_bringup.session.goal import Goal, GoalClient
from substep_bringup.session.interruption import wait_quietly
from substep_bringup.session.recorder import RunRecorder, VideoStats
from substep_bringup.session.session_config import SessionConfig, run_folder_at
from substep_bringup.session.tracker import RunTracker
from substep_policy.messages import image_from_message, to_nanoseconds
from substep_policy.node_parameters import BadParameter, NodeParameters

LAST_WORDS = 2.0  # s for news that is on its way when something has ended
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
IMAGES = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)  # deep: a busy recorder should miss none
PLACEMENTS = {Placement.BENCHMARK: ResetEpisode.Request.BENCHMARK, Placement.WIDENED: ResetEpisode.Request.WIDENED}


class SessionNode(Node):
    """Hears everything there is to know about a run, and asks for what a run needs.

    Attributes:
        tracker, complaints: what was heard.
        execute_task: the planner's action.
        goal: the one that was sent, if any.
    """

    def __init__(self, **node_options) -> None:
        super().__init__("session", **node_options)
        self.config = _declare_and_read(self)
        self.tracker = RunTracker()
        self.complaints = Complaints()
        self.execute_task = GoalClient(self)
        self.goal: Goal | None = None
        self._reset = self.create_client(ResetEpisode, "reset_episode")
        self._recorder: RunRecorder | None = None
        self.create_subscription(EpisodeStatus, "episode_status", self.tracker.hear_status, LATCHED)
        self.create_subscription(ActionChunk, "action_chunk", self.tracker.hear_chunk, RELIABLE)
        self.create_subscription(ChunkReport, "chunk_report", self.tracker.hear_report, RELIABLE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.complaints.hear_diagnostics, RELIABLE)
        self.create_subscription(Log, "/rosout", self._on_log, LATCHED)
        if self.config.video:
            self._record()

    def full_name(self, node: str) -> str:
        """A node of this namespace, without the leading slash, e.g. "robot1/bridge"."""
        return f"{self.get_namespace()}/{node}".strip("/")

    def last_word(self, node: str) -> str:
        """What a node complained about; asked for when it has just refused something, so it may still be on its way."""
        name = self.full_name(node)
        wait_quietly(lambda: self.complaints.newest(name) != "", LAST_WORDS)
        return self.complaints.newest(name) or "it did not say why; see its log"

    def reset_episode(self, placement: Placement, init_state: int, seed: int) -> Future:
        """Reset the world within its current task."""
        request = ResetEpisode.Request(task_index=-1, placement=PLACEMENTS[placement], init_state=init_state, seed=seed)
        return self._reset.call_async(request)

    def send_goal(self, task: str) -> Goal:
        self.goal = self.execute_task.send(task, self.tracker.hear_feedback)
        return self.goal

    def close_video(self) -> VideoStats | None:
        """Finish the video; None when there is none."""
        recorder, self._recorder = self._recorder, None
        return recorder.close() if recorder else None

    def _record(self) -> None:
        config = self.config
        self._recorder = RunRecorder(config.run_folder.video, config.cameras, config.video_rate, self.tracker.progress)
        for camera in config.cameras:
            self.create_subscription(
                Image,
                f"camera/{camera}/image_raw",
                lambda message, camera=camera: self._on_image(camera, message),
                IMAGES,
            )

    def _on_image(self, camera: str, message: Image) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.add(camera, to_nanoseconds(message.header.stamp), image_from_message(message, camera))

    def _on_log(self, message: Log) -> None:
        if message.name != self.get_logger().name:
            self.complaints.hear_log(message)


def _declare_and_read(node: Node) -> SessionConfig:
    """Raises BadParameter: naming the parameter, its value and what would be right."""
    parameters = NodeParameters(node)
    default = SessionConfig.__dataclass_fields__
    parameters.declare("run_folder", "", "where video and summary go; empty: a new folder below runs")
    parameters.declare("nodes", list(default["nodes"].default), "lifecycle nodes in the order of their activation")
    parameters.declare("task_text", "", "what the planner is told; empty: the episode's own instruction")
    placements = [placement.value for placement in Placement]
    parameters.declare("placement", placements[0], "of a reset that the session has to ask for", choices=placements)
    parameters.declare("init_state", 0, "of a reset that the session has to ask for", bounds=(0, 49))
    parameters.declare("seed", 0, "of a reset that the session has to ask for", bounds=(0, 2**31 - 1))
    parameters.declare("cameras", list(default["cameras"].default), "shown in the video from left to right")
    parameters.declare("video", True, "record a video")
    parameters.declare("video_rate", 20, "frames per second of the video; each control step is a frame", bounds=(1, 60))
    parameters.declare("start_timeout", 120.0, "s for a node's process to answer", bounds=(0.1, 3600.0))
    parameters.declare("configure_timeout", 1800.0, "s for a node to load what it needs", bounds=(0.1, 86400.0))
    value = parameters.value
    try:
        return SessionConfig(
            nodes=tuple(value("nodes")),
            task_text=value("task_text"),
            placement=Placement(value("placement")),
            init_state=value("init_state"),
            seed=value("seed"),
            cameras=tuple(value("cameras")),
            video=value("video"),
            video_rate=value("video_rate"),
            start_timeout=value("start_timeout"),
            configure_timeout=value("configure_timeout"),
            run_folder=run_folder_at(value("run_folder")),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter {error}") from error
