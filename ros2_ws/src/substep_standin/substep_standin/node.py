"""Node ``standin_driver``: the driver behind topics and services of standard types, by the system's clock.

Everything happens in the executor's one thread, which also owns the cameras' OpenGL context.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from substep_core.printable import printable_lines
from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_standin import messages, parameters
from substep_standin.cameras import CameraStream
from substep_standin.driver import Controller, Driver
from substep_standin.outbox import Outbox
from substep_standin.parameters import EVERY_CAMERA, Faults
from substep_standin.plant import Plant
from substep_standin.publishing import ScenePublisher, SensorPublisher, StatusPublisher

DIED = 70  # exit code of a driver that was told to die


class DriverNode(Node):
    """Raises: ValueError: a parameter is wrong; says which."""

    def __init__(self) -> None:
        super().__init__("standin_driver")
        self._parameters_of_driver = NodeParameters(self)
        parameters.declare(self._parameters_of_driver)
        self._parameters_of_driver.refuse_unknown()
        self._settings = settings = parameters.read(self._parameters_of_driver)
        self._scene_config, start = parameters.scene(self._parameters_of_driver)
        self._faults = parameters.faults(self._parameters_of_driver)
        self._random = np.random.default_rng(settings.random_seed)
        self._outbox = Outbox(self._random)
        self._plant = Plant(self._scene_config)
        self._plant.reset(start)
        self._begin()
        self._listen()
        self.add_post_set_parameters_callback(lambda _: self._read_faults())
        self.create_timer(1 / settings.joint_state_rate, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._say("the stand-in robot is ready")

    # --- the scene ---

    def _begin(self) -> None:
        """With the plant that is there now."""
        now, settings = time.time_ns(), self._settings
        self._driver = Driver(self._plant, settings.driver, now, settings.controller)
        cameras = self._plant.cameras
        self._cameras = [
            CameraStream(name, settings.camera, self._taker(name), index / len(cameras), now, self._random)
            for index, name in enumerate(cameras)
        ]
        self._sensors = SensorPublisher(self, self._plant, self._outbox, settings.encoding)
        self._status = StatusPublisher(self)
        self._scene = ScenePublisher(self, self._plant)
        self._scene.begin(now)
        self._read_faults()

    def _taker(self, camera: str) -> Callable[[], np.ndarray]:
        return lambda: self._plant.picture(camera)

    def _reset_scene(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """A person puts arm and objects back; another task's scene takes the old one's place."""
        try:
            self._put_back()
            response.success, response.message = True, self._plant.instruction
        except ValueError as error:
            response.message = str(error)
            self._warn(f"reset_scene: {error}")
        return response

    def _put_back(self) -> None:
        config, start = parameters.scene(self._parameters_of_driver)
        if (config.cameras, config.image_size) != (self._scene_config.cameras, self._scene_config.image_size):
            raise BadParameter("cameras and their sizes are as the robot was started with: start it anew")
        self._plant.reset(start, config)
        now = time.time_ns()
        self._driver.restart(now)
        self._scene.begin(now)

    # --- commands ---

    def _listen(self) -> None:
        depth = QoSProfile(depth=10)
        self.create_subscription(TwistStamped, "servo/delta_twist_cmds", self._on_twist, depth)
        topic = "joint_trajectory_controller/joint_trajectory"
        self.create_subscription(JointTrajectory, topic, self._on_trajectory, depth)
        self.create_subscription(JointTrajectory, "gripper_controller/joint_trajectory", self._on_gripper, depth)
        for controller in Controller:
            self._serve(Trigger, f"controllers/{controller}/activate", self._activation(controller))
        self._serve(SetBool, "servo/pause_servo", self._on_pause)
        self._serve(SetBool, "emergency_stop", self._on_emergency_stop)
        self._serve(Trigger, "error_recovery", self._on_recovery)
        self._serve(Trigger, "reset_scene", self._reset_scene)

    def _serve(self, kind: type, name: str, callback: Callable) -> None:
        self.create_service(kind, name, callback)

    def _on_twist(self, message: TwistStamped) -> None:
        if not self._faults.freeze_driver:
            self._complain("twist", self._driver.twist(messages.twist_from_message(message), time.time_ns()))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if not self._faults.freeze_driver:
            command = messages.trajectory_from_message(message)
            self._complain("trajectory", self._driver.trajectory(command, time.time_ns()))

    def _on_gripper(self, message: JointTrajectory) -> None:
        if not self._faults.freeze_driver:
            self._complain("gripper", self._driver.grip(messages.finger_goals(message)))

    def _activation(self, controller: Controller) -> Callable:
        def activate(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self._driver.activate(controller, time.time_ns())
            response.success = True
            return response

        return activate

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._driver.pause(request.data, time.time_ns())
        response.success = True
        return response

    def _on_emergency_stop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._driver.emergency_stop(request.data, time.time_ns())
        response.success = True
        return response

    def _on_recovery(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self._driver.recover(time.time_ns())
        response.success = not response.message
        return response

    # --- time ---

    def _tick(self) -> None:
        faults = self._faults
        if faults.die:
            os._exit(DIED)  # as a driver ends that nobody asked: no clean-up, no farewell
        now = time.time_ns()
        self._driver.advance(now)
        longest = max(self._cameras, key=lambda camera: camera.periods_due(now), default=None)
        if longest is not None and longest.periods_due(now):  # one at a time: looking takes as long as some ticks do
            longest.expose(now)
        if faults.freeze_driver:
            return
        if not faults.stop_joint_states:
            self._sensors.tell_arm(now)
        for camera in self._cameras:
            for picture in camera.arrived(time.time_ns()):
                self._sensors.tell_picture(picture, now)
        self._outbox.deliver(now)
        self._status.tell(self._driver.status(), now)
        self._scene.tell(now)

    def _read_faults(self) -> None:
        self._faults: Faults = parameters.faults(self._parameters_of_driver)
        faults = self._faults
        self._outbox.faults = faults.transport
        self._driver.rejects_gripper = faults.reject_gripper
        self._driver.refuses_trajectories = faults.refuse_trajectories
        for camera in self._cameras:
            camera.frozen = faults.freeze_camera in (camera.name, EVERY_CAMERA)
            camera.stopped = faults.stop_camera in (camera.name, EVERY_CAMERA)

    # --- log; rclpy wants a line of code for each severity ---

    def _say(self, text: str) -> None:
        self.get_logger().info(printable_lines(text))

    def _warn(self, text: str) -> None:
        self.get_logger().warning(printable_lines(text))

    def _complain(self, what: str, why: str) -> None:
        """Once a second at most: a command that is refused comes again and again."""
        if why:
            self.get_logger().warning(printable_lines(f"{what} refused: {why}"), throttle_duration_sec=1.0)

    def destroy_node(self) -> None:
        self._plant.close()
        super().destroy_node()


def main() -> int:
    try:
        return run_node(DriverNode)
    except ValueError as error:
        print(f"standin_driver: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
