"""``ros2 launch substep_bringup planner.launch.py``: the planner alone, kept up, for a machine of its own."""

from __future__ import annotations

from launch import LaunchDescription
from substep_bringup.graph_config import PlannerConfig
from substep_bringup.launching import kept_up


def generate_launch_description() -> LaunchDescription:
    return kept_up(PlannerConfig, manager="planner_manager")
