"""Coordinate frames of LIBERO's Panda and of its cameras, as tf2 wants them, and the URDF that they fit.

The URDF is robosuite's own, for its links and meshes. Its joints are given the names that ``joint_states`` has and the
places that they have in the simulated model, from which robosuite's file differs (its first joint lies in the base).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np

from libero_bridge.ground_truth import xyzw
from substep_bridge.world import Frame
from substep_core.contract import Camera, CameraRole, Pose

BASE, HAND, GRIP_SITE = "panda_link0", "panda_hand", "grip_site"
# link of the URDF -> body of the simulated model
LINKS = {f"panda_link{number}": f"robot0_link{number}" for number in range(8)} | {
    HAND: "robot0_right_hand",
    "panda_leftfinger": "gripper0_leftfinger",
    "panda_rightfinger": "gripper0_rightfinger",
}
# joint of the URDF -> joint of the simulated model
JOINTS = {f"panda_joint{number}": f"robot0_joint{number}" for number in range(1, 8)} | {
    f"panda_finger_joint{number}": f"gripper0_finger_joint{number}" for number in (1, 2)
}
OPTICAL = np.diag([1.0, -1.0, -1.0])  # MuJoCo's cameras look along -z, y up; optical frames along z, y down


@dataclass(frozen=True)
class _Placed:
    """Position (3,) m and rotation (3, 3) in the world."""

    position: np.ndarray
    rotation: np.ndarray


WORLD = _Placed(np.zeros(3), np.eye(3))


class RobotFrames:
    """Reads the frames off a simulated model.

    Args:
        grip_site: name of the site that ``eef_pose`` is of.
        cameras: those that are published.
        base_frame: of the contract, MuJoCo's world.
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, grip_site: str, cameras: Iterable[Camera], base_frame: str
    ) -> None:
        self._model, self._data = model, data
        self._grip_site, self._cameras, self._base_frame = grip_site, tuple(cameras), base_frame

    def read(self) -> list[Frame]:
        """All of them, as they are now."""
        placed = {link: self._body(body) for link, body in LINKS.items()}
        frames = [_frame(BASE, placed[BASE], self._base_frame, WORLD, fixed=True)]
        frames += [_frame(link, at, BASE, placed[BASE]) for link, at in placed.items() if link != BASE]
        site = self._data.site(self._grip_site)
        frames.append(_frame(GRIP_SITE, _placed(site), HAND, placed[HAND], fixed=True))
        for camera in self._cameras:
            seen = _placed(self._data.cam(camera.driver_name))
            on_hand = camera.role is CameraRole.WRIST
            parent = (HAND, placed[HAND]) if on_hand else (self._base_frame, WORLD)
            optical = _Placed(seen.position, seen.rotation @ OPTICAL)
            frames.append(_frame(camera.frame, optical, *parent, fixed=True))
        return frames

    def _body(self, name: str) -> _Placed:
        return _placed(self._data.body(name))


def robot_description(model: mujoco.MjModel) -> str:
    """The URDF of the model's Panda, its joints named as in ``joint_states``; meshes are files of this machine."""
    import robosuite

    folder = Path(robosuite.__file__).parent / "models/assets/bullet_data/panda_description"
    robot = ElementTree.parse(folder / "urdf/panda_arm_hand.urdf").getroot()
    for mesh in robot.iter("mesh"):
        mesh.set("filename", mesh.get("filename").replace("package://panda_description", folder.as_uri()))
    _leave_out_link8(robot)
    start = mujoco.MjData(model)
    start.qpos[[model.joint(name).qposadr[0] for name in JOINTS.values()]] = 0.0
    mujoco.mj_kinematics(model, start)
    for joint in robot.iter("joint"):
        _fit(joint, model, start)
    return ElementTree.tostring(robot, encoding="unicode")


def _leave_out_link8(robot: ElementTree.Element) -> None:
    """The flange, a link without a body: the hand is fixed to link 7."""
    for part in [part for part in robot if part.get("name") in ("panda_link8", "panda_joint8")]:
        robot.remove(part)
    robot.find("joint[@name='panda_hand_joint']/parent").set("link", "panda_link7")


def _fit(joint: ElementTree.Element, model: mujoco.MjModel, start: mujoco.MjData) -> None:
    """Name, place, axis and limits as the model's. start: all joints at 0."""
    parent, child = (_placed(start.body(LINKS[joint.find(end).get("link")])) for end in ("parent", "child"))
    place = parent.rotation.T @ (child.position - parent.position)
    turn = parent.rotation.T @ child.rotation
    joint.find("origin").attrib.update(xyz=_text(place), rpy=_text(_roll_pitch_yaw(turn)))
    if joint.get("name") not in JOINTS:
        return
    moved = model.joint(JOINTS[joint.get("name")])
    joint.set("name", moved.name)
    joint.find("axis").set("xyz", _text(moved.axis))
    low, high = map(str, moved.range)
    joint.find("limit").attrib.update(lower=low, upper=high)
    for part in [*joint.findall("mimic"), *joint.findall("safety_controller")]:  # each finger has a joint of its own
        joint.remove(part)


def _placed(item) -> _Placed:
    """A body, site or camera of an MjData."""
    return _Placed(np.array(item.xpos), np.array(item.xmat).reshape(3, 3))


def _frame(name: str, at: _Placed, parent: str, parent_at: _Placed, *, fixed: bool = False) -> Frame:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, (parent_at.rotation.T @ at.rotation).flatten())
    return Frame(name, parent, Pose(parent_at.rotation.T @ (at.position - parent_at.position), xyzw(quaternion)), fixed)


def _roll_pitch_yaw(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) -> (3,) rad about the fixed x, y and z axes, as a URDF has it."""
    pitch = -np.arcsin(np.clip(rotation[2, 0], -1.0, 1.0))
    roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    return np.array([roll, pitch, np.arctan2(rotation[1, 0], rotation[0, 0])])


def _text(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in values)
