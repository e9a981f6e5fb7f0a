"""The benchmark runs and prints what it promises. Speed itself is not asserted: the machine may be busy."""

from __future__ import annotations

import re

import pytest

from libero_bridge.benchmarks import simulation_speed

pytestmark = pytest.mark.xdist_group("simulation")


def test_the_world_is_faster_than_liberos_own_loop(capsys):
    simulation_speed.run("libero_object", 0, steps=8, assets="embedded")
    printed = capsys.readouterr().out
    wall, processor = re.search(r"ratio, wall and processor +([\d.]+) +([\d.]+)", printed).groups()
    assert "assets: embedded" in printed and float(processor) > 1.5, printed
