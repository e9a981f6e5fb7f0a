"""``./substep revise``."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from substep_cli.grammar import CommandFailed, UsageError
from substep_cli.options import Network, RunningDomain
from substep_core.printable import show

Seconds = Annotated[float, Parameter(validator=Number(gt=0, lte=3600))]


def revise(
    words: str,
    /,
    *,
    namespace: str = "",
    domain: RunningDomain = None,
    network: Network = "local",
    wait: Seconds = 10.0,
) -> None:
    """Change the running task in words, and print what is left to do now; what is done is kept.

    "stop", "and then close it", "no, the other mug", "instead put it in the drawer". Words that are not understood, or
    no running task: exit code 1 with the reason, and the task goes on as it was.

    Args:
        namespace: of the graph; none: that of the root.
        wait: s for a planner to be there.
    """
    from substep_bringup.domain import isolation
    from substep_planner.revise_client import NoPlanner, revise_task

    if not words.strip():
        raise UsageError(f"WORDS is {words!r}, expected what is to change")
    # Not a free one, where no graph is: ROS itself takes 0 where nothing is set.
    its_own = 0 if domain is None and "ROS_DOMAIN_ID" not in os.environ else domain
    with isolation(os.environ, its_own, network) as variables:
        os.environ.update(variables)
        try:
            answer = revise_task(words, namespace, wait)
        except NoPlanner as error:
            raise CommandFailed(str(error)) from error
    if not answer.success:
        question = f"; {answer.clarification}" if answer.clarification else ""
        raise CommandFailed(f"{answer.message}{question}")
    show(answer.message)
    for number, step in enumerate(answer.substeps, start=1):
        show(f"{number}. {step.instruction}")
