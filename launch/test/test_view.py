"""What is shipped for tools beside the graph: layouts of RViz and Foxglove, the groups of diagnostic_aggregator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from substep_bringup.arguments import ArgumentError
from substep_bringup.graph import EXECUTABLES
from substep_bringup.graph_config import ViewConfig
from substep_bringup.view_layouts import foxglove_layout, rviz_layout
from substep_cli.grammar import main
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.ros import topics

PACKAGE = Path(__file__).resolve().parents[1]  # of the file itself: the workspace has a link to its folder
PANDA = load_robot(LIBERO_PANDA)
TWO_ARMS = load_robot(PACKAGE.parent / "tests" / "two_arms" / "two_arms" / "robot.yaml")  # 14 joints, three cameras


def read(layout: str) -> str:
    return (PACKAGE / layout).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "robot"),
    [(read("rviz/substep.rviz"), PANDA), (rviz_layout(PANDA), PANDA), (rviz_layout(TWO_ARMS), TWO_ARMS)],
    ids=["shipped", "filled", "two arms"],
)
def test_rviz_looks_where_the_bridge_speaks(text, robot):
    config = yaml.safe_load(text)["Visualization Manager"]
    poses = {topics.EEF_POSE} if robot is PANDA else set()
    spoken = {topics.ROBOT_DESCRIPTION, *poses, *map(topics.camera_image, robot.camera_names)}
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


def strings(content) -> Iterator[str]:
    """Every text in a JSON document, keys included."""
    match content:
        case dict():
            for key, value in content.items():
                yield from (key, *strings(value))
        case list():
            for value in content:
                yield from strings(value)
        case str():
            yield content


def has_field(kind: type, path: str) -> bool:
    """Whether "pose.position.x" or "actions[3]" is in messages of this type."""
    if not path:
        return True
    name, _, rest = path.partition(".")
    found = kind.get_fields_and_field_types().get(re.sub(r"\[.*\]$", "", name))
    if found is None or not rest:
        return found is not None
    package, short = found.split("/")
    action, _, part = short.partition("_")  # of an action's feedback
    where = getattr(import_module(f"{package}.action"), action) if part else import_module(f"{package}.msg")
    return has_field(getattr(where, part or short), rest)


def panels_of(layout) -> list[str]:
    return [layout] if isinstance(layout, str) else [*panels_of(layout["first"]), *panels_of(layout["second"])]


@pytest.mark.parametrize(
    ("text", "robot"),
    [(read("foxglove/substep.json"), PANDA), (foxglove_layout(PANDA), PANDA), (foxglove_layout(TWO_ARMS), TWO_ARMS)],
    ids=["shipped", "filled", "two arms"],
)
def test_foxgloves_layout_shows_what_the_graph_says(text, robot):
    layout = json.loads(text)
    assert sorted(panels_of(layout["layout"])) == sorted(layout["configById"])
    of_cameras = [topic(name) for name in robot.camera_names for topic in (topics.camera_image, topics.camera_info)]
    said = {
        f"/{topic.name.lstrip('/')}": topic for topic in (*topics.TOPICS, topics.EXECUTE_TASK.feedback, *of_cameras)
    }
    for text in strings(layout):
        if text.startswith("/"):
            name, _, field = text.partition(".")
            assert name in said and has_field(said[name].type, field), text
    looked_at = {text.partition(".")[0] for text in strings(layout)}
    assert {f"/{topic.name}" for topic in of_cameras} == {name for name in looked_at if name.startswith("/camera/")}
    actions = {text for text in strings(layout) if text.startswith("/action_chunk.actions")}
    assert len(actions) == robot.action_width


def test_the_view_of_another_robot_is_a_file_that_is_written_and_named(tmp_path, capsys):
    file = tmp_path / "mine.rviz"
    assert main(["robot", "layout", LIBERO_PANDA, "--out", str(file)]) == 0
    assert ViewConfig(config=str(file)).file == file
    assert ViewConfig().file.name == "substep.rviz"
    with pytest.raises(ArgumentError, match="config is 'nowhere.rviz': there is no such file"):
        ViewConfig(config="nowhere.rviz")
    assert main(["robot", "layout", LIBERO_PANDA, "--out", str(tmp_path / "mine.png")]) == 2
    assert "expected .rviz (RViz) or .json" in capsys.readouterr().err


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
