"""The guard in front of the arm: a chunk passes finite -> shape and age -> workspace -> speed, or is dropped whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACTION_RANGE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SafetyLimits:
    """What a chunk may ask for. The defaults let everything through that LIBERO's controller would do anyway.

    Attributes:
        action_dim: values per action: dx dy dz, droll dpitch dyaw, gripper.
        max_horizon: actions per chunk.
        max_age: s of world time between the observation that a chunk answers and its arrival.
        workspace_low, workspace_high: corners (m) of the box that the end effector stays in.
        max_translation, max_rotation: m and rad per control step.
        translation_scale, rotation_scale: m and rad that an action value of 1 stands for.
        response: part of a commanded motion that the arm covers in the step (LIBERO's OSC_POSE: a quarter).
        max_failures: dropped chunks in a row after which the guard latches.
    """

    action_dim: int = 7
    max_horizon: int = 64
    max_age: float = 1.0
    workspace_low: tuple[float, float, float] = (-0.55, -0.65, -0.12)
    workspace_high: tuple[float, float, float] = (0.5, 0.65, 0.9)
    max_translation: float = 0.0875
    max_rotation: float = 0.875
    translation_scale: float = 0.05
    rotation_scale: float = 0.5
    response: float = 0.25
    max_failures: int = 3

    def __post_init__(self) -> None:
        if not np.less(self.workspace_low, self.workspace_high).all():
            raise ValueError(
                f"workspace_low {self.workspace_low} is not below workspace_high {self.workspace_high} on every axis"
            )
        for name in ("max_translation", "max_rotation", "translation_scale", "rotation_scale", "response"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} {getattr(self, name)} is out of range: expected a positive number")
        for name in ("action_dim", "max_horizon", "max_failures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is out of range: expected at least 1")
        if not self.max_age >= 0:
            raise ValueError(f"max_age {self.max_age} is out of range: expected 0 s or more")


class SafetyGuard:
    """Judges chunks and counts failures. ``latched`` says why the arm must hold until ``reset``; empty: it need not."""

    def __init__(self, limits: SafetyLimits) -> None:
        self.limits = limits
        self.latched = ""
        self._failures = 0

    def reset(self) -> None:
        self.latched = ""
        self._failures = 0

    def check(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        """Why a chunk must not be played; empty if it may.

        Args:
            actions: (horizon, action_dim), any values.
            age: s of world time since the observation that the chunk answers.
            eef_position: (3,) m, where the end effector is, in the frame of the workspace.
        """
        checks = (self._finite, self._shape, self._age, self._workspace, self._speed)
        reason = next(filter(None, (check(np.asarray(actions), age, eef_position) for check in checks)), "")
        if reason:
            return self.fail(reason)
        self._failures = 0
        return ""

    def fail(self, reason: str) -> str:
        """Counts a failure that was found elsewhere (a message that cannot be read); returns the reason."""
        self._failures += 1
        if self._failures >= self.limits.max_failures and not self.latched:
            self.latched = f"{self._failures} chunks in a row were rejected, the last one for {reason}"
        return reason

    def _finite(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        bad = np.argwhere(~np.isfinite(actions))
        return f"finite: value {actions[tuple(bad[0])]} at action {bad[0][0]}" if len(bad) else ""

    def _shape(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        limits = self.limits
        if actions.ndim != 2 or actions.shape[1] != limits.action_dim:
            return f"shape: {actions.shape}, expected (horizon, {limits.action_dim})"
        if not 1 <= len(actions) <= limits.max_horizon:
            return f"shape: horizon {len(actions)}, expected 1 to {limits.max_horizon}"
        return ""

    def _age(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        if 0 <= age <= self.limits.max_age:
            return ""
        return f"age: the chunk answers an observation {age:.3f} s old, expected 0 to {self.limits.max_age} s"

    def _workspace(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        """The predicted path must not leave the box; from outside, it may only lead back."""
        metres = self.limits.translation_scale * self.limits.response
        motion = np.cumsum(np.clip(actions[:, :3], -1, 1), axis=0) * metres
        here, path = np.asarray(eef_position), np.asarray(eef_position) + motion
        low = np.minimum(self.limits.workspace_low, here)
        high = np.maximum(self.limits.workspace_high, here)
        outside = np.argwhere((path < low - 1e-9) | (path > high + 1e-9))
        if not len(outside):
            return ""
        step, axis = outside[0]
        return (
            f"workspace: action {step} leads to {'xyz'[axis]} = {path[step, axis]:.3f} m, "
            f"expected {low[axis]:.3f} to {high[axis]:.3f}"
        )

    def _speed(self, actions: np.ndarray, age: float, eef_position: np.ndarray) -> str:
        limits = self.limits
        largest = np.abs(actions).max()
        if largest > 1 + ACTION_RANGE_TOLERANCE:
            return f"speed: value {largest:.3f}, expected -1 to 1"
        translation = np.linalg.norm(actions[:, :3], axis=1).max() * limits.translation_scale
        if translation > limits.max_translation:
            return f"speed: {translation:.4f} m in one step, expected at most {limits.max_translation}"
        rotation = np.linalg.norm(actions[:, 3:6], axis=1).max() * limits.rotation_scale
        if rotation > limits.max_rotation:
            return f"speed: {rotation:.4f} rad in one step, expected at most {limits.max_rotation}"
        return ""
