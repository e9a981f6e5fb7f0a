"""The benchmark of the graph prints what it promises. Speed itself is not asserted: the machine may be busy."""

from __future__ import annotations

import re

import pytest

from training.bench import graph_speed

pytestmark = pytest.mark.xdist_group("simulation")


def test_the_graph_is_measured_beside_one_process(capsys):
    graph_speed.run("libero_object", 0, steps=16, assets="embedded")
    printed = capsys.readouterr().out
    figures = re.findall(r"(?:one process|through ROS|ratio) +([\d.]+)", printed)
    assert len(figures) == 3 and all(float(figure) > 0 for figure in figures), printed
