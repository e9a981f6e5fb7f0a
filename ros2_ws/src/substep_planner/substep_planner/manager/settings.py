"""Limits of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.watchdogs import SilenceLimits


@dataclass(frozen=True)
class ManagerSettings:
    """Limits of a task.

    Attributes:
        substep_timeout: control steps after which a substep is not waited for any more.
        planning_timeout: s of wall time that the decomposers may take together.
        silence: of the other nodes.
        recovery: what a substep that failed leads to.
        empty_width: m, fingers nearer to each other hold nothing, and the substep has failed; 0: not checked;
            None: the robot's own.
    """

    substep_timeout: int = 200
    planning_timeout: float = 120.0
    silence: SilenceLimits = field(default_factory=SilenceLimits)
    recovery: RecoveryLadder = field(default_factory=RecoveryLadder)
    empty_width: float | None = None

    def __post_init__(self) -> None:
        if self.substep_timeout < 1:
            raise ValueError(f"substep_timeout is {self.substep_timeout}, expected at least 1 control step")
        if not self.planning_timeout > 0:
            raise ValueError(f"planning_timeout is {self.planning_timeout} s, expected more than 0")
        if self.empty_width is not None and not self.empty_width >= 0:
            raise ValueError(f"empty_width is {self.empty_width} m, expected 0 or more")
