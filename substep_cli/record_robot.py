"""``./substep data record-robot``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from substep_bringup.checked_config import CheckedRealConfig
from substep_bringup.exit_codes import ExitCode
from substep_cli.grammar import UsageError
from substep_cli.options import Count, Domain, Flat, Network


def record_robot(
    *,
    out: Path,
    episodes: Count = 1,
    config: Annotated[CheckedRealConfig | None, Flat] = None,
    domain: Domain = None,
    network: Network = "local",
) -> int:
    """Keep what a policy does on a robot as demonstrations: runs of `./substep real`, each with a bag.

    A training reads them with a source of type bag and path OUT. Which runs succeeded, their summaries say.

    Args:
        out: folder of the runs; more are added to those that are there.
        episodes: how many; each begins another initial state of a cell that a program puts back.
    """
    from substep_bringup.commands import ExecutableNotFound
    from substep_bringup.sim import run

    told = config or CheckedRealConfig()
    codes = []
    for episode in range(episodes):
        one = replace(told, record=True, runs=str(out), init_state=told.init_state + episode)
        try:
            codes.append(run(one, domain, network))
        except ExecutableNotFound as error:
            raise UsageError(str(error)) from error
        if codes[-1] not in (ExitCode.SUCCESS, ExitCode.TASK_FAILED):
            return codes[-1]
    print(f"{codes.count(ExitCode.SUCCESS)} of {episodes} episodes succeeded; their bags: {out}")
    return 0 if ExitCode.SUCCESS in codes else 1
