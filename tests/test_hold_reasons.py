"""Why the arm holds, from the bridge to the planner: kind and detail are fields, the text is for people."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time

from substep_bridge.messages import episode_status
from substep_bridge.world import EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_planner.messages import progress_from_message


@pytest.mark.parametrize("detail", ["workspace: x = 0.7 m", "latched: 3 chunks in a row", ""])
@pytest.mark.parametrize("kind", [HoldKind.LATCHED, HoldKind.ROBOT_FAULT])
def test_what_the_bridge_says_reaches_the_planner_whatever_the_text_says(kind, detail):
    told = Reason(kind, detail)
    message = episode_status(1, EpisodeState("libero_10", 0, "open the drawer"), False, told, Time())
    assert message.hold_reason == told.text
    message.hold_reason = "anything that people like to read"
    progress = progress_from_message(message)
    assert (progress.latched if kind is HoldKind.LATCHED else progress.hold.detail) == detail
