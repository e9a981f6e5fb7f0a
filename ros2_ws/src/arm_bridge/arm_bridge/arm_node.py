"""Node ``arm``: the drivers' topics, the safety services and the watchdog, in a thread of their own.

It goes on while the bridge's thread is busy or hangs: an operator can always disarm, and commands that stay out stop
the arm.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from rcl_interfaces.srv import SetParameters
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from arm_bridge.adapters import message_class
from arm_bridge.arm import ARM, Arm, Outgoing
from arm_bridge.driver_calls import ask, later, wait_for
from arm_bridge.driver_topics import KEPT, SENSOR, DriverTopics
from arm_bridge.intake import SensorSample
from arm_bridge.pose_source import listen_to_pose
from arm_bridge.report import robot_state, robot_status
from arm_bridge.safety import Transition
from arm_bridge.sensors import image_sample, joint_sample
from arm_bridge.settings import ArmSettings, StatusInput, camera_input
from substep_core.contract import RobotContract
from substep_core.printable import printable_lines
from substep_core.protocol import SafetyState
from substep_core.ros import topics
from substep_core.ros.observation_messages import observation_topics

REPORT_PERIOD = 1.0  # s between two messages of /diagnostics
WATCHES = 4  # of the watchdog, in a control period
CALL_TIMEOUT = 3.0  # s for a driver's service
PASSING = 3.0  # s in which what keeps a robot from being armed may pass, such as one image that is late
NEWS = 0.5  # s for drivers to say again what is still amiss
LONGEST_STOP = 10.0  # s; of a slow contract it takes seconds, and a velocity that is left to a driver may never end
GOAL_ENDS = {GoalStatus.STATUS_ABORTED: "aborted", GoalStatus.STATUS_CANCELED: "cancelled by another client"}
CHANGED = "the robot's state has changed meanwhile: ask again"


class ArmNode:
    """Makes its node at once, and spins it from ``start`` to ``close``.

    Args:
        bridge: fully qualified name of the bridge's node, whose namespace is this one's too.

    Raises:
        ValueError: a message package is missing, or a driver's topic is one of the graph's own.
    """

    def __init__(self, contract: RobotContract, settings: ArmSettings, bridge: str) -> None:
        self._contract, self._settings, self._bridge = contract, settings, bridge
        # the bridge's own ROS arguments, such as its name, are not this node's
        namespace = bridge.rpartition("/")[0] or "/"
        self._node = Node("arm", namespace=namespace, use_global_arguments=False)
        try:
            self._refuse_own_topics()
            self.drivers = DriverTopics(self._node, self._complain)
            self.arm = Arm(contract, settings, self._send, self._on_transition, time.time_ns)
            self._make_commands()
            self._listen()
            self._serve()
        except BaseException:
            self._node.destroy_node()
            raise
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="arm", daemon=True)
        self.infos: dict[str, CameraInfo] = {}
        self.judged = False
        self._on_transition(Transition(SafetyState.DISABLED, SafetyState.DISABLED, "started"))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Disarm, let the arm come to rest, and end."""
        if not self._node.context.ok():  # nothing can be sent: drivers stop by themselves when nothing comes
            self._executor.shutdown()
            self._node.destroy_node()
            return
        self.arm.disarm()
        deadline = time.monotonic() + LONGEST_STOP
        while not self.arm.is_at_rest and time.monotonic() < deadline:
            self.arm.stop()
            time.sleep(1 / self._contract.rate)
        self._executor.shutdown()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)
        self._node.destroy_node()

    def put_back(self, values: dict[str, Any]) -> None:
        """Have the cell put into a starting state, where a program can do that.

        Args:
            values: parameter -> value; those that the settings name are set before.

        Raises:
            ValueError: it cannot be, or nobody answers.
        """
        self.judged = False  # what was judged so far was the episode before
        hooks = self._settings.episode
        if not hooks.service:
            return
        if hooks.parameters:
            request = SetParameters.Request()
            request.parameters = [Parameter(name, value=values[name]).to_parameter_msg() for name in hooks.parameters]
            answer = wait_for(self._parameters, request, hooks.timeout)
            if bad := [result.reason for result in answer.results if not result.successful]:
                raise ValueError(f"{hooks.node} does not take its parameters: {bad[0]}")
        answer = wait_for(self._put_back, Trigger.Request(), hooks.timeout)
        if not answer.success:
            raise ValueError(f"{hooks.service}: {answer.message}")
        self.judged = False

    # --- what is heard ---

    def _listen(self) -> None:
        base = self._contract.base_frame
        for name, camera in self._settings.cameras.items():
            kind = CompressedImage if camera.compressed else Image
            self.drivers.listen(kind, camera.topic, partial(self._hear, camera_input(name), image_sample))
            if camera.info:
                self.drivers.listen(CameraInfo, camera.info, partial(self._hear_info, name))
        read_joints = partial(joint_sample, wanted=self.arm.wanted_joints)
        for name, joints in self._settings.joints.items():
            self.drivers.listen(JointState, joints.topic, partial(self._hear, name, read_joints))
        for name, pose in self._settings.poses.items():
            listen_to_pose(self._node, self.drivers, pose, base, self._contract.rate, partial(self._hear, name))
        if (description := self._settings.description) is not None:
            self.drivers.listen(String, description.topic, self._hear_description, KEPT)
        for index, status in enumerate(self._settings.status):
            self._listen_to_status(index, status)
        hooks = self._settings.episode
        if hooks.judge:
            self.drivers.listen(Bool, hooks.judge, self._hear_verdict, KEPT)

    def _hear(self, name: str, read: Callable[[Any], SensorSample], message: Any) -> None:
        try:
            sample = read(message)
        except ValueError as error:
            self.arm.refuse(name, str(error))
        else:
            self.arm.hear(name, sample)

    def _hear_info(self, camera: str, message: CameraInfo) -> None:
        self.infos[camera] = message

    def _hear_description(self, message: String) -> None:
        self.arm.hear_description(message.data)

    def _hear_verdict(self, message: Bool) -> None:
        self.judged = message.data

    def _listen_to_status(self, index: int, status: StatusInput) -> None:
        kind = message_class(status.type, f"status {status.topic}")
        if status.field not in kind.get_fields_and_field_types():
            raise ValueError(f"status {status.topic}: {status.type} has no field {status.field!r}")

        def hear(message: Any) -> None:
            self.arm.hear_status(index, getattr(message, status.field))

        self.drivers.listen(kind, status.topic, hear, KEPT if status.latched else SENSOR)

    # --- what is said ---

    def _make_commands(self) -> None:
        channels = {ARM: self._settings.arm, **dict(enumerate(self._settings.grippers))}
        self._publishers, self._actions, self._shown = {}, {}, {}
        for channel, adapter in channels.items():
            kind = adapter.message_type()
            action = adapter.action_type() if channel == ARM else kind if adapter.is_action else None
            if action is not None:
                self._actions[channel] = self._action_client(action, adapter.topic)
            else:
                self._publishers[channel] = self.drivers.publisher(kind, adapter.topic)
            shown = topics.would_send_arm(kind) if channel == ARM else topics.would_send_gripper(channel, kind)
            is_goal = channel != ARM and action is not None
            self._shown[channel] = None if is_goal else shown.publisher(self._node)
        self._newest_goal: Any = None  # of the arm
        self._states = topics.ROBOT_STATE.publisher(self._node)
        self._diagnostics = topics.DIAGNOSTICS.publisher(self._node)

    def _action_client(self, kind: type, name: str) -> Any:
        from rclpy.action import ActionClient

        return ActionClient(self._node, kind, name)

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.is_shadow:
            if (shown := self._shown[outgoing.channel]) is not None:
                shown.publish(outgoing.message)
            return
        if outgoing.channel in self._publishers:
            self._publishers[outgoing.channel].publish(outgoing.message)
            return
        name = "arm" if outgoing.channel == ARM else f"gripper {outgoing.channel}"
        client = self._actions[outgoing.channel]
        if not client.server_is_ready():
            self.arm.fail(f"{name}: no action server {client._action_name}")
            return
        goal = self._settings.arm.goal(outgoing.message) if outgoing.channel == ARM else outgoing.message
        sent = client.send_goal_async(goal)
        if outgoing.channel == ARM:
            self._newest_goal = sent
        sent.add_done_callback(partial(self._goal_answered, name))

    def _goal_answered(self, name: str, future: Any) -> None:
        if not (handle := future.result()).accepted:
            self.arm.fail(f"{name}: its action was rejected")
        elif name == ARM:
            handle.get_result_async().add_done_callback(partial(self._trajectory_ended, future))

    def _trajectory_ended(self, goal: Any, future: Any) -> None:
        """One that a newer one of this node has taken the place of may end as it likes."""
        ended = future.result()
        if goal is self._newest_goal and ended.status != GoalStatus.STATUS_SUCCEEDED:
            result, how = ended.result, GOAL_ENDS.get(ended.status, f"status {ended.status}")
            self.arm.fail(
                f"{ARM}: its controller gives a trajectory up ({how}): {result.error_code} {result.error_string}"
            )

    # --- safety ---

    def _serve(self) -> None:
        group = ReentrantCallbackGroup()
        self._on_arm = [self._node.create_client(Trigger, name) for name in self._settings.on_arm]
        self._on_reset = [self._node.create_client(Trigger, name) for name in self._settings.on_reset]
        hooks = self._settings.episode
        if hooks.service:
            self._put_back = self._node.create_client(Trigger, hooks.service)
            self._parameters = self._node.create_client(SetParameters, f"{hooks.node}/set_parameters")
        topics.ROBOT_SHADOW.server(self._node, self._shadow, group)
        topics.ROBOT_ARM.server(self._node, self._arm, group)
        topics.ROBOT_DISARM.server(self._node, self._disarm, group)
        topics.ROBOT_RESET.server(self._node, self._reset, group)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._node.create_timer(1 / (WATCHES * self._contract.rate), self.arm.watch, clock=steady)
        self._node.create_timer(REPORT_PERIOD, self._look_around, clock=steady)

    def _shadow(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _answered(response, self.arm.shadow())

    async def _arm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Drivers are asked in shadow alone, and what was asked for counts only while that lasts."""
        safety, changes = self.arm.safety, self.arm.safety.changes
        if safety.state is not SafetyState.SHADOW:
            return _answered(response, self.arm.arm())
        if why := await self._call_all(self._on_arm):
            return _answered(response, why)
        deadline = time.monotonic() + PASSING
        while safety.changes == changes:
            if not (why := self.arm.arm()) or not self.arm.trouble() or time.monotonic() >= deadline:
                return _answered(response, why)
            await later(self._node, 1 / self._contract.rate)
        return _answered(response, CHANGED)

    def _disarm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return _answered(response, self.arm.disarm())

    async def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Drivers are asked in a fault alone."""
        safety, changes = self.arm.safety, self.arm.safety.changes
        if safety.state is not SafetyState.FAULT:
            return _answered(response, self.arm.reset())
        if why := await self._call_all(self._on_reset):
            return _answered(response, why)
        if safety.changes == changes:
            self.arm.forget_faults()
            await later(self._node, NEWS)
        return _answered(response, self.arm.reset() if safety.changes == changes else CHANGED)

    async def _call_all(self, clients: Iterable[Any]) -> str:
        """Why one of these services did not do what it is for; "": all did."""
        for client in clients:
            answer = await ask(self._node, client, Trigger.Request(), CALL_TIMEOUT)
            if answer is None:
                return f"no answer from {client.srv_name}"
            if not answer.success:
                return f"{client.srv_name}: {answer.message}"
        return ""

    def _on_transition(self, transition: Transition) -> None:
        if transition.before is not transition.after:
            self._log(transition)
        self._states.publish(robot_state(self.arm.safety, transition, self._now()))
        self._report()

    def _log(self, transition: Transition) -> None:
        text = f"robot {transition.before.words} -> {transition.after.words}: {transition.cause}"
        log = self._node.get_logger()
        if transition.after in (SafetyState.HOLDING, SafetyState.FAULT):
            log.error(printable_lines(text))
        else:
            log.info(printable_lines(text))

    def _now(self) -> Time:
        return self._node.get_clock().now().to_msg()

    def _look_around(self) -> None:
        self.drivers.look()
        self._report()

    def _report(self) -> None:
        self._diagnostics.publish(robot_status(self._bridge, self.arm, self._now(), self.drivers.complaints))

    def _complain(self, why: str) -> None:
        self._node.get_logger().error(printable_lines(why))

    def _refuse_own_topics(self) -> None:
        """A sensor's topic that the bridge publishes itself would be heard as the sensor's."""
        own = {
            self._node.resolve_topic_name(topic.name)
            for topic in observation_topics(self._contract, self._contract.camera_names, False)
        }
        settings = self._settings
        for each in (*settings.cameras.values(), *settings.joints.values(), *settings.poses.values()):
            if each.topic and self._node.resolve_topic_name(each.topic) in own:
                raise ValueError(
                    f"{each.topic} is a topic of the driver and one that the bridge publishes: give the graph a "
                    "namespace of its own, as in namespace:=substep"
                )

    def _spin(self) -> None:
        """What a driver says must not end the thread that stops the arm."""
        while True:
            try:
                return self._executor.spin()
            except ExternalShutdownException:
                return
            except Exception as error:
                self._node.get_logger().error(printable_lines(traceback.format_exc()))
                self.arm.fail(f"in the drivers' thread: {error!r}")


def _answered(response: Trigger.Response, why: str) -> Trigger.Response:
    response.success, response.message = not why, why
    return response
