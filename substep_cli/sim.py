"""``./substep sim``."""

from __future__ import annotations

from typing import Annotated

from substep_bringup.checked_config import CheckedGraphConfig
from substep_cli.grammar import UsageError
from substep_cli.options import Domain, Flat, Network
from substep_cli.question import answer_at_terminal


def sim(
    *,
    config: Annotated[CheckedGraphConfig, Flat] = CheckedGraphConfig(),
    domain: Domain = None,
    network: Network = "local",
) -> int:
    """Carry out a LIBERO task in simulation, substep by substep, and leave a video and a summary.

    Where it is not clear what the task means, a terminal is asked, and the task begins again with the answer.

    Exit code 0: the world says that the task is done; 1: it is not; 3: a node did not come up; 4: a node died.
    """
    from substep_bringup.commands import ExecutableNotFound
    from substep_bringup.sim import run

    try:
        return run(config, domain, network, answer_at_terminal)
    except ExecutableNotFound as error:
        raise UsageError(str(error)) from error
