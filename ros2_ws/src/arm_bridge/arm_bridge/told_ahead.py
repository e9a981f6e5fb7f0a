"""What a driver has been told of control steps to come, so that it is told anew only where they change."""

from __future__ import annotations

from copy import copy

import numpy as np

from arm_bridge.command import ArmCommand
from arm_bridge.commander import JointCommander
from arm_bridge.shaping import Shaper

SAME = 1e-9  # rad or m, and those a second


class ToldAhead:
    """The newest trajectory of an arm that plays by itself what it was told."""

    def __init__(self, commander: JointCommander) -> None:
        self._commander = commander
        self.forget()

    def forget(self) -> None:
        """What was told does not count any more."""
        self._told: ArmCommand | None = None
        self._shapers: list[Shaper] = []
        self._step = 0  # of it that comes next

    def time(self, now: int) -> int:
        """ns at which the next control step begins: those of a trajectory follow each other by its own time.

        Where the clock was set back the next step begins now, and is told whatever was told before by the other time.

        Args:
            now: ns of ROS time.
        """
        if self._told is not None and self._due(now) < self._step - 1:
            self.forget()
        return now if self._told is None else self._told.stamp + round(self._step * self._told.period * 1e9)

    def catch_up(self, now: int) -> bool:
        """What is commanded next goes on from where the arm is by now: whether it has played on meanwhile by itself.

        Args:
            now: ns of ROS time.
        """
        if self._told is None or (due := self._due(now)) <= self._step:
            return False
        self._step = due
        self._commander.follow(self._velocities(due), self._place(due), self._shaper(due))
        return True

    def _due(self, now: int) -> int:
        """The step that begins now, by the trajectory's own time."""
        return round((now - self._told.stamp) / 1e9 / self._told.period)

    def covers(self, command: ArmCommand) -> bool:
        """The arm does this by what it has been told; a stop only if nothing but that is still to come."""
        if self._told is None:
            return False
        count = len(command.velocities) if command.is_stop else 1
        to_come = self._told.velocities[self._step :]
        is_same = (
            _near(command.velocities[:count], _filled(to_come[:count], count))
            and _near(command.positions[0], self._place(self._step))
            and not (command.is_stop and to_come[count:].any())
        )
        self._step += is_same
        return is_same

    @property
    def moves_on(self) -> bool:
        """The arm has been told to move in a control step that is still to come."""
        return self._told is not None and bool(self._told.velocities[self._step :].any())

    def note(self, command: ArmCommand, shapers: list[Shaper]) -> None:
        """This is told now; shapers: of ``JointCommander.foresee``."""
        self._told, self._shapers, self._step = command, shapers, 1

    def _shaper(self, count: int) -> Shaper:
        """How velocities are shaped on after that many steps."""
        shaper = copy(self._shapers[min(count, len(self._shapers)) - 1])
        for _ in range(len(self._shapers), min(count, len(self._told.velocities))):
            shaper.brake()
        return shaper

    def _velocities(self, count: int) -> np.ndarray:
        """(2, W) of the last two of that many steps."""
        told = self._told.velocities
        return _filled(np.concatenate([np.zeros((2, told.shape[1])), told])[: count + 2], count + 2)[-2:]

    def _place(self, count: int) -> np.ndarray:
        """(W,) where that many steps lead."""
        return self._told.positions[min(count, len(self._told.positions) - 1)]


def _filled(velocities: np.ndarray, count: int) -> np.ndarray:
    """(count, W): what is told ends in rest."""
    return np.concatenate([velocities, np.zeros((count - len(velocities), velocities.shape[1]))])


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one - other) <= SAME).all())
