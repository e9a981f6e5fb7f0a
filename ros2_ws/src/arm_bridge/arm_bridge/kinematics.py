"""A chain of joints from its URDF: how its tip moves with each of them, and how near it is to a singularity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from substep_core.contract import SingularityLimits
from substep_core.rotation import turn as rotation_of

TURNING, SLIDING, FIXED = ("revolute", "continuous"), ("prismatic",), ("fixed",)
LINEAR, ANGULAR = slice(0, 3), slice(3, 6)
NO_PART = 1e-6  # of a direction of length 1, where rounding alone gives it a part


@dataclass(frozen=True)
class LinkSegment:
    """One joint of a URDF.

    Attributes:
        joint: its name; empty: it does not move.
        origin: (3,) m and rotation: (3, 3) of its frame in the link before it.
        axis: (3,) of length 1, in its own frame; zero where it does not move.
        turns: rad about the axis; else m along it.
    """

    joint: str
    origin: np.ndarray
    rotation: np.ndarray
    axis: np.ndarray
    turns: bool


class Chain:
    """The joints between two links."""

    def __init__(self, segments: tuple[LinkSegment, ...]) -> None:
        self._segments = segments
        self.joints = tuple(segment.joint for segment in segments if segment.joint)

    @staticmethod
    def from_urdf(text: str, base: str, tip: str) -> Chain:
        """Args: base, tip: names of links.

        Raises:
            ValueError: it is no URDF, or the tip does not hang on the base by joints that are known here and of
                which one moves.
        """
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise ValueError(f"the robot's description is no XML: {error}") from error
        above: dict[str, ElementTree.Element] = {}
        for joint in (joint for joint in root.iter("joint") if joint.find("child") is not None):
            link = _link(joint, "child")
            if link in above:
                raise ValueError(f"the robot's description has two joints above link {link!r}, expected a tree")
            above[link] = joint
        segments, link = [], tip
        while link != base:
            if link not in above:
                raise ValueError(
                    f"the robot's description has no joint above link {link!r}, or its joints form a cycle: from "
                    f"{base!r} to {tip!r} expected a tree"
                )
            joint = above.pop(link)  # each is passed once
            segments.append(_segment(joint))
            link = _link(joint, "parent")
        if not any(segment.joint for segment in segments):
            raise ValueError(f"the robot's description has no joint that moves from {base!r} to {tip!r}")
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

    At a singularity the arm cannot move in some direction at all, and the effort of what that direction takes part in
    is infinite: so it is too of an arm that has at no place as many independent motions as joints, or six.

    Attributes:
        linear: rad/s for 1 m/s; angular: rad/s for 1 rad/s.
    """

    linear: float
    angular: float

    @staticmethod
    def of(jacobian: np.ndarray) -> JointEffort:
        """Args: jacobian: (6, N)."""
        directions, gains, _ = np.linalg.svd(jacobian, full_matrices=False)
        is_lost = gains <= max(jacobian.shape) * np.finfo(float).eps * gains.max()  # rounding of zero
        return JointEffort(*(_effort(directions[part], gains, is_lost) for part in (LINEAR, ANGULAR)))

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


def _effort(directions: np.ndarray, gains: np.ndarray, is_lost: np.ndarray) -> float:
    """Norm of the pseudoinverse's part that these rows make, without a cut-off.

    Args:
        directions: (3, K) part of the left singular vectors; gains: (K,) singular values; is_lost: (K,) they are zero.
    """
    if (np.linalg.norm(directions[:, is_lost], axis=0) > NO_PART).any():
        return np.inf
    return float(np.linalg.norm(directions[:, ~is_lost] / gains[~is_lost], 2))


def _link(joint: ElementTree.Element, end: str) -> str:
    """Name of the link at its "parent" or "child". Raises ValueError: it has none."""
    element = joint.find(end)
    name = None if element is None else element.get("link")
    if not name:
        raise ValueError(f"joint {joint.get('name', '')!r} of the robot's description has no {end} link")
    return name


def _segment(joint: ElementTree.Element) -> LinkSegment:
    name, kind = joint.get("name", ""), joint.get("type", "")
    if kind not in (*TURNING, *SLIDING, *FIXED):
        raise ValueError(f"joint {name!r} of the robot's description is of type {kind!r}, which is not known here")
    if joint.find("mimic") is not None:
        raise ValueError(f"joint {name!r} of the robot's description follows another one, which is not known here")
    origin, axis = joint.find("origin"), joint.find("axis")
    place = _numbers(origin, "xyz", "0 0 0")
    roll, pitch, yaw = _numbers(origin, "rpy", "0 0 0")
    rotation = rotation_of((0, 0, yaw)) @ rotation_of((0, pitch, 0)) @ rotation_of((roll, 0, 0))
    if kind in FIXED:
        return LinkSegment("", place, rotation, np.zeros(3), False)
    if not name:
        raise ValueError(f"a joint of type {kind!r} of the robot's description has no name")
    direction = _numbers(axis, "xyz", "1 0 0")
    length = np.linalg.norm(direction)
    if not length:
        raise ValueError(f"joint {name!r} of the robot's description moves, and its axis has no length")
    return LinkSegment(name, place, rotation, direction / length, kind in TURNING)


def _numbers(element: ElementTree.Element | None, name: str, default: str) -> np.ndarray:
    """(3,) of an attribute. Raises ValueError: they are none."""
    text = default if element is None else element.get(name, default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise ValueError(f"the robot's description has {name}={text!r}, expected three numbers") from error
    if values.shape != (3,) or not np.isfinite(values).all():
        raise ValueError(f"the robot's description has {name}={text!r}, expected three finite numbers")
    return values
