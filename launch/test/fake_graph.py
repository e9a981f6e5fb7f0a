"""Stands in for bridge, policy and planner in the session's tests: three lifecycle nodes in one process.

The argument chooses what goes wrong; "none" carries out a task of two substeps, five control steps each.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActiveSubstep, ChunkReport, EpisodeStatus, Substep

from substep_policy.messages import image_to_message, to_time

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CAMERAS = ("agentview", "eye_in_hand")
STEPS = 5  # of one substep
PLAN = ("pick up the mug", "place the mug on the plate")


class Bridge(LifecycleNode):
    def __init__(self, fault: str) -> None:
        super().__init__("bridge")
        self.fault = fault
        self.status = EpisodeStatus(suite="libero_10", task_index=3, instruction="move the mug", horizon=100, episode=1)

    def on_configure(self, state):
        self.statuses = self.create_publisher(EpisodeStatus, "episode_status", LATCHED)
        self.reports = self.create_publisher(ChunkReport, "chunk_report", 10)
        self.images = [
            self.create_publisher(Image, f"camera/{name}/image_raw", qos_profile_sensor_data) for name in CAMERAS
        ]
        self.create_subscription(ActiveSubstep, "active_substep", self.play, LATCHED)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state):
        self.publish()
        return TransitionCallbackReturn.SUCCESS

    def play(self, substep: ActiveSubstep) -> None:
        if not substep.plan_id:
            return
        for _ in range(STEPS):
            self.status.step += 1
            is_last = substep.index == substep.count - 1 and self.status.step == STEPS * substep.count
            self.status.success = self.status.done = is_last and self.fault != "wrong"
            self.publish()
        if self.fault == "standstill":
            return  # the chunk is never reported, and nothing more happens
        report = ChunkReport(plan_id=substep.plan_id, substep_index=substep.index, outcome=ChunkReport.PLAYED_EOS)
        report.steps_played, report.inference_time, report.eos_probability = STEPS, 0.25, 0.75
        self.reports.publish(report)

    def publish(self) -> None:
        stamp = to_time(self.status.step * 50_000_000)
        for shade, publisher in enumerate(self.images):
            image = np.full((32, 32, 3), 40 + 100 * shade, np.uint8)
            publisher.publish(image_to_message(image, stamp, "camera"))
        self.status.header.stamp = stamp
        self.statuses.publish(self.status)


class Policy(LifecycleNode):
    def __init__(self, fault: str) -> None:
        super().__init__("policy")
        self.fault = fault

    def on_configure(self, state):
        if self.fault == "refuse":
            self.get_logger().error("configure failed: parameter device is 'tpu', expected 'auto' or 'cpu'")
            return TransitionCallbackReturn.FAILURE
        if self.fault == "slow":
            time.sleep(600)
        return TransitionCallbackReturn.SUCCESS


class Planner(LifecycleNode):
    def __init__(self, fault: str) -> None:
        super().__init__("planner")
        self.fault = fault
        self.played = threading.Semaphore(0)

    def on_configure(self, state):
        group = ReentrantCallbackGroup()
        self.substeps = self.create_publisher(ActiveSubstep, "active_substep", LATCHED)
        self.create_subscription(ChunkReport, "chunk_report", lambda report: self.played.release(), 10)
        self.server = ActionServer(
            self,
            ExecuteTask,
            "execute_task",
            self.execute,
            goal_callback=self.judge,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=group,
        )
        return TransitionCallbackReturn.SUCCESS

    def judge(self, goal):
        if self.fault == "busy":
            self.get_logger().warning("goal rejected: 101 BUSY")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def execute(self, goal):
        plan = [Substep(instruction=text, expected_effect=f"seen: {text}") for text in PLAN]
        for index, step in enumerate(plan):
            self.substeps.publish(
                ActiveSubstep(plan_id="p", index=index, count=len(plan), instruction=step.instruction)
            )
            event = "advanced: eos" if index else "started"
            goal.publish_feedback(
                ExecuteTask.Feedback(
                    plan_id="p", plan_source="fake", plan=plan, substep_index=index, substeps_done=index, event=event
                )
            )
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
        executor.spin()
    except (ExternalShutdownException, KeyboardInterrupt):
        pass


if __name__ == "__main__":
    main()
