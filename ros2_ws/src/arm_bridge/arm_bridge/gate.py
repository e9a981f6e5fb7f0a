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
        self._blocks, self._blocked = blocks, blocked
        self._width = sum(block.width for block in blocks)
        self.rest()

    def rest(self) -> None:
        """Nothing has been sent for a while, and the robot stands still."""
        self._before = np.zeros((2, self._width))

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
        begin = 0
        for block in self._blocks:
            self._check_block(block, line[:, begin : begin + block.width], command.period)
            begin += block.width
        if not command.is_stop and self._blocked(command.positions).any():  # a robot that is out must be stopped too
            out = np.flatnonzero(self._blocked(command.positions))
            raise CommandRefused(f"a command that leaves its place in value {out[0]}: {command.positions[-1]}")
        self._before = np.stack([self._before[1], command.velocity])
        return command

    def _check_block(self, block: VectorLimits, line: np.ndarray, period: float) -> None:
        """line: (2 + N, width) velocities, the first two of which were sent."""
        for what, limit, order in (
            ("speed", block.speed, 0),
            ("acceleration", block.acceleration, 1),
            ("jerk", block.jerk, 2),
        ):
            found = np.linalg.norm(np.diff(line, order, axis=0)[2 - order :], axis=1).max() / period**order
            if found > limit * (1 + TOLERANCE) + TOLERANCE:
                raise CommandRefused(f"a command with a {what} of {found:.4g}, expected at most {limit:g}")
