"""``ros2 launch substep_bringup sim.launch.py``: one task, carried out by bridge, policy, planner and a session."""

from __future__ import annotations

from launch import LaunchDescription
from substep_bringup.graph_config import GraphConfig
from substep_bringup.one_task import one_task


def generate_launch_description() -> LaunchDescription:
    return one_task(GraphConfig)
