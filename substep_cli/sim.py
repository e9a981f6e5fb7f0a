"""``./substep sim``."""

from __future__ import annotations

from typing import Annotated

from substep_bringup.checked_config import CheckedGraphConfig
from substep_cli.grammar import UsageError
from substep_cli.options import Domain, Flat, Network


def sim(
    *,
    config: Annotated[CheckedGraphConfig, Flat] = CheckedGraphConfig(),
    domain: Domain = None,
    network: Network = "local",
) -> int:
    """Carry out a LIBERO task in simulation, substep by substep, and leave a video and a summary.

    Exit code 0: the world says that the task is done; 1: it is not; 3: a node did not come up; 4: a node died.
    """
    from substep_bringup.commands import ExecutableNotFound
    from substep_bringup.sim import run

    try:
        return run(config, domain, network)
    except ExecutableNotFound as error:
        raise UsageError(str(error)) from error
