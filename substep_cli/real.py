"""``./substep real``."""

from __future__ import annotations

from typing import Annotated

from substep_bringup.checked_config import CheckedRealConfig
from substep_cli.grammar import UsageError
from substep_cli.options import Domain, Flat, Network
from substep_cli.question import answer_at_terminal


def real(
    *, config: Annotated[CheckedRealConfig | None, Flat] = None, domain: Domain = None, network: Network = "local"
) -> int:
    """Carry out a task on a robot with ROS drivers, by the planner and policy of any run.

    Where it is not clear what the task means, a terminal is asked, and the run begins again with the answer.
    Nothing is sent to the robot before it is armed: by the services robot/shadow and robot/arm, or here by --arm.
    Exit code 0: somebody who judges says that the task is done; 1: it is not, or nobody judges; 3: a node did not come
    up, or nobody has armed the robot; 4: a node died.
    """
    from substep_bringup.commands import ExecutableNotFound
    from substep_bringup.sim import run

    try:
        return run(config or CheckedRealConfig(), domain, network, answer_at_terminal)
    except ExecutableNotFound as error:
        raise UsageError(str(error)) from error
