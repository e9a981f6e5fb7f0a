"""The last look at every command before it leaves: the contract's limits once more, without trust in what made it."""

from __future__ import annotations

import numpy as np

from arm_bridge.command import ArmCommand, CommandRefused
from arm_bridge.shaping import Blocked, VectorLimits

TOLERANCE = 1e-6  # relative


class Gate:
    """Remembers the two commands before, from which acceleration and jerk follow. It begins at rest.

    Args:
        blocks: whose limits hold, in the command's order.
        blocked: says of a path (K, W) which of its values leave the places where they may be.
    """

    def __init__(self, blocks: tuple[VectorLimits, ...], blocked: Blocked) -> None:
        self._blocked = blocked
        widths = [block.width for block in blocks]
        self._width, self._begins = sum(widths), np.cumsum([0, *widths[:-1]])
        self._limits = tuple(
            (what, order, np.array([getattr(block, what) for block in blocks]))
            for order, what in enumerate(("speed", "acceleration", "jerk"))
        )
        self.rest()

    def rest(self) -> None:
        """Nothing has been sent for a while, and the robot stands still."""
        self._before = np.zeros((2, self._width))

    def follow(self, velocities: np.ndarray) -> None:
        """The robot has gone on along what was sent. velocities: (2, W) of the last two control steps."""
        self._before = np.array(velocities)

    def check(self, command: ArmCommand) -> ArmCommand:
        """The command, if it may leave; it then counts as sent.

        Raises:
            CommandRefused: it is beyond a limit.
        """
        line = np.concatenate([self._before, command.velocities])
        if line.shape[1] != self._width or not np.isfinite(line).all() or not np.isfinite(command.positions).all():
            raise CommandRefused(f"a command that is not finite: {command.velocity}")
        if command.velocities[-1].any():
            raise CommandRefused("a command whose stop does not end in rest")
        self._check_motion(line, command.period)
        if not command.is_stop and self._blocked(command.positions).any():  # a robot that is out must be stopped too
            out = np.flatnonzero(self._blocked(command.positions))
            raise CommandRefused(f"a command that leaves its place in value {out[0]}: {command.positions[-1]}")
        self._before = np.stack([self._before[1], command.velocity])
        return command

    def _check_motion(self, line: np.ndarray, period: float) -> None:
        """line: (2 + N, W) velocities, the first two of which were sent."""
        for what, order, limits in self._limits:
            if order:
                line = (line[1:] - line[:-1]) / period
            squares = np.add.reduceat(line[2 - order :] ** 2, self._begins, axis=1)
            found = np.sqrt(squares.max(axis=0))
            if (found > limits * (1 + TOLERANCE) + TOLERANCE).any():
                worst = int(np.argmax(found - limits))
                raise CommandRefused(
                    f"a command with a {what} of {found[worst]:.4g}, expected at most {limits[worst]:g}"
                )
