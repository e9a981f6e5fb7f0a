"""What is shipped for tools beside the graph: the RViz configuration and the groups of diagnostic_aggregator."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from substep_bringup.graph import EXECUTABLES
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.ros import topics

PACKAGE = Path(__file__).parents[1]


def test_rviz_looks_where_the_bridge_speaks():
    config = yaml.safe_load((PACKAGE / "rviz" / "substep.rviz").read_text())["Visualization Manager"]
    robot = load_robot(LIBERO_PANDA)
    spoken = {topics.ROBOT_DESCRIPTION, topics.EEF_POSE, *map(topics.camera_image, robot.camera_names)}
    there = {topic.name: topic for topic in spoken}
    shown = {}
    for display in config["Displays"]:
        for key in ("Topic", "Description Topic"):
            if key in display:
                shown[display[key]["Value"]] = display[key]
    assert shown.keys() == there.keys()
    for name, topic in there.items():
        assert (shown[name]["Reliability Policy"] == "Reliable") == topic.reliable, name
        assert (shown[name]["Durability Policy"] == "Transient Local") == topic.latched, name
    assert config["Global Options"]["Fixed Frame"] == robot.base_frame


@pytest.mark.parametrize("namespace", ["", "robot1/"])
def test_what_a_node_says_of_itself_belongs_to_one_group(namespace):
    parameters = yaml.safe_load((PACKAGE / "params" / "analyzers.yaml").read_text())["/**"]["ros__parameters"]
    groups = {name: group["contains"] for name, group in parameters.items() if name != "path"}
    assert set(groups) == {*EXECUTABLES, "lifecycle"}
    managers = ["lifecycle_manager", *(f"{node}_manager" for node in EXECUTABLES)]
    said = {f"{namespace}{node}: what": node for node in EXECUTABLES}
    said |= {f"{namespace}{manager}: {node}": "lifecycle" for manager in managers for node in EXECUTABLES}
    for status, group in said.items():
        assert [name for name, texts in groups.items() if any(text in status for text in texts)] == [group], status
