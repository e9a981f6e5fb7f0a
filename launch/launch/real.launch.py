"""``ros2 launch substep_bringup real.launch.py robot:=NAME``: one task on a robot, by planner and policy of any run."""

from __future__ import annotations

from launch import LaunchDescription
from substep_bringup.graph_config import RealConfig
from substep_bringup.one_task import one_task


def generate_launch_description() -> LaunchDescription:
    return one_task(RealConfig)
