"""Stands in for bridge, policy and planner in the session's tests: three lifecycle nodes in one process.

The argument chooses what goes wrong; "none" carries out a task of two substeps, five control steps each.
"""

from __future__ import annotations

import math
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.action import CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from std_msgs.msg import String
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActiveSubstep, ChunkReport, EpisodeStatus, GoalRejection, Substep

from substep_core.contract import contract_to_text, load_robot
from substep_core.protocol import Cause, TaskEvent
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import image_to_message, to_time
from substep_core.ros.node_main import spin

ROBOT = load_robot("libero_panda")
STEPS = 5  # of one substep
IDLE = 0.5  # s
PLAN = ("pick up the mug", "place the mug on the plate")


class Bridge(GraphNode):
    def __init__(self, fault: str) -> None:
        super().__init__("bridge")
        self.fault = fault
        self.played: set[int] = set()
        self.stood_still = 0
        self.status = EpisodeStatus(suite="libero_10", task_index=3, instruction="move the mug", horizon=100, episode=1)

    def configure(self) -> None:
        self.statuses = topics.EPISODE_STATUS.publisher(self)
        self.reports = topics.CHUNK_REPORT.publisher(self)
        self.images = [topics.camera_image(name).publisher(self) for name in ROBOT.camera_names]
        topics.ACTIVE_SUBSTEP.subscription(self, self.play)
        self.contracts = topics.ROBOT_CONTRACT.publisher(self)
        self.contracts.publish(String(data=contract_to_text(ROBOT)))

    def activate(self) -> None:
        self.repeat(IDLE, self.stand_still)
        self.publish()

    def stand_still(self) -> None:
        """As a bridge, which goes on to show the world."""
        self.stood_still += 1
        self.publish()

    def play(self, substep: ActiveSubstep) -> None:
        if not self.is_active or not substep.plan_id or substep.index in self.played:
            return
        self.played.add(substep.index)
        for _ in range(STEPS):
            self.status.step += 1
            is_last = substep.index == substep.count - 1 and self.status.step == STEPS * substep.count
            self.status.success = self.status.done = is_last and self.fault != "wrong"
            self.publish()
        if self.fault in ("standstill", "silent"):
            return  # the chunk is never reported, and nothing more happens
        report = ChunkReport(plan_id=substep.plan_id, substep_index=substep.index, outcome=ChunkReport.PLAYED_EOS)
        report.steps_played, report.inference_time, report.eos_probability = STEPS, 0.25, 0.75
        self.reports.publish(report)

    def publish(self) -> None:
        stamp = to_time(self.status.step * ROBOT.period_ns)
        sees = self.stood_still >= {"blind": math.inf, "late": 3}.get(self.fault, 0)
        for shade, publisher in enumerate(self.images if sees else ()):
            image = np.full((32, 32, 3), 40 + 100 * shade, np.uint8)
            publisher.publish(image_to_message(image, stamp, "camera"))
        self.status.header.stamp = stamp
        self.statuses.publish(self.status)


class Policy(GraphNode):
    def __init__(self, fault: str) -> None:
        super().__init__("policy")
        self.fault = fault

    def configure(self) -> None:
        if self.fault == "refuse":
            raise ValueError("parameter device is 'tpu', expected 'auto' or 'cpu'")
        if self.fault == "slow":
            time.sleep(600)


class Planner(GraphNode):
    def __init__(self, fault: str) -> None:
        super().__init__("planner")
        self.fault = fault
        self.played = threading.Semaphore(0)

    def configure(self) -> None:
        group = ReentrantCallbackGroup()
        self.rejections = topics.GOAL_REJECTION.publisher(self)
        self.substeps = topics.ACTIVE_SUBSTEP.publisher(self)
        self.newest = ActiveSubstep()
        if self.fault != "silent":
            self.create_timer(0.5, lambda: self.substeps.publish(self.newest))
        topics.CHUNK_REPORT.subscription(self, lambda report: self.played.release())
        self.server = topics.EXECUTE_TASK.server(
            self,
            self.execute,
            goal_callback=self.judge,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=group,
        )

    def judge(self, goal):
        if self.fault == "busy":
            self.rejections.publish(
                GoalRejection(task=goal.task, error_code=ExecuteTask.Result.BUSY, message="another task is under way")
            )
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def execute(self, goal):
        plan = [Substep(instruction=text, expected_effect=f"seen: {text}") for text in PLAN]
        for index, step in enumerate(plan):
            self.newest = ActiveSubstep(plan_id="p", index=index, count=len(plan), instruction=step.instruction)
            self.substeps.publish(self.newest)
            event, cause = (TaskEvent.ADVANCED, Cause.EOS) if index else (TaskEvent.STARTED, Cause.NONE)
            where = {"plan_id": "p", "plan": plan, "substep_index": index, "substeps_done": index}
            goal.publish_feedback(ExecuteTask.Feedback(plan_source="fake", event=event, cause=cause, **where))
            if self.fault == "abort":
                goal.abort()
                return ExecuteTask.Result(error_code=ExecuteTask.Result.POLICY_SILENT, message="no chunk came")
            while not self.played.acquire(timeout=0.05):
                if goal.is_cancel_requested:
                    goal.canceled()
                    return ExecuteTask.Result(error_code=ExecuteTask.Result.CANCELED)
        goal.succeed()
        return ExecuteTask.Result(
            success=True, message="all substeps are done", substeps_completed=len(PLAN), substeps_total=len(PLAN)
        )


def main() -> None:
    rclpy.init()
    executor = MultiThreadedExecutor(num_threads=6)
    for node in (Bridge, Policy, Planner):
        executor.add_node(node(sys.argv[1]))
    try:
        spin(executor)
    except (ExternalShutdownException, KeyboardInterrupt):
        pass


if __name__ == "__main__":
    main()
