"""``./substep view``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from substep_cli.grammar import CommandFailed, UsageError
from substep_cli.options import Network, RunningDomain
from substep_core.printable import show

Port = Annotated[int, Parameter(validator=Number(gte=1024, lte=65534))]


def view(
    what: Path | None = None,
    /,
    *,
    live: bool = False,
    out: Path | None = None,
    port: Port = 9090,
    namespace: str | None = None,
    domain: RunningDomain = None,
    network: Network = "local",
) -> int | None:
    """Look at a run in Rerun's viewer: cameras, end effector, joints, actions, EOS, similarity, substeps, rejections.

    Serves a page that a browser on this machine opens, or writes a file for Rerun's own viewer.

    Args:
        what: folder of a run, of a bag, or of an episode of an evaluation.
        live: look at the graph that is running instead.
        out: file to write, by custom with the ending .rrd; none: serve the page until Ctrl-C.
        port: of the page; the data go over the next one.
        namespace: of the graph; none: the only one in the bag, or for live that of the root.
    """
    if (what is None) != live:
        raise UsageError("name a run, a bag or an episode, or give --live, and not both")
    from training.view.command import view_bag, view_live
    from training.view.sources import find_bag
    from training.view.viewer import MissingViewer

    try:
        if what is not None:
            return view_bag(find_bag(what), namespace, out, port, _say)
        from substep_bringup.domain import isolation

        # Not a free one, where no graph is: ROS itself takes 0 where nothing is set.
        its_own = 0 if domain is None and "ROS_DOMAIN_ID" not in os.environ else domain
        with isolation(os.environ, its_own, network) as variables:
            os.environ.update(variables)
            return view_live(namespace, out, port, _say)
    except MissingViewer as error:
        raise CommandFailed(str(error)) from error


def _say(line: str) -> None:
    show(line, sys.stderr)
