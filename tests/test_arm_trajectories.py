"""Chunks as whole trajectories on the running graph: one a chunk, and a controller that refuses one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ChunkRequest, RobotState
from trajectory_msgs.msg import JointTrajectory

from arm_bridge.robots import STANDIN
from arm_bridge.settings import load_arm
from substep_core.protocol import HoldKind
from substep_core.ros.topics import Topic
from substep_standin.settings import ARM_JOINTS
from tests.arm_graph import ArmGraph, patient_robot
from tests.stand_in_policy import chunk_for

pytestmark = pytest.mark.xdist_group("arm_faults")
TRAJECTORIES = "/standin/joint_trajectory_controller/joint_trajectory"
SWAY = 0.03  # rad from one action to the next, of the first joint
CHUNK = 8
SLACK = 1.0  # s that a loaded machine may add


def joint_robot(folder: Path) -> Path:
    """The stand-in, moved by joint positions: its contract and parameter file."""
    contract = yaml.safe_load(STANDIN.read_text())
    limits = {"velocity": 1.5, "acceleration": 8.0, "jerk": 240.0}
    arm = {"name": "arm", "quantity": "joint_position", "unit": "rad"}
    contract["state"] = [
        arm | {"source": {"type": "joints", "names": list(ARM_JOINTS)}},
        *(group for group in contract["state"] if group["source"]["type"] == "joints"),
    ]
    moved = {"width": 7, "joints": list(ARM_JOINTS), "low": -3.2, "high": 3.9, "hold": "measured", "measured_by": "arm"}
    contract["action"] = [arm | moved, *(group for group in contract["action"] if group["name"] == "gripper")]
    contract["joint_limits"] = [limit | limits for limit in contract["joint_limits"]]
    for key in ("motion", "workspace"):
        del contract[key]
    (folder / "joints.yaml").write_text(yaml.safe_dump(contract | {"name": "standin_by_joints"}))
    changes = {
        "contract": str(folder / "joints.yaml"),
        "poses": {},
        "arm": {"type": "joint_trajectory_chunks", "topic": TRAJECTORIES},
        "on_arm": ["/standin/controllers/joint_trajectory/activate"],
    }
    return patient_robot(folder, changes)


class TrajectoryGraph(ArmGraph):
    """Its policy moves the first joint to and fro, in chunks of eight."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rate = load_arm(self._robot.robot)[1].rate  # Hz
        self.trajectories: list[JointTrajectory] = self.probe.record(Topic(TRAJECTORIES, JointTrajectory))

    def robot_file(self, folder: Path) -> Path:
        return joint_robot(folder)

    def back_and_forth(self, request: ChunkRequest) -> Any:
        self._asked += 1
        actions = np.tile(np.append(request.held_action[:7], -1.0), (CHUNK, 1))
        way = SWAY * np.arange(1, CHUNK + 1)
        actions[:, 0] += way if self._asked % 4 < 2 else -way
        return chunk_for(request, actions)

    def _moves(self) -> bool:
        return self.state == "armed" and bool(self.trajectories) and not self.stands()

    def stands(self) -> bool:
        """What was told last has been played to its end, which is rest, or holds the arm where it is."""
        newest = self.trajectories[-1]
        end = begin_of(newest) + times(newest)[-1]
        return time.time() > end or not any(any(point.velocities) for point in newest.points)


def begin_of(message: JointTrajectory) -> float:
    """s of ROS time."""
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


def times(message: JointTrajectory) -> list[float]:
    """s from its begin to each of its points."""
    return [point.time_from_start.sec + point.time_from_start.nanosec / 1e9 for point in message.points]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    graph = TrajectoryGraph(tmp_path_factory.mktemp("trajectories"))
    try:
        yield graph.bring_up()
    finally:
        graph.close()


def test_a_chunk_leaves_as_one_trajectory_and_the_arm_follows_it(graph):
    begun = len(graph.trajectories)
    with graph.moving():
        reports = graph.probe.reports
        graph.probe.wait(lambda: sum(report.steps_played > CHUNK / 2 for report in reports) >= 5, "five chunks")
        trajectories, chunks = list(graph.trajectories[begun:]), sum(report.steps_played > 0 for report in reports)
    whole = [message for message in trajectories if len(message.points) > CHUNK / 2]
    assert len(whole) >= 5
    for message in whole:
        assert np.allclose(np.diff(times(message)), 1 / graph.rate) and not any(message.points[-1].velocities)
        assert any(message.points[1].velocities), "velocities are filled in"
    begins = [begin_of(message) for message in trajectories if len(message.points) > CHUNK]
    assert np.mean(np.diff(begins)) * graph.rate > 2, "a late machine tells a chunk again, not every step"
    assert len(trajectories) <= 4 * (chunks + 1), "besides them the holds, not control steps"


def test_a_controller_that_refuses_a_trajectory_ends_the_task_in_hold_with_its_code(graph):
    with graph.moving() as goal:
        since = time.monotonic()
        graph.fault("refuse_trajectories", True)
        held = graph.wait_for_hold(HoldKind.ROBOT_FAULT, since, 1.0 + SLACK)
        result = goal.result(40.0)
        print(f"refused: hold {held:.2f} s, result {time.monotonic() - since:.2f} s")
    assert result.error_code == ExecuteTask.Result.ROBOT_FAULT, result.message
    fault: RobotState = graph.states[-1]
    assert "joint_trajectory_controller/status says" in result.message
    assert (fault.hold_kind, fault.error_code) == (HoldKind.ROBOT_FAULT, ExecuteTask.Result.ROBOT_FAULT)
    assert str(fault.error_code) in graph.probe.diagnostic_values("bridge: robot", "error_code")[-10:]
    graph.fault("refuse_trajectories", False)
    graph.arm()


def test_a_controller_that_is_not_active_refuses_too(graph):
    other = graph.probe.node.create_client(Trigger, "/standin/controllers/servo/activate")
    with graph.moving() as goal:
        assert graph.probe.call(other, Trigger.Request()).success
        assert goal.result(40.0).error_code == ExecuteTask.Result.ROBOT_FAULT
    graph.arm()
