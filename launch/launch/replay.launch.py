"""``ros2 launch substep_bringup replay.launch.py bag:=FOLDER``: plays a bag; ends with it, or by Ctrl-C."""

from __future__ import annotations

from launch import LaunchDescription, LaunchDescriptionEntity
from substep_bringup.graph import player
from substep_bringup.graph_config import PlayerConfig
from substep_bringup.launching import ExitStatus, describe, node_action


def generate_launch_description() -> LaunchDescription:
    return describe(PlayerConfig, _start)


def _start(config: PlayerConfig, status: ExitStatus) -> list[LaunchDescriptionEntity]:
    return [node_action(player(config), {})]
