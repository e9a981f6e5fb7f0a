"""Cartesian servoing: from where the hand is and where it should be to OSC_POSE actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_policy.demonstrator.frames import Pose, rotation_between, turn_by
from substep_policy.observation import ACTION_DIM

POSITION_STEP = 0.05  # m that ±1 commands
ROTATION_STEP = 0.5  # rad that ±1 commands
OPEN, CLOSED = -1.0, 1.0
_STRIDE = 0.0145  # m a step that ±1 comes to in the end
_TURN = 0.055  # rad a step that ±1 comes to
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


def servo(hand: Pose, target: Pose, gripper: float, config: ServoConfig, pace: Pace) -> np.ndarray:
    """(7,) float32 action in [-1, 1] that moves the hand towards ``target``, straight as seen from above.

    Height has a limit of its own: a long way down must not slow down the centring over what is below.

    Args:
        gripper: ``OPEN`` or ``CLOSED``.
    """
    action = np.zeros(ACTION_DIM, np.float32)
    step = config.position_gain * (target.position - hand.position) / POSITION_STEP
    action[:2], action[2] = _limited(step[:2], pace.speed), np.clip(step[2], -pace.speed, pace.speed)
    turn = rotation_between(hand.rotation, target.rotation)
    action[3:6] = _limited(config.rotation_gain * turn / ROTATION_STEP, pace.turning)
    action[6] = gripper
    return action


def _limited(vector: np.ndarray, largest: float) -> np.ndarray:
    """The same direction with no component beyond ``largest``."""
    return vector * min(1.0, largest / max(float(np.max(np.abs(vector))), 1e-9))


@dataclass(frozen=True)
class ArmState:
    """pose of the hand and its motion (3,) m per control step."""

    pose: Pose
    motion: np.ndarray

    def after(self, action: np.ndarray) -> ArmState:
        """What one control step makes of it: a lag of the first order, fitted to robosuite's OSC on a Panda."""
        motion = self.motion + _RESPONSE * (_STRIDE * action[:3] - self.motion)
        turned = turn_by(_TURN * action[3:6]) @ self.pose.rotation
        return ArmState(Pose(self.pose.position + motion, turned), motion)


def servo_chunk(
    start: ArmState, target: Pose, gripper: float, config: ServoConfig, pace: Pace, steps: int
) -> np.ndarray:
    """(steps, 7) actions, the later ones for where the arm is then expected to be."""
    actions, state = [], start
    for _ in range(steps):
        ahead = Pose(state.pose.position + config.lead * state.motion, state.pose.rotation)
        actions.append(servo(ahead, target, gripper, config, pace))
        state = state.after(actions[-1])
    return np.array(actions)
