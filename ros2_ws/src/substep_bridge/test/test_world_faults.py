"""What a world does wrong is no malformed message."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from substep_bridge.node import BridgeNode


def test_a_value_error_of_the_world_is_not_taken_for_a_malformed_message():
    """One in a callback means that the message is none, and the node goes on."""

    def step(action, under_task):
        raise ValueError("operands could not be broadcast together")

    player = SimpleNamespace(is_under_task=True, next_action=lambda now: None)
    world = SimpleNamespace(episode=SimpleNamespace(success=False), step=step)
    with pytest.raises(RuntimeError, match="the world cannot take a step: operands could not be broadcast"):
        BridgeNode._step(SimpleNamespace(_world=world, _player=player, _clock_time=lambda: 0))
