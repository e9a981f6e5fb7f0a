"""``./substep stack``."""

from __future__ import annotations

from typing import Annotated

from substep_bringup.checked_config import CheckedStackConfig
from substep_cli.grammar import UsageError
from substep_cli.options import Domain, Flat, Network

DEFAULTS = CheckedStackConfig()


def stack(
    *, config: Annotated[CheckedStackConfig, Flat] = DEFAULTS, domain: Domain = None, network: Network = "local"
) -> int:
    """Bring up bridge, policy and planner and keep them up; tasks come by the action execute_task.

    Ends with Ctrl-C, or when a node ends (exit code 4); `ros2 launch substep_bringup stack.launch.py` starts it again.
    """
    from substep_bringup.commands import ExecutableNotFound
    from substep_bringup.stack import run

    try:
        return run(config, domain, network)
    except ExecutableNotFound as error:
        raise UsageError(str(error)) from error
