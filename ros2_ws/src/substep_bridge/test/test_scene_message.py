"""The reused message says what a new one would."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time

from substep_bridge.scene_message import ReusedSceneMessage
from substep_core.ros.scene_messages import scene_to_message
from substep_core.scene import SceneJoint, SceneObject, SceneRegion, SceneState


def scene(seed: int) -> SceneState:
    """One object, one joint and one region; everything that can change depends on the seed."""
    draw = np.random.default_rng(seed).normal
    low, high = np.zeros(3), np.ones(3)
    return SceneState(
        objects={"milk_1": SceneObject("milk_1", "milk", True, draw(size=3), draw(size=4), low, high)},
        joints={"door": SceneJoint("door", "oven", float(draw()), *draw(size=(3, 3)), draw(size=4), low, high)},
        regions={"top": SceneRegion("top", "oven", draw(size=3), draw(size=4), high)},
        grasped=frozenset({"milk_1"} if seed % 2 else ()),
        predicates={"in milk_1 oven": bool(seed % 2)},
    )


def test_a_filled_message_equals_a_new_one():
    reused = ReusedSceneMessage(scene(0))
    for seed in (1, 2):
        stamp = Time(sec=seed)
        assert reused.fill(scene(seed), stamp) == scene_to_message(scene(seed), stamp)
