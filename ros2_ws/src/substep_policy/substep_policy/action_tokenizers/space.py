"""The normalised actions that a tokenizer was fitted to, and whether others are the same."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from substep_core.configuration import configuration
from substep_core.contract import NamedRobot, motion_values, vector_misfit
from substep_policy.models.normalization import ActionNormalizer, GripperConvention, Statistics
from substep_policy.models.sizes import Actions

TOLERANCE = 1e-6  # of a bound, relative to the span


@configuration
class ActionSpace:
    """Chunks (C, A) of normalised actions.

    Attributes:
        robot: whose action groups the A values are.
        gripper: what a gripper's value says.
        low, high: (A,) commands that −1 and 1 stand for; of grippers, which are not normalised, they say nothing.
    """

    robot: NamedRobot = Field(kw_only=True)
    chunk_length: Actions = Field(kw_only=True)
    gripper: GripperConvention = Field(kw_only=True)
    low: tuple[float, ...] = Field(kw_only=True)
    high: tuple[float, ...] = Field(kw_only=True)

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if len(getattr(self, name)) != self.width:
                raise ValueError(f"{name} has {len(getattr(self, name))} values, robot {self.robot.name} {self.width}")

    @classmethod
    def of(cls, normalizer: ActionNormalizer, chunk_length: int) -> ActionSpace:
        """What this normaliser makes of chunks."""
        low, high = (tuple(bound.tolist()) for bound in (normalizer.statistics.q01, normalizer.statistics.q99))
        return cls(robot=normalizer.robot, chunk_length=chunk_length, gripper=normalizer.gripper, low=low, high=high)

    @property
    def width(self) -> int:
        """A."""
        return self.robot.action_width

    @property
    def normalizer(self) -> ActionNormalizer:
        """Between the robot's actions and these."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        middle = (low + high) / 2
        statistics = Statistics(middle, np.zeros_like(low), low, high, low, high, motion_values(self.robot))
        return ActionNormalizer(self.robot, self.gripper, statistics)

    def check(self, normalizer: ActionNormalizer, source: str) -> None:
        """Whether a model's normalised actions are these.

        Args:
            source: of the tokenizer, for messages.

        Raises:
            ValueError: they are of another robot, or mean other commands.
        """
        if why := vector_misfit(self.robot, normalizer.robot):
            raise ValueError(f"{source} is for other actions than the model's: {why}")
        if self.gripper is not normalizer.gripper:
            raise ValueError(
                f"{source} has grippers as {self.gripper.value!r}, the model as {normalizer.gripper.value!r}"
            )
        is_motion = motion_values(self.robot)
        span = np.abs(np.subtract(self.high, self.low)) + TOLERANCE
        for name, here, there in (
            ("low", self.low, normalizer.statistics.q01),
            ("high", self.high, normalizer.statistics.q99),
        ):
            apart = np.flatnonzero(is_motion & (np.abs(np.subtract(here, there)) > TOLERANCE * span))
            if len(apart):
                value = int(apart[0])
                raise ValueError(
                    f"{source} was fitted to actions whose {name} bound of value {value} is {here[value]:g}, the "
                    f"model's is {there[value]:g}: fit the tokenizer to the data of this model, with the same "
                    "data.action_bounds"
                )
