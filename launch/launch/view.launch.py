"""``ros2 launch substep_bringup view.launch.py``: RViz on robot, frames and cameras of the graph in a namespace."""

from __future__ import annotations

from launch import LaunchDescription, LaunchDescriptionEntity
from substep_bringup.graph import viewer, viewer_file
from substep_bringup.graph_config import NodeConfig
from substep_bringup.launching import ExitStatus, describe, node_action


def generate_launch_description() -> LaunchDescription:
    return describe(NodeConfig, _start)


def _start(config: NodeConfig, status: ExitStatus) -> list[LaunchDescriptionEntity]:
    return [node_action(viewer(config), {}, arguments=["-d", str(viewer_file())])]
