"""What a world does wrong is no malformed message."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from substep_bridge import parameters
from substep_bridge.node import BridgeNode
from substep_bridge.parameters import ClockMode
from substep_core.ros.parameters import BadParameter


def test_a_value_error_of_the_world_is_not_taken_for_a_malformed_message():
    """One in a callback means that the message is none, and the node goes on."""

    def step(action, under_task, counts):
        raise ValueError("operands could not be broadcast together")

    player = SimpleNamespace(is_under_task=True, step_counts=True, next_action=lambda now: None)
    world = SimpleNamespace(episode=SimpleNamespace(success=False), step=step)
    with pytest.raises(RuntimeError, match="the world cannot take a step: operands could not be broadcast"):
        BridgeNode._step(SimpleNamespace(_world=world, _player=player, _clock_time=lambda: 0))


def test_a_world_that_waits_for_nobody_is_not_driven_in_lockstep(monkeypatch):
    """A chunk would leave for it as fast as it can be sent."""
    monkeypatch.setattr(parameters, "read", lambda values: SimpleNamespace(clock=ClockMode.LOCKSTEP))
    worlds = SimpleNamespace(build=lambda values: (SimpleNamespace(simulated=False), None))
    with pytest.raises(BadParameter, match="clock is lockstep, expected realtime"):
        BridgeNode.configure(SimpleNamespace(parameters=None, _worlds=worlds))
