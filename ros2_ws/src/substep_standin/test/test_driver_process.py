"""The driver as a process, heard and told by standard messages alone."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, Int8
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from substep_bringup.commands import find_executable
from substep_core.ros.messages import to_nanoseconds
from substep_standin.gripper import GripperCode
from substep_standin.latches import RobotMode
from substep_standin.node import DIED
from substep_standin.settings import DRIVER_JOINTS

pytestmark = pytest.mark.xdist_group("standin")
PATIENCE = 60.0  # s
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HEARD = {
    "joint_states": (JointState, 10),
    "current_pose": (PoseStamped, 10),
    "camera/agentview/image_raw": (Image, 10),
    "camera/agentview/camera_info": (CameraInfo, 10),
    "camera/eye_in_hand/image_raw": (Image, 10),
    "robot_mode": (Int8, LATCHED),
    "gripper_controller/status": (Int8, LATCHED),
    "referee/success": (Bool, LATCHED),
    "/diagnostics": (DiagnosticArray, 10),
}


class Operator:
    """Listens to the driver and tells it what to do."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.node = Node("operator", namespace="/standin")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.heard: dict[str, list] = defaultdict(list)
        for name, (kind, qos) in HEARD.items():
            self.node.create_subscription(kind, name, self.heard[name].append, qos)
        self.twists = self.node.create_publisher(TwistStamped, "servo/delta_twist_cmds", 10)
        self.fingers = self.node.create_publisher(JointTrajectory, "gripper_controller/joint_trajectory", 10)

    def wait_for(self, condition, meanwhile=lambda: None) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, {name: len(heard) for name, heard in self.heard.items()}
            assert self.process.poll() is None, self.process.returncode
            self.executor.spin_once(timeout_sec=0.02)
            meanwhile()

    def wait_for_count(self, name: str, count: int) -> list:
        """That many of a topic, from now on."""
        begin = len(self.heard[name])
        self.wait_for(lambda: len(self.heard[name]) >= begin + count)
        return self.heard[name][begin:]

    def call(self, kind: type, name: str, **fields):
        client = self.node.create_client(kind, name)
        self.wait_for(client.service_is_ready)
        answer = client.call_async(kind.Request(**fields))
        self.wait_for(answer.done)
        return answer.result()

    def set(self, name: str, value) -> None:
        parameter = Parameter(name, value=value).to_parameter_msg()
        (result,) = self.call(SetParameters, "standin_driver/set_parameters", parameters=[parameter]).results
        assert result.successful, result.reason

    def lift(self) -> None:
        message = TwistStamped()
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = "world"
        message.twist.linear.z = 0.1
        self.twists.publish(message)

    @property
    def height(self) -> float:
        return self.heard["current_pose"][-1].pose.position.z

    @property
    def mode(self) -> int:
        return self.heard["robot_mode"][-1].data


def driver_command(*parameters: str) -> list[str]:
    options = [word for parameter in parameters for word in ("-p", parameter)]
    executable = find_executable("substep_standin", "driver_node")
    return [str(executable), "--ros-args", "-r", "__ns:=/standin", *options]


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    rclpy.init()
    sizes = ("image_height:=32", "image_width:=48", "camera.drop:=0.0")
    process = subprocess.Popen(driver_command(*sizes))
    try:
        operator = Operator(process)
        operator.wait_for(lambda: all(operator.heard[name] for name in HEARD))
        yield operator
    finally:
        process.kill()
        process.wait()
        rclpy.try_shutdown()


def stamps(messages: list) -> np.ndarray:
    """s."""
    return np.array([to_nanoseconds(message.header.stamp) for message in messages]) / 1e9


def test_sensors_speak_at_rates_of_their_own_and_in_the_drivers_words(operator):
    begin = {name: len(operator.heard[name]) for name in HEARD}
    operator.wait_for_count("joint_states", 200)
    heard = {name: operator.heard[name][begin[name] :] for name in HEARD}
    joints = heard["joint_states"]
    assert tuple(joints[-1].name) == DRIVER_JOINTS and len(joints[-1].velocity) == len(DRIVER_JOINTS)
    assert len(heard["current_pose"]) == pytest.approx(len(joints), rel=0.1)
    span = np.ptp(stamps(joints))
    for camera in ("agentview", "eye_in_hand"):
        images = heard[f"camera/{camera}/image_raw"]
        assert len(images) < 0.6 * len(joints), "slower than the joints"
        assert len(images) <= 20 * span + 2
        assert images[-1].header.frame_id == f"{camera}_optical_frame"
        assert (images[-1].encoding, images[-1].height, images[-1].width) == ("rgb8", 32, 48)
    front, wrist = (set(stamps(heard[f"camera/{name}/image_raw"])) for name in ("agentview", "eye_in_hand"))
    assert not front & wrist, "two cameras do not look at the same instants"
    assert heard["camera/agentview/camera_info"][-1].k[0] > 0
    assert heard["current_pose"][-1].header.frame_id == "world"
    assert abs(stamps(joints)[-1] - time.time()) < PATIENCE, "the system's clock"


