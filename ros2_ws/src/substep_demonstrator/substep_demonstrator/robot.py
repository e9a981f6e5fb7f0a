"""Reach of LIBERO's Panda: which poses are near full stretch.

With the arm stretched out, its elbow passes the point from which pulling the hand back no longer bends it: operational
space control gets stuck there, so poses near full stretch are avoided. Lengths are the Panda's, m.
"""

from __future__ import annotations

import numpy as np

from substep_core.scene import SceneState
from substep_demonstrator.frames import Transform

_SHOULDERS = {  # joint 2, world frame, by what the objects stand on
    "main_table": (-0.66, 0.0, 1.245),
    "kitchen_table": (-0.66, 0.0, 1.245),
    "living_room_table": (-0.51, 0.0, 0.753),
    "study_table": (-0.75, 0.0, 1.245),
    "floor": (-0.6, 0.0, 0.333),
}
_FLANGE = 0.205  # from the grip site back to the last link's frame
_WRIST_OFFSET = 0.088  # from there to the wrist's centre, towards the robot
_STRETCH = 0.685  # from shoulder to wrist that leaves the elbow well bent; 0.719 is all


def find_shoulder(scene: SceneState) -> np.ndarray | None:
    """(3,) m; None where the scene names nothing that LIBERO's robots stand at."""
    for region in scene.regions.values():
        if region.object in _SHOULDERS:
            return np.array(_SHOULDERS[region.object])
    return None


def overreach(shoulder: np.ndarray | None, hand: Transform) -> float:
    """m by which the arm has to stretch too far to bring the hand to a pose; 0 where the shoulder is not known."""
    if shoulder is None:
        return 0.0
    pointing = hand.rotation[:, 2]
    outwards = (hand.position - shoulder) * [1, 1, 0]
    outwards = outwards - (outwards @ pointing) * pointing
    wrist = hand.position - _FLANGE * pointing - _WRIST_OFFSET * outwards / max(float(np.linalg.norm(outwards)), 1e-6)
    return max(0.0, float(np.linalg.norm(wrist - shoulder)) - _STRETCH)
