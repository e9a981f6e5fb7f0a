"""The reused message says what a new one would."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message
from tf2_msgs.msg import TFMessage

from substep_bridge.frame_message import ReusedFrameMessage, frame_message
from substep_bridge.world import Frame
from substep_core.contract import Pose

NAMES = st.lists(st.text("abÄ_", max_size=9), min_size=2, max_size=8)  # any length: alignment depends on it


def frames(names: list[str], seed: int) -> list[Frame]:
    draw = np.random.default_rng(seed).normal
    return [Frame(name, names[0], Pose(draw(size=3), draw(size=4))) for name in names]


@given(NAMES)
def test_a_filled_message_equals_a_new_one(names):
    reused = ReusedFrameMessage(frames(names, 0))
    for seed in (1, 2):
        now, stamp = frames(names, seed), Time(sec=seed, nanosec=7 * seed)
        assert deserialize_message(reused.fill(now, stamp), TFMessage) == frame_message(now, stamp)
