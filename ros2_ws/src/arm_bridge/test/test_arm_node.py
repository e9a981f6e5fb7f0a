"""The node of an arm: services asked in which state, and a thread that nothing ends."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionServer, GoalResponse
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from arm_bridge import arm_node
from arm_bridge.adapters.joints import JointTrajectoryGoals
from arm_bridge.arm import Outgoing
from arm_bridge.arm_node import ArmNode
from arm_bridge.bench import ADAPTERS, Rig
from arm_bridge.settings import EpisodeHooks
from substep_core.configuration import configuration


class Operator:
    """Asks a node without ROS; what happens while drivers are asked is said by ``meanwhile``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rig = Rig(*ADAPTERS["cartesian_rate"]())
        self.rig.speak()
        self.asked, self.meanwhile = [], lambda: None
        self.node = SimpleNamespace(arm=self.rig.arm, _node=None, _contract=self.rig.contract)
        self.node._on_arm, self.node._on_reset, self.node._call_all = "on_arm", "on_reset", self._call_all
        monkeypatch.setattr(arm_node, "later", self._later)

    async def _call_all(self, services: str) -> str:
        self.asked.append(services)
        self.meanwhile()
        return ""

    async def _later(self, node: Any, seconds: float) -> None:
        self.rig.pass_time(seconds)

    def ask(self, service: Any) -> str:
        return asyncio.run(service(self.node, Trigger.Request(), Trigger.Response())).message


@pytest.fixture
def operator(monkeypatch) -> Operator:
    return Operator(monkeypatch)


def test_drivers_are_asked_to_arm_in_shadow_alone(operator):
    assert "expected shadow" in operator.ask(ArmNode._arm) and not operator.asked
    operator.rig.arm.shadow()
    assert operator.ask(ArmNode._arm) == "" and operator.rig.state == "armed"
    assert operator.ask(ArmNode._arm) == "" and operator.asked == ["on_arm"]


def test_drivers_are_asked_to_reset_in_a_fault_alone(operator):
    operator.rig.ready()
    assert operator.ask(ArmNode._reset) == "" and operator.rig.state == "armed" and not operator.asked
    operator.rig.arm.fail("refused")
    assert operator.ask(ArmNode._reset) == "" and operator.rig.state == "disabled" and operator.asked == ["on_reset"]


def test_who_disarms_while_drivers_are_asked_to_arm_is_not_overruled(operator):
    def disarm_and_look_again() -> None:
        operator.rig.arm.disarm()
        operator.rig.arm.shadow()

    operator.rig.arm.shadow()
    operator.meanwhile = disarm_and_look_again
    assert operator.ask(ArmNode._arm) == arm_node.CHANGED and operator.rig.state == "shadow"


def test_an_episode_does_not_begin_with_the_verdict_of_the_last():
    node = SimpleNamespace(judged=True, _settings=SimpleNamespace(episode=EpisodeHooks()))
    ArmNode.put_back(node, {})
    assert node.judged is False


def test_an_exception_of_a_driver_is_a_fault_and_the_thread_goes_on():
    rig, turns, said = Rig(*ADAPTERS["cartesian_rate"]()).ready(), [], []

    def spin() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise OverflowError("a status of inf")

    logger = SimpleNamespace(error=said.append)
    node = SimpleNamespace(
        arm=rig.arm, _executor=SimpleNamespace(spin=spin), _node=SimpleNamespace(get_logger=lambda: logger)
    )
    ArmNode._spin(node)
    assert len(turns) == 2 and rig.state == "fault" and "a status of inf" in said[0]


def test_an_arm_that_takes_seconds_to_stop_is_stopped_before_the_bridge_ends(monkeypatch):
    now = [0.0]
    passes = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(arm_node, "time", passes)
    contract, settings = ADAPTERS["cartesian_rate"]()
    contract = replace(contract, motion=replace(contract.motion, linear_acceleration=0.05))
    rig = Rig(contract, settings).ready()
    for _ in range(60):
        rig.step([0.5, 0, 0, 0, 0, 0, -1.0])
    ros = SimpleNamespace(context=SimpleNamespace(ok=lambda: True), destroy_node=lambda: None)
    executor, thread = SimpleNamespace(shutdown=lambda: None), SimpleNamespace(ident=None)
    ArmNode.close(SimpleNamespace(arm=rig.arm, _contract=contract, _node=ros, _executor=executor, _thread=thread))
    assert now[0] > 2.0 and rig.arm.is_at_rest and rig.sent[-1].message.twist.linear.x == 0.0


# --- grippers that an action moves ---


class ActionGripper:
    """Implements ``GripperAdapter``. The action is one that is installed everywhere, in place of control_msgs'."""

    topic, opened, closed, is_action = "grip", 0.04, 0.0, True

    def message_type(self) -> type:
        return ExecuteTask

    def message(self, position: float) -> ExecuteTask.Goal:
        return ExecuteTask.Goal(task=f"{position:g}")


