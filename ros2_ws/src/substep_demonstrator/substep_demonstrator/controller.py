"""Cartesian servoing: from where the hand is and where it should be to actions of operational space control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.contract import ActionGroup, ActionQuantity, RobotContract
from substep_demonstrator.frames import Transform, rotation_between, turn_by

OPEN, CLOSED = -1.0, 1.0
# How robosuite's operational space control answers on a Panda, fitted: what a value of 1 comes to a step in the end.
_STRIDE = 0.0145  # m
_TURN = 0.055  # rad
_RESPONSE = 0.35  # of the difference to that, made up in one step


@dataclass(frozen=True)
class ServoConfig:
    """Gains are commanded displacement per displacement left; the arm covers about a quarter of a command a step.

    ``lead``: control steps by which the arm's present motion is thought ahead, which damps it at the goal.
    """

    position_gain: float = 2.5
    rotation_gain: float = 1.0
    lead: float = 1.5

    def __post_init__(self) -> None:
        for name in ("position_gain", "rotation_gain"):
            if not 0 < getattr(self, name) <= 5:
                raise ValueError(f"{name} {getattr(self, name)} is out of range: expected above 0, at most 5")


@dataclass(frozen=True)
class Pace:
    """Largest size of an action's translation and rotation part, each in (0, 1]."""

    speed: float = 1.0
    turning: float = 1.0


@dataclass(frozen=True)
class HandMotion:
    """pose of the hand and its motion (3,) m per control step."""

    pose: Transform
    motion: np.ndarray

    def after(self, translation: np.ndarray, rotation: np.ndarray) -> HandMotion:
        """What one control step makes of it: a lag of the first order, fitted to robosuite's OSC on a Panda."""
        motion = self.motion + _RESPONSE * (_STRIDE * translation - self.motion)
        turned = turn_by(_TURN * rotation) @ self.pose.rotation
        return HandMotion(Transform(self.pose.position + motion, turned), motion)


class Servo:
    """Actions for a robot whose hand is moved by differences of its pose.

    Raises:
        ValueError: the robot is moved in another way.
    """

    def __init__(self, robot: RobotContract, config: ServoConfig) -> None:
        self._robot, self._config = robot, config
        self._translation = _only(robot, ActionQuantity.DELTA_POSITION)
        self._rotation = _only(robot, ActionQuantity.DELTA_ROTATION)
        self._gripper = _only(robot, ActionQuantity.GRIPPER)

    def chunk(self, start: HandMotion, target: Transform, gripper: float, pace: Pace, steps: int) -> np.ndarray:
        """(steps, A) actions, the later ones for where the arm is then expected to be."""
        actions, state = [], start
        for _ in range(steps):
            ahead = Transform(state.pose.position + self._config.lead * state.motion, state.pose.rotation)
            action = self.action(ahead, target, gripper, pace)
            state = state.after(action[self._at(self._translation)], action[self._at(self._rotation)])
            actions.append(action)
        return np.array(actions)

    def action(self, hand: Transform, target: Transform, gripper: float, pace: Pace) -> np.ndarray:
        """(A,) float32 action that moves the hand towards ``target``, straight as seen from above.

        Height has a limit of its own: a long way down must not slow down the centring over what is below.

        Args:
            gripper: ``OPEN`` or ``CLOSED``.
        """
        step = self._config.position_gain * (target.position - hand.position) / self._translation.scale
        turn = self._config.rotation_gain * rotation_between(hand.rotation, target.rotation) / self._rotation.scale
        action = np.zeros(self._robot.action_width, np.float32)
        translation = action[self._at(self._translation)]  # a view
        translation[:2], translation[2] = _limited(step[:2], pace.speed), np.clip(step[2], -pace.speed, pace.speed)
        action[self._at(self._rotation)] = _limited(turn, pace.turning)
        action[self._at(self._gripper)] = self._gripper.closed if gripper == CLOSED else self._gripper.opened
        return action

    def _at(self, group: ActionGroup) -> slice:
        return self._robot.action_slice(group)


def _only(robot: RobotContract, quantity: ActionQuantity) -> ActionGroup:
    found = robot.action_groups(quantity)
    if len(found) != 1:
        raise ValueError(
            f"the demonstrator needs one action group {quantity.value}, robot {robot.name} has {len(found)}"
        )
    return found[0]


def _limited(vector: np.ndarray, largest: float) -> np.ndarray:
    """The same direction with no component beyond ``largest``."""
    return vector * min(1.0, largest / max(float(np.max(np.abs(vector))), 1e-9))