def test_a_twist_moves_the_hand_while_it_is_repeated(operator):
    begin = operator.height
    operator.wait_for(lambda: operator.height > begin + 0.03, operator.lift)
    operator.wait_for(lambda: operator.mode == RobotMode.IDLE)
    assert not operator.heard["referee/success"][-1].data


def test_the_emergency_stop_lasts_until_it_is_released_and_recovered(operator):
    assert operator.call(SetBool, "emergency_stop", data=True).success
    operator.wait_for(lambda: operator.mode == RobotMode.USER_STOPPED)
    assert not operator.call(Trigger, "error_recovery").success
    operator.wait_for(lambda: "stopped" in operator.heard["/diagnostics"][-1].status[0].message, operator.lift)
    operator.call(SetBool, "emergency_stop", data=False)
    assert operator.call(Trigger, "error_recovery").success
    begin = operator.height
    operator.wait_for(lambda: operator.height > begin + 0.01, operator.lift)


def test_the_hand_closes_and_its_rejection_on_command_is_told(operator):
    def grip(position: float) -> None:
        point = JointTrajectoryPoint(positions=[position])
        operator.fingers.publish(JointTrajectory(joint_names=["panda_finger_joint1"], points=[point]))

    grip(0.0)
    operator.wait_for(lambda: operator.heard["joint_states"][-1].position[0] < 0.003)
    operator.wait_for(lambda: operator.heard["gripper_controller/status"][-1].data == GripperCode.REACHED)
    operator.set("faults.reject_gripper", True)
    grip(0.04)
    operator.wait_for(lambda: operator.heard["gripper_controller/status"][-1].data == GripperCode.REJECTED)
    operator.set("faults.reject_gripper", False)


def test_a_frozen_camera_repeats_its_picture_with_new_stamps_and_a_stopped_one_falls_silent(operator):
    camera = "camera/eye_in_hand/image_raw"
    operator.set("faults.freeze_camera", "eye_in_hand")
    pictures = operator.wait_for_count(camera, 12)[-8:]
    assert len({bytes(picture.data) for picture in pictures}) == 1 and len(set(stamps(pictures))) == 8
    operator.set("faults.freeze_camera", "")
    operator.set("faults.stop_camera", "eye_in_hand")
    operator.wait_for_count("camera/agentview/image_raw", 5)  # what was under way has come
    count = len(operator.heard[camera])
    operator.wait_for_count("camera/agentview/image_raw", 10)
    assert len(operator.heard[camera]) == count
    operator.set("faults.stop_camera", "")
    operator.wait_for_count(camera, 2)


def test_stamps_jump_on_command(operator):
    operator.set("faults.stamp_offset", -30.0)
    operator.wait_for(lambda: (np.diff(stamps(operator.heard["joint_states"])) < -25).any())
    operator.set("faults.stamp_offset", 0.0)


def test_a_person_puts_the_scene_back_another_one_too(operator):
    begin = operator.height
    operator.wait_for(lambda: operator.height > begin + 0.02, operator.lift)
    operator.set("task_index", 1)
    answer = operator.call(Trigger, "reset_scene")
    assert answer.success and "next to the ramekin" in answer.message
    operator.wait_for_count("current_pose", 20)
    assert operator.height < begin + 0.01
    operator.set("task_index", 99)
    refused = operator.call(Trigger, "reset_scene")
    assert not refused.success and "99" in refused.message
    operator.set("task_index", 0)


def test_a_wrong_parameter_is_named_and_ends_it_with_2():
    ended = subprocess.run(driver_command("camera.jitter:=0.5"), capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 2
    assert "camera jitter 0.5" in ended.stderr


def test_it_dies_on_command_and_says_nothing_of_it(operator):
    parameter = Parameter("faults.die", value=True).to_parameter_msg()
    client = operator.node.create_client(SetParameters, "standin_driver/set_parameters")
    operator.wait_for(client.service_is_ready)
    client.call_async(SetParameters.Request(parameters=[parameter]))
    assert operator.process.wait(PATIENCE) == DIED
