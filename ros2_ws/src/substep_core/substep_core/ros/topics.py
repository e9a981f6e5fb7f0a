"""Every topic, service and action of the graph, each once: name, type and QoS.

Names are relative, so that a namespace moves the whole graph; only what ROS itself fixes (/diagnostics, /rosout) is
absolute. Nodes with use_sim_time listen to /clock: in a namespace their launch remaps that to ``clock``. Nodes and
their tests create what they need through ``Topic``, ``Service`` and ``Action``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import rclpy.service
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Log
from rclpy.action import ActionClient, ActionServer
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import (
    ActionChunk,
    ActiveSubstep,
    ChunkRefusal,
    ChunkReport,
    ChunkRequest,
    ChunkTiming,
    EpisodeStatus,
    GoalRejection,
    RobotState,
    SceneState,
    TaskStatus,
)
from substep_interfaces.srv import DecomposeTask, NameSubstep, ResetEpisode, ReviseTask, StartTask
from tf2_msgs.msg import TFMessage

from substep_core.printable import printable, shortened

MOST_COMPLAINTS = 20  # about malformed messages of one subscription
FEEDBACK_DEPTH = 50  # a result may overtake the feedback before it


@dataclass(frozen=True)
class Topic:
    """A topic as its publisher offers it.

    Attributes:
        depth: messages that its publisher keeps for a subscriber that is slow.
        reliable: lost messages are sent again.
        latched: the last message reaches subscribers that come later (transient local).
    """

    name: str
    type: type
    depth: int = 1
    reliable: bool = True
    latched: bool = False

    @property
    def qos(self) -> QoSProfile:
        return QoSProfile(
            depth=self.depth,
            reliability=ReliabilityPolicy.RELIABLE if self.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if self.latched else DurabilityPolicy.VOLATILE,
        )

    def with_depth(self, depth: int) -> Topic:
        """For a subscriber that wants to miss nothing and keeps more than the publisher does."""
        return replace(self, depth=depth)

    def publisher(self, node: Node) -> Publisher:
        return node.create_publisher(self.type, self.name, self.qos)

    def lifecycle_publisher(self, node: LifecycleNode) -> LifecyclePublisher:
        """One that is silent while its node is not active."""
        return node.create_lifecycle_publisher(self.type, self.name, self.qos)

    def subscription(
        self, node: Node, callback: Callable, *, raw: bool = False, group: CallbackGroup | None = None
    ) -> Subscription:
        """A message of which ``callback`` says by a ``ValueError`` that it is none is not heeded, and the node goes on.

        Args:
            raw: ``callback`` gets the serialised message.
        """
        heard = _unless_malformed(node, self.name, callback)
        return node.create_subscription(self.type, self.name, heard, self.qos, raw=raw, callback_group=group)


def type_name(kind: type) -> str:
    """As ROS writes it: "sensor_msgs/msg/Image"."""
    package, form, *_ = kind.__module__.split(".")
    return f"{package}/{form}/{kind.__name__}"


def _unless_malformed(node: Node, topic: str, callback: Callable) -> Callable:
    """Anybody may publish on a topic. What is wrong is logged, the same once."""
    said: set[str] = set()

    def heard(message: Any) -> None:
        try:
            callback(message)
        except ValueError as error:
            why = printable(shortened(str(error)))
            if why not in said and len(said) < MOST_COMPLAINTS:
                said.add(why)
                node.get_logger().error(f"a message on {topic} is not heeded: {why}")

    return heard


@dataclass(frozen=True)
class Service:
    name: str
    type: type

    def server(self, node: Node, callback: Callable, group: CallbackGroup | None = None) -> rclpy.service.Service:
        return node.create_service(self.type, self.name, callback, callback_group=group)

    def client(self, node: Node) -> Client:
        return node.create_client(self.type, self.name)


@dataclass(frozen=True)
class Action:
    name: str
    type: type

    def server(self, node: Node, execute: Callable, **callbacks) -> ActionServer:
        """callbacks: see ``rclpy.action.ActionServer``."""
        return ActionServer(node, self.type, self.name, execute, **callbacks)

    def client(self, node: Node) -> ActionClient:
        return ActionClient(node, self.type, self.name)

    @property
    def feedback(self) -> Topic:
        """The topic that carries the feedback of every goal."""
        return Topic(f"{self.name}/_action/feedback", self.type.Impl.FeedbackMessage, FEEDBACK_DEPTH)


def camera_image(camera: str) -> Topic:
    return _sensor(f"camera/{camera}/image_raw", Image)


def camera_info(camera: str) -> Topic:
    """Carries the stamp of the image that it belongs to."""
    return _sensor(f"camera/{camera}/camera_info", CameraInfo)


def would_send_arm(message_type: type) -> Topic:
    """In shadow, what the arm's driver would get. ``message_type``: the driver's own."""
    return Topic("would_send/arm", message_type, depth=5)


def would_send_gripper(number: int | str, message_type: type) -> Topic:
    """In shadow, what a gripper's driver would get; grippers count from 0."""
    return Topic(f"would_send/gripper_{number}", message_type, depth=5)


