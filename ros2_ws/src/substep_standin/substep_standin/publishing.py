"""What the driver says on topics, through an outbox that may delay, repeat and reorder it."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, Int8, String
from tf2_msgs.msg import TFMessage

from substep_bridge.frame_message import frame_message
from substep_bridge.messages import camera_info, pose_stamped
from substep_core.ros.diagnostics import diagnostic_status
from substep_core.ros.messages import to_time
from substep_standin import messages
from substep_standin.cameras import Exposure
from substep_standin.driver import DriverStatus
from substep_standin.latches import Fault
from substep_standin.outbox import Outbox
from substep_standin.plant import Plant

BASE_FRAME = "world"
STATUS_PERIOD, FRAMES_PERIOD, REFEREE_PERIOD = 0.1, 0.05, 0.5  # s between two messages of one kind
DIAGNOSTICS_PERIOD = 1.0


class SensorPublisher:
    """Joint states, the hand's pose and velocity, cameras: what faults of the transport reach."""

    def __init__(self, node: Node, plant: Plant, outbox: Outbox, encoding: str) -> None:
        self._plant, self._outbox, self._encoding = plant, outbox, encoding
        self._joints = node.create_publisher(JointState, "joint_states", QoSProfile(depth=10))
        self._pose = node.create_publisher(PoseStamped, "current_pose", QoSProfile(depth=10))
        self._twist = node.create_publisher(TwistStamped, "current_twist", QoSProfile(depth=10))
        self._images = {name: _camera(node, name, "image_raw", Image) for name in plant.cameras}
        self._infos = {name: _camera(node, name, "camera_info", CameraInfo) for name in plant.cameras}

    def tell_arm(self, now: int) -> None:
        state, stamp = self._plant.state(), to_time(self._outbox.stamped(now))
        self._post(self._joints, messages.joint_state(state, stamp), now)
        self._post(self._pose, pose_stamped(self._plant.hand_pose(), BASE_FRAME, stamp), now)
        self._post(self._twist, messages.twist_stamped(state.twist, BASE_FRAME, stamp), now)

    def tell_picture(self, picture: Exposure, now: int) -> None:
        name, stamp = picture.camera, to_time(self._outbox.stamped(picture.stamp))
        frame, (height, width, _) = self._plant.camera_frame(name), picture.image.shape
        info = camera_info(self._plant.intrinsics(name), height, width, frame, stamp)
        self._post(self._images[name], messages.image(picture.image, self._encoding, frame, stamp), now)
        self._post(self._infos[name], info, now)

    def _post(self, publisher: Publisher, message, now: int) -> None:
        self._outbox.post(publisher.topic_name, lambda: publisher.publish(message), now)


class StatusPublisher:
    """Modes and codes: latched, on change and at a slow rate."""

    def __init__(self, node: Node) -> None:
        self._name = node.get_fully_qualified_name()
        self._codes = {
            name: node.create_publisher(Int8, name, LATCHED)
            for name in (
                "robot_mode",
                "servo/status",
                "joint_trajectory_controller/status",
                "gripper_controller/status",
            )
        }
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self._told: tuple[int, ...] = ()
        self._due = self._diagnosed = 0

    def tell(self, status: DriverStatus, now: int) -> None:
        codes = (int(status.mode), int(status.servo), int(status.trajectory), int(status.gripper))
        changed = [code != told for code, told in zip(codes, self._told or (None,) * len(codes), strict=True)]
        all_due = now >= self._due
        for publisher, code, is_new in zip(self._codes.values(), codes, changed, strict=True):
            if is_new or all_due:
                publisher.publish(Int8(data=code))
        if all_due:
            self._due = now + round(STATUS_PERIOD * 1e9)
        if now >= self._diagnosed or changed[0]:
            self._diagnosed = now + round(DIAGNOSTICS_PERIOD * 1e9)
            self._diagnostics.publish(self._array(status, to_time(now)))
        self._told = codes

    def _array(self, status: DriverStatus, stamp: Time) -> DiagnosticArray:
        values = {
            "robot_mode": int(status.mode),
            "fault": status.fault.value,
            "servo_status": int(status.servo),
            "controller": status.controller.value,
            "refused": status.refused,
            "overruns": status.overruns,
            "realtime_factor": round(status.pace, 3),
        }
        stopped = status.fault is not Fault.NONE
        level = DiagnosticStatus.ERROR if stopped else DiagnosticStatus.OK
        message = f"stopped: {status.fault}" if stopped else status.mode.name.lower()
        array = DiagnosticArray(status=[diagnostic_status(self._name, "robot", message, level, values)])
        array.header.stamp = stamp
        return array


class ScenePublisher:
    """Frames and the robot's description; apart from them, for measurements alone, whether the task's goal holds."""

    def __init__(self, node: Node, plant: Plant) -> None:
        self._plant = plant
        self._moving = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        self._fixed = node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._description = node.create_publisher(String, "robot_description", LATCHED)
        self._success = node.create_publisher(Bool, "referee/success", LATCHED)
        self._instruction = node.create_publisher(String, "referee/instruction", LATCHED)
        self._frames_due = self._referee_due = 0
        self._was_reached: bool | None = None

    def begin(self, now: int) -> None:
        """The scene was put back."""
        fixed = [frame for frame in self._plant.frames() if frame.fixed]
        self._fixed.publish(frame_message(fixed, to_time(now)))
        self._description.publish(String(data=self._plant.description))
        self._instruction.publish(String(data=self._plant.instruction))
        self._was_reached = None

    def tell(self, now: int) -> None:
        if now >= self._frames_due:
            self._frames_due = now + round(FRAMES_PERIOD * 1e9)
            self._tell_goal(now)
            if self._moving.get_subscription_count():
                moving = [frame for frame in self._plant.frames() if not frame.fixed]
                self._moving.publish(frame_message(moving, to_time(now)))

    def _tell_goal(self, now: int) -> None:
        is_reached = self._plant.goal_holds
        if is_reached is not self._was_reached or now >= self._referee_due:
            self._referee_due = now + round(REFEREE_PERIOD * 1e9)
            self._success.publish(Bool(data=is_reached))
        self._was_reached = is_reached


LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def _camera(node: Node, name: str, what: str, kind: type) -> Publisher:
    return node.create_publisher(kind, f"camera/{name}/{what}", QoSProfile(depth=2))
