"""The running graph on the stand-in robot: its driver as a process, the operator and the policy played by the test."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
import yaml
from geometry_msgs.msg import TwistStamped
from std_srvs.srv import SetBool, Trigger
from substep_interfaces.msg import ChunkRequest, RobotState

from arm_bridge.settings import ARMS
from substep_bringup.commands import find_executable, node_command
from substep_bringup.graph import simulation_graph
from substep_bringup.graph_config import RealConfig
from substep_core.protocol import HoldKind, SafetyState
from substep_core.ros import topics
from substep_core.ros.topics import Topic
from substep_standin.settings import DRIVER
from tests.probe import Goal
from tests.processes import ProcessUnderTest
from tests.running_graph import RunningGraph
from tests.stand_in_policy import StandInPolicy, chunk_for

DRIVER_NODE = "/standin/standin_driver"
TASK = {"suite": "libero_object", "task": 0}
PACE = 0.3  # of the largest command
CHUNK = 8
STARTED = 120.0  # s
PATIENCE = float(os.environ.get("SUBSTEP_TEST_PATIENCE", 6))  # 1: the ages are those that ship


def patient_robot(folder: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> Path:
    """The stand-in's parameter file with sensors that may be later, since a loaded machine makes them so."""
    data = yaml.safe_load(ARMS.load("standin").read_text()) | changes
    for kind in ("cameras", "joints", "poses"):
        for each in data[kind].values():
            each["max_age"] *= PATIENCE
            each["max_skew"] *= PATIENCE
    file = folder / "standin.yaml"  # which is the namespace of its driver, too
    file.write_text(yaml.safe_dump(data))
    return file


def _first(pid: int) -> None:
    """A robot does not wait for the tests that run beside it; where the machine allows it, it goes first."""
    with suppress(psutil.AccessDenied):
        psutil.Process(pid).nice(-12)


class ArmGraph(RunningGraph):
    """Bridge and planner on the stand-in; ``policy.answer`` is the policy."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        robot = self.robot_file(folder)
        self._robot = RealConfig(robot=str(robot), driver=DRIVER, **TASK, **changes)
        self._at = folder
        self.start_driver()
        parameters = {"planner": {"policy_silence": 8.0}, "bridge": {"safety.max_age": 10.0}}  # the test is the policy
        super().__init__(folder, self._robot, without=("policy",), parameters=parameters)
        for process in self.processes.values():
            _first(process.pid)
        self.policy = StandInPolicy(self.probe)
        self.policy.answer = self.back_and_forth
        self.closes = False
        self.states: list[RobotState] = self.probe.record(topics.ROBOT_STATE)
        self.twists: list[TwistStamped] = self.probe.record(Topic("/standin/servo/delta_twist_cmds", TwistStamped))
        node = self.probe.node
        self._services = {
            name: node.create_client(Trigger, f"robot/{name}") for name in ("shadow", "arm", "disarm", "reset")
        }
        self.emergency_stop = node.create_client(SetBool, "/standin/emergency_stop")
        self._asked = 0

    def robot_file(self, folder: Path) -> Path:
        """Parameter file of the arm, whose stem is the driver's namespace."""
        return patient_robot(folder)

    def start_driver(self) -> None:
        (spec,) = simulation_graph(self._robot, self._at).drivers
        told = {"suite": TASK["suite"], "task_index": TASK["task"], "image_height": 128, "image_width": 128}
        spec = dataclasses.replace(spec, parameters={**spec.parameters, **told})
        command = node_command(spec, find_executable(spec.package, spec.executable), self._at)
        self.driver = ProcessUnderTest(command, self._at / "driver.log")
        _first(self.driver.pid)

    def back_and_forth(self, request: ChunkRequest):
        """The hand goes to and fro, so that a frozen sensor shows."""
        self._asked += 1
        actions = np.zeros((CHUNK, 7), np.float32)
        actions[:, 1] = PACE if self._asked % 4 < 2 else -PACE
        actions[:, -1] = 1.0 if self.closes else -1.0
        return chunk_for(request, actions)

    def tell(self, name: str) -> str:
        """An operator's word; "" or why it was refused."""
        answer = self.probe.call(self._services[name], Trigger.Request())
        return "" if answer.success else answer.message

    def fault(self, name: str, value: Any) -> None:
        assert self.probe.set_parameter(DRIVER_NODE, f"faults.{name}", value).successful

    @property
    def state(self) -> str:
        return SafetyState(self.states[-1].state).words if self.states else ""

    def arm(self) -> None:
        """Whatever the robot was like."""
        deadline = time.monotonic() + STARTED
        while self.state != "armed":
            assert time.monotonic() < deadline, self.states[-1]
            if self.state == "fault":
                self.tell("reset")
            elif self.state == "disabled":
                self.tell("shadow")
            elif self.state == "shadow":
                self.tell("arm")
            with self.probe.changed:
                self.probe.changed.wait(0.2)

    @contextmanager
    def moving(self):
        """A task under way, and the arm in motion; yields the goal, which is cancelled in the end."""
        goal = self.set_in_motion()
        try:
            yield goal
        finally:
            goal.cancel()
            goal.result()

    def set_in_motion(self) -> Goal:
        """A task under way, and the arm in motion."""
        if self.probe.statuses[-1].hold_kind == HoldKind.LATCHED:  # what an earlier test has left
            self.probe.reset()
        self.arm()
        self.probe.reports.clear()
        goal = Goal(self.probe, "")
        self.probe.wait(self._moves, "the arm's motion")
        return goal

    def _moves(self) -> bool:
        played = any(report.steps_played for report in self.probe.reports)
        return played and self.state == "armed" and bool(self.twists[-1].twist.linear.y)

    def wait_for_hold(self, kind: HoldKind, since: float, within: float) -> float:
        """s from ``since`` (monotonic) until the bridge says that it holds for this; it must be within that many s."""
        self.probe.wait(lambda: self.probe.statuses[-1].hold_kind == kind, kind.name, within)
        return time.monotonic() - since

    def stands(self) -> bool:
        """What is commanded moves the arm no more."""
        twist = self.twists[-1].twist
        parts = (twist.linear, twist.angular)
        return not any(getattr(part, axis) for part in parts for axis in "xyz")

    def close(self) -> None:
        super().close()
        self.driver.close()

    def kill(self, name: str) -> None:
        self.processes[name].send(signal.SIGKILL)