def _sensor(name: str, message_type: type) -> Topic:
    return Topic(name, message_type, depth=5, reliable=False)


# bridge
JOINT_STATES = _sensor("joint_states", JointState)
EEF_POSE = _sensor("eef_pose", PoseStamped)
TF = Topic("tf", TFMessage, depth=100)
TF_STATIC = Topic("tf_static", TFMessage, latched=True)
SCENE_STATE = _sensor("scene_state", SceneState)  # simulation only
CLOCK = Topic("clock", Clock, reliable=False)  # simulation only; each namespace has a world of its own
ROBOT_CONTRACT = Topic("robot_contract", String, latched=True)
ROBOT_DESCRIPTION = Topic("robot_description", String, latched=True)
CHUNK_TIMING = Topic("chunk_timing", ChunkTiming, latched=True)
EPISODE_STATUS = Topic("episode_status", EpisodeStatus, latched=True)
CHUNK_REQUEST = Topic("chunk_request", ChunkRequest)
CHUNK_REPORT = Topic("chunk_report", ChunkReport, depth=10)
RESET_EPISODE = Service("reset_episode", ResetEpisode)
# bridge to a real robot
ROBOT_STATE = Topic("robot/state", RobotState, latched=True)
ROBOT_SHADOW = Service("robot/shadow", Trigger)
ROBOT_ARM = Service("robot/arm", Trigger)
ROBOT_DISARM = Service("robot/disarm", Trigger)
ROBOT_RESET = Service("robot/reset", Trigger)

# policy
ACTION_CHUNK = Topic("action_chunk", ActionChunk)
CHUNK_REFUSAL = Topic("chunk_refusal", ChunkRefusal, depth=10)
POLICY_SKILLS = Topic("policy_skills", String, latched=True)
NAME_SUBSTEP = Service("name_substep", NameSubstep)

# planner
ACTIVE_SUBSTEP = Topic("active_substep", ActiveSubstep, latched=True)
GOAL_REJECTION = Topic("goal_rejection", GoalRejection, depth=10)
TASK_STATUS = Topic("task_status", TaskStatus, latched=True)
DECOMPOSE_TASK = Service("decompose_task", DecomposeTask)
START_TASK = Service("start_task", StartTask)
STOP_TASK = Service("stop_task", Trigger)
REVISE_TASK = Service("revise_task", ReviseTask)
EXECUTE_TASK = Action("execute_task", ExecuteTask)

# lifecycle manager
IS_ACTIVE = Service("~/is_active", Trigger)

# all nodes
DIAGNOSTICS = Topic("/diagnostics", DiagnosticArray, depth=10)
ROSOUT = Topic("/rosout", Log, depth=1000, latched=True)

TOPICS = (
    camera_image("<camera>"),
    camera_info("<camera>"),
    JOINT_STATES,
    EEF_POSE,
    TF,
    TF_STATIC,
    SCENE_STATE,
    CLOCK,
    ROBOT_CONTRACT,
    ROBOT_DESCRIPTION,
    ROBOT_STATE,
    CHUNK_TIMING,
    EPISODE_STATUS,
    CHUNK_REQUEST,
    CHUNK_REPORT,
    ACTION_CHUNK,
    CHUNK_REFUSAL,
    POLICY_SKILLS,
    ACTIVE_SUBSTEP,
    GOAL_REJECTION,
    TASK_STATUS,
    DIAGNOSTICS,
    ROSOUT,
)
SERVICES = (
    RESET_EPISODE,
    ROBOT_SHADOW,
    ROBOT_ARM,
    ROBOT_DISARM,
    ROBOT_RESET,
    NAME_SUBSTEP,
    DECOMPOSE_TASK,
    START_TASK,
    STOP_TASK,
    REVISE_TASK,
    IS_ACTIVE,
)
ACTIONS = (EXECUTE_TASK,)
