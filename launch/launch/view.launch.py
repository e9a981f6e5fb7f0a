"""``ros2 launch substep_bringup view.launch.py``: RViz on robot, frames and cameras of the graph in a namespace."""

from __future__ import annotations

from launch import LaunchDescription, LaunchDescriptionEntity
from substep_bringup.graph import viewer
from substep_bringup.graph_config import ViewConfig
from substep_bringup.launching import ExitStatus, describe, node_action


def generate_launch_description() -> LaunchDescription:
    return describe(ViewConfig, _start)


def _start(config: ViewConfig, status: ExitStatus) -> list[LaunchDescriptionEntity]:
    return [node_action(viewer(config), {}, arguments=["-d", str(config.file)])]