class Driver:
    """A driver's action server, and the node of an arm in shadow that has it for its gripper, or for itself."""

    def __init__(self, kind: str = "joint_velocity", adapter: JointTrajectoryGoals | None = None) -> None:
        contract, settings = ADAPTERS[kind]()
        if adapter is None:
            object.__setattr__(settings, "grippers", (ActionGripper(),))
        else:
            object.__setattr__(settings, "arm", adapter)  # no installed one
        self.node = ArmNode(contract, settings, "/bridge")
        self.node.arm.shadow()
        self.told: list[str] = []
        self.answer = GoalResponse.ACCEPT
        self._server: ActionServer | None = None
        self._driver = rclpy.create_node("gripper")
        self._executor = SingleThreadedExecutor()
        for node in (self.node._node, self._driver):
            self._executor.add_node(node)

    def serve(self) -> None:
        self._server = ActionServer(
            self._driver, ExecuteTask, "grip", self._execute, goal_callback=lambda goal: self.answer
        )
        (client,) = self.node._actions.values()
        self.wait(client.server_is_ready)

    def _execute(self, handle: Any) -> ExecuteTask.Result:
        self.told.append(handle.request.task)
        handle.succeed()
        return ExecuteTask.Result()

    def close(self) -> None:
        if self._server is not None:
            self._server.destroy()
        self._executor.shutdown()
        self.node.close()
        self._driver.destroy_node()
        rclpy.try_shutdown()
        gc.collect()  # rclpy's participant lives as long as reference cycles hold its node

    def send(self, position: float) -> None:
        self.node._send(Outgoing(0, ActionGripper().message(position), is_shadow=False))

    @property
    def state(self) -> str:
        return self.node.arm.safety.state.words

    def wait(self, holds: Any) -> None:
        deadline = time.monotonic() + 60.0
        while not holds():
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.1)


@pytest.fixture
def gripper():
    rclpy.init()
    with closing(Driver()) as driver:
        yield driver


def test_a_gripper_is_told_its_position_by_a_goal(gripper):
    gripper.serve()
    gripper.send(0.04)
    gripper.wait(lambda: gripper.told == ["0.04"])
    assert gripper.state == "shadow"


def test_a_goal_that_is_rejected_is_a_fault(gripper):
    gripper.serve()
    gripper.answer = GoalResponse.REJECT
    gripper.send(0.0)
    gripper.wait(lambda: gripper.state == "fault")
    assert "gripper 0: its action was rejected" in gripper.node.arm.safety.hindrance.text


def test_a_gripper_whose_driver_is_not_there_is_a_fault(gripper):
    gripper.send(0.0)
    assert gripper.state == "fault" and "no action server" in gripper.node.arm.safety.hindrance.text


# --- an arm that an action moves ---


@configuration
class GoalsOfTheTest(JointTrajectoryGoals):
    """The action is one that is installed everywhere, in place of control_msgs'."""

    def action_type(self) -> type:
        return ExecuteTask

    def goal(self, message: JointTrajectory) -> ExecuteTask.Goal:
        return ExecuteTask.Goal(task=f"{len(message.points)} points")


@pytest.fixture
def arm_of_goals():
    rclpy.init()
    with closing(Driver("joint_trajectory_chunks", GoalsOfTheTest(topic="grip"))) as driver:
        yield driver


def trajectory(*positions: float) -> Outgoing:
    return Outgoing(
        "arm", JointTrajectory(points=[JointTrajectoryPoint(positions=[each]) for each in positions]), False
    )


def test_a_trajectory_is_a_goal_and_one_that_is_refused_is_a_fault(arm_of_goals):
    arm_of_goals.serve()
    arm_of_goals.node._send(trajectory(0.1, 0.2))
    arm_of_goals.wait(lambda: arm_of_goals.told == ["2 points"])
    assert arm_of_goals.state == "shadow"
    arm_of_goals.answer = GoalResponse.REJECT
    arm_of_goals.node._send(trajectory(0.3))
    arm_of_goals.wait(lambda: arm_of_goals.state == "fault")
    assert "arm: its action was rejected" in arm_of_goals.node.arm.safety.hindrance.text


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (GoalStatus.STATUS_ABORTED, "(aborted): -4 path tolerance violated"),
        (GoalStatus.STATUS_CANCELED, "(cancelled by another client): -4 path tolerance violated"),
        (GoalStatus.STATUS_UNKNOWN, "(status 0): -4 path tolerance violated"),
    ],
)
@pytest.mark.parametrize("is_newest", [True, False])
def test_a_trajectory_that_is_given_up_is_a_fault_unless_a_newer_one_has_taken_its_place(
    arm_of_goals, is_newest, status, how
):
    result = SimpleNamespace(error_code=-4, error_string="path tolerance violated")
    ended = SimpleNamespace(status=status, result=result)
    first, newest = object(), object()
    arm_of_goals.node._newest_goal = newest
    arm_of_goals.node._trajectory_ended(newest if is_newest else first, SimpleNamespace(result=lambda: ended))
    assert arm_of_goals.state == ("fault" if is_newest else "shadow")
    assert (how in arm_of_goals.node.arm.safety.hindrance.text) is is_newest
