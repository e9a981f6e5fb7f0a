"""A chain of joints from its URDF: how its tip moves with each of them, and how near it is to a singularity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from substep_core.contract import SingularityLimits
from substep_core.rotation import turn as rotation_of

TURNING, SLIDING, FIXED = ("revolute", "continuous"), ("prismatic",), ("fixed",)


@dataclass(frozen=True)
class Segment:
    """One joint of a URDF.

    Attributes:
        joint: its name; empty: it does not move.
        origin: (3,) m and rotation: (3, 3) of its frame in the link before it.
        axis: (3,) of length 1, in its own frame.
        turns: rad about the axis; else m along it.
    """

    joint: str
    origin: np.ndarray
    rotation: np.ndarray
    axis: np.ndarray
    turns: bool


class Chain:
    """The joints between two links."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self._segments = segments
        self.joints = tuple(segment.joint for segment in segments if segment.joint)

    @staticmethod
    def from_urdf(text: str, base: str, tip: str) -> Chain:
        """Args: base, tip: names of links.

        Raises:
            ValueError: it is no URDF, or the tip does not hang on the base by joints that are known here.
        """
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise ValueError(f"the robot's description is no XML: {error}") from error
        joints = [joint for joint in root.iter("joint") if joint.find("child") is not None]
        above = {joint.find("child").get("link"): joint for joint in joints}
        segments, link = [], tip
        while link != base:
            if link not in above:
                raise ValueError(f"the robot's description has no joint above link {link!r}, from {base!r} to {tip!r}")
            segments.append(_segment(above[link]))
            link = above[link].find("parent").get("link")
        return Chain(tuple(reversed(segments)))

    def jacobian(self, positions: Mapping[str, float]) -> np.ndarray:
        """(6, N): the tip's linear and angular velocity in the base's frame for each joint's of 1 rad/s or 1 m/s.

        Args:
            positions: of joints by name, rad or m.

        Raises:
            KeyError: one of the chain is missing.
        """
        place, turn = np.zeros(3), np.eye(3)
        axes, origins, turning = [], [], []
        for segment in self._segments:
            place, turn = place + turn @ segment.origin, turn @ segment.rotation
            if not segment.joint:
                continue
            axis = turn @ segment.axis
            axes.append(axis)
            origins.append(place)
            turning.append(segment.turns)
            way = segment.axis * positions[segment.joint]
            if segment.turns:
                turn = turn @ rotation_of(way)
            else:
                place = place + turn @ way
        axes, turning = np.array(axes), np.array(turning)[:, None]
        linear = np.where(turning, np.cross(axes, place - np.array(origins)), axes)
        return np.concatenate([linear, np.where(turning, axes, 0.0)], axis=1).T


@dataclass(frozen=True)
class JointEffort:
    """How fast joints must move in the direction of the tip that is hardest for them, its other motion none.

    Attributes:
        linear: rad/s for 1 m/s; angular: rad/s for 1 rad/s.
    """

    linear: float
    angular: float

    @staticmethod
    def of(jacobian: np.ndarray) -> JointEffort:
        """Args: jacobian: (6, N)."""
        inverse = np.linalg.pinv(jacobian, rcond=1e-12)
        return JointEffort(*(float(np.linalg.norm(part, 2)) for part in (inverse[:, :3], inverse[:, 3:])))

    def beyond(self, limits: SingularityLimits) -> str:
        """What is too much; "": nothing."""
        for what, found, most, unit in (
            ("moving", self.linear, limits.linear, "m/s"),
            ("turning", self.angular, limits.angular, "rad/s"),
        ):
            if not found <= most:
                return (
                    f"near a singularity: {what} by 1 {unit} in the hardest direction takes {found:.1f} rad/s of the "
                    f"joints, expected at most {most:g}"
                )
        return ""


def _segment(joint: ElementTree.Element) -> Segment:
    name, kind = joint.get("name", ""), joint.get("type", "")
    if kind not in (*TURNING, *SLIDING, *FIXED):
        raise ValueError(f"joint {name!r} of the robot's description is of type {kind!r}, which is not known here")
    if joint.find("mimic") is not None:
        raise ValueError(f"joint {name!r} of the robot's description follows another one, which is not known here")
    origin, axis = joint.find("origin"), joint.find("axis")
    place = _numbers(origin, "xyz", "0 0 0")
    roll, pitch, yaw = _numbers(origin, "rpy", "0 0 0")
    rotation = rotation_of((0, 0, yaw)) @ rotation_of((0, pitch, 0)) @ rotation_of((roll, 0, 0))
    direction = _numbers(axis, "xyz", "1 0 0")
    direction = direction / (np.linalg.norm(direction) or 1.0)
    return Segment("" if kind in FIXED else name, place, rotation, direction, kind in TURNING)


def _numbers(element: ElementTree.Element | None, name: str, default: str) -> np.ndarray:
    """(3,) of an attribute. Raises ValueError: they are none."""
    text = default if element is None else element.get(name, default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise ValueError(f"the robot's description has {name}={text!r}, expected three numbers") from error
    if values.shape != (3,):
        raise ValueError(f"the robot's description has {name}={text!r}, expected three numbers")
    return values
