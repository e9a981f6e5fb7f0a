"""Layouts of RViz and Foxglove for any robot: those that ship are LIBERO's, and are filled from a robot contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory

from substep_core.contract import CameraRole, JointSource, PoseSource, RobotContract
from substep_core.ros import topics
from substep_core.yaml_mapping import read_mapping

PACKAGE = "substep_bringup"
RVIZ, FOXGLOVE = Path("rviz", "substep.rviz"), Path("foxglove", "substep.json")
HAND, JOINTS, ACTIONS = "Plot!hand", "Plot!joints", "Plot!actions"  # panels of Foxglove's layout
IMAGE = "Image!"


def layout(robot: RobotContract, file: Path) -> str:
    """The text of a layout. file: what it is to be called; ``.rviz`` is RViz's, ``.json`` Foxglove's.

    Raises:
        ValueError: another ending.
    """
    makers = {".rviz": rviz_layout, ".json": foxglove_layout}
    if file.suffix not in makers:
        raise ValueError(f"{file} ends in {file.suffix!r}, expected .rviz (RViz) or .json (Foxglove, Lichtblick)")
    return makers[file.suffix](robot)


def shipped(file: Path) -> Path:
    """One of the files that come with the package."""
    return Path(get_package_share_directory(PACKAGE), file)


def rviz_layout(robot: RobotContract) -> str:
    """Robot, frames, poses and cameras; a camera at rest with the robot drawn over it, one at the hand without."""
    content = read_mapping(shipped(RVIZ), "a layout of RViz")
    manager = content["Visualization Manager"]
    kinds = {display["Class"].rsplit("/", 1)[1]: display for display in manager["Displays"]}
    poses = [_aimed(kinds["Pose"], topic, topic) for topic in _pose_topics(robot)]
    of_role = {CameraRole.SCENE: kinds["Camera"], CameraRole.WRIST: kinds["Image"]}
    cameras = [
        _aimed(of_role[camera.role], camera.name, topics.camera_image(camera.name).name) for camera in robot.cameras
    ]
    manager["Displays"] = [kinds["Grid"], kinds["RobotModel"], kinds["TF"], *poses, *cameras]
    manager["Global Options"]["Fixed Frame"] = robot.base_frame
    return yaml.safe_dump(content, sort_keys=False)


def foxglove_layout(robot: RobotContract) -> str:
    """Cameras and robot at the left, what is decided and done at the right."""
    content = json.loads(shipped(FOXGLOVE).read_text(encoding="utf-8"))
    panels: dict[str, Any] = content["configById"]
    for name in [name for name in panels if name.startswith(IMAGE)]:
        del panels[name]
    panels |= {f"{IMAGE}{name}": {"imageMode": _image_mode(name)} for name in robot.camera_names}
    scene = panels["3D!robot"]
    scene["followTf"] = robot.base_frame
    scene["topics"] = {f"/{topic}": {"visible": True} for topic in _pose_topics(robot)}
    _plot(panels[HAND], [f"/{topic}.pose.position.{axis}" for topic in _pose_topics(robot) for axis in "xyz"])
    joint_topics = dict.fromkeys(group.source.topic for group in robot.state if isinstance(group.source, JointSource))
    _plot(panels[JOINTS], [f"/{topic}.position[:]" for topic in joint_topics])
    _plot(panels[ACTIONS], [f"/{topics.ACTION_CHUNK.name}.actions[{index}]" for index in range(robot.action_width)])
    left = content["layout"]["first"]
    if robot.cameras:
        left["first"] = _side_by_side([f"{IMAGE}{name}" for name in robot.camera_names])
    else:
        content["layout"]["first"] = left["second"]
    return json.dumps(content, indent=1) + "\n"


def _pose_topics(robot: RobotContract) -> list[str]:
    return list(dict.fromkeys(group.source.topic for group in robot.state if isinstance(group.source, PoseSource)))


def _aimed(display: dict[str, Any], name: str, topic: str) -> dict[str, Any]:
    return {**display, "Name": name, "Topic": {**display["Topic"], "Value": topic}}


def _image_mode(camera: str) -> dict[str, str]:
    return {
        "imageTopic": f"/{topics.camera_image(camera).name}",
        "calibrationTopic": f"/{topics.camera_info(camera).name}",
    }


def _plot(panel: dict[str, Any], values: Sequence[str]) -> None:
    """One curve a value, drawn as the shipped ones are."""
    curve = panel["paths"][0]
    panel["paths"] = [{**curve, "value": value, "label": value.strip("/")} for value in values]


def _side_by_side(panels: Sequence[str]) -> Any:
    """Columns of the same width."""

    def beside(right: tuple[int, Any], left: str) -> tuple[int, Any]:
        count, layout = right
        return count + 1, {
            "direction": "row",
            "first": left,
            "second": layout,
            "splitPercentage": round(100 / (count + 1)),
        }

    *others, last = panels
    return reduce(beside, reversed(others), (1, last))[1]
