"""Drawers, doors and knobs: when they count as open, closed, on or off, and where to take hold of them.

Limits are LIBERO's (its articulated object classes); sizes are measured off its models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.scene import SceneJoint, SceneState
from substep_demonstrator.boxes import Box, joint_box
from substep_demonstrator.frames import UP


@dataclass(frozen=True)
class Limits:
    """Joint positions, m or rad; ``done`` ones lie a little beyond LIBERO's, where a motion stops."""

    active: float  # open, or on
    rest: float  # closed, or off
    sign: float  # direction of the joint from rest to active

    def is_active(self, position: float, margin: float = 0.0) -> bool:
        return self.sign * (position - self.active) > margin

    def is_at_rest(self, position: float) -> bool:
        return self.sign * (position - self.rest) < 0


_LIMITS = {
    "wooden_cabinet": Limits(active=-0.14, rest=0.0, sign=-1),
    "white_cabinet": Limits(active=-0.14, rest=0.0, sign=-1),
    "microwave": Limits(active=-1.3, rest=-0.005, sign=-1),
    "flat_stove": Limits(active=0.5, rest=0.0, sign=1),
}
DRAWERS = frozenset({"wooden_cabinet", "white_cabinet"})
_HANDLE_DEPTH = 0.008  # from the front of a drawer's handle to the middle of its bar


def limits_of(scene: SceneState, joint: SceneJoint) -> Limits:
    """Raises ValueError for an object whose limits are not known."""
    category = scene.objects[joint.object].category
    if category not in _LIMITS:
        expected = ", ".join(_LIMITS)
        raise ValueError(f"{joint.object} ({category}) does not open, close or turn: expected one of {expected}")
    return _LIMITS[category]


@dataclass(frozen=True)
class Drawer:
    """``out``: horizontal unit vector that it opens along; ``handle``: middle of the handle's bar, m."""

    out: np.ndarray
    handle: np.ndarray
    box: Box


def drawer_of(joint: SceneJoint) -> Drawer:
    box = joint_box(joint)
    out = -joint.axis - (-joint.axis @ UP) * UP
    out = out / np.linalg.norm(out)
    reach = np.abs(box.rotation.T @ out) @ box.half_size
    return Drawer(out, box.position + (reach - _HANDLE_DEPTH) * out, box)
