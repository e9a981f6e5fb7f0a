"""``./substep stack``: bridge, policy and planner, kept up by the process runner, for machines without ROS launch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from substep_bringup.commands import node_process
from substep_bringup.domain import LOCAL, isolation
from substep_bringup.graph import lifecycle_manager, lifecycle_nodes
from substep_bringup.graph_config import StackConfig
from substep_bringup.runner import Runner

MANAGER = "lifecycle_manager"


def run(config: StackConfig, domain: int | None = None, network: str = LOCAL) -> int:
    """Keep the nodes up until a signal comes, or one of them ends: then all are ended.

    Args:
        domain: ROS domain; None: the user's, else a free one.
        network: who can reach the graph: programs of this machine ("local"), or of the network ("open").

    Returns:
        128 + the number of the signal, or ``ExitCode.NODE_DIED``.

    Raises:
        ExecutableNotFound: the workspace is not built.
    """
    with (
        tempfile.TemporaryDirectory(prefix="substep_parameters_") as folder,
        isolation(os.environ, domain, network) as variables,
    ):
        environment = {"PYTHONUNBUFFERED": "1", **variables}
        print(f"ROS_DOMAIN_ID={(os.environ | environment).get('ROS_DOMAIN_ID', '0')}", flush=True)
        specs = (*lifecycle_nodes(config), lifecycle_manager(config, MANAGER))
        *nodes, manager = (node_process(spec, Path(folder), environment) for spec in specs)
        return Runner(nodes, manager).run()
