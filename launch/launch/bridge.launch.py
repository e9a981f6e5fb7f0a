"""``ros2 launch substep_bringup bridge.launch.py``: the bridge alone, kept up, for a machine of its own."""

from __future__ import annotations

from launch import LaunchDescription
from substep_bringup.graph_config import BridgeConfig
from substep_bringup.launching import kept_up


def generate_launch_description() -> LaunchDescription:
    return kept_up(BridgeConfig, manager="bridge_manager")
