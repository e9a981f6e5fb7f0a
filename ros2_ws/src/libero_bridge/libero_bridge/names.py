"""What LIBERO's world can be asked for, looked up without simulator."""

from __future__ import annotations

from collections.abc import Sequence

from libero_bridge.libero_setup import check_assets
from libero_bridge.tasks import ROBOT
from substep_core.contract import load_robot


def check_names(cameras: Sequence[str], assets: str) -> None:
    """The entry of ``substep.world_names``. Raises: ValueError: no such camera of the robot, or folder of assets."""
    load_robot(ROBOT).with_cameras(cameras)
    check_assets(assets)
