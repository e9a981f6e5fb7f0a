"""``ros2 launch substep_bringup stack.launch.py``: bridge, policy and planner, kept up; tasks by ``execute_task``."""

from __future__ import annotations

from launch import LaunchDescription
from substep_bringup.graph_config import StackConfig
from substep_bringup.launching import kept_up


def generate_launch_description() -> LaunchDescription:
    return kept_up(StackConfig, manager="lifecycle_manager")
