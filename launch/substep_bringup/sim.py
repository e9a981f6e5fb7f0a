"""``./substep sim`` and ``./substep real``: run one task through the graph with the process runner."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from substep_bringup.closed_output import heedless_of_closed_output
from substep_bringup.commands import node_process
from substep_bringup.domain import LOCAL, isolation
from substep_bringup.graph import Graph, simulation_graph
from substep_bringup.graph_config import GraphConfig
from substep_bringup.last_summary import leave_summary
from substep_bringup.question import YES, Answer, nobody, suggests
from substep_bringup.run_folder import RunFolder
from substep_bringup.runner import Runner
from substep_core.printable import show
from substep_core.tasks import task_source


def run(config: GraphConfig, domain: int | None = None, network: str = LOCAL, answer: Answer = nobody) -> int:
    """Run one task in a graph of its own; again, in another folder, where a question about it is answered.

    Args:
        domain: ROS domain; None: the user's, else a free one.
        network: who can reach the graph: programs of this machine ("local"), or of the network ("open").
        answer: to what the planner asks back.

    Returns:
        see ``ExitCode``; 0 only if the world says that the task is done.

    Raises:
        ExecutableNotFound: the workspace is not built.
    """
    at_once = config.yes
    while True:
        exit_code, why, question = _run_once(config, domain, network)
        said = answer(why, question) if question else ""
        if not said or (said == YES and (config.yes or not suggests(question))):
            return exit_code
        # A yes is to this question: what is suggested for other words is asked about again.
        config = replace(config, yes=True) if said == YES else replace(config, task_text=said, yes=at_once)


def _run_once(config: GraphConfig, domain: int | None, network: str) -> tuple[int, str, str]:
    """Exit code, and of a task that nothing was done of yet: why not, and what the planner asks back, if it does."""
    started = datetime.now()
    folder = RunFolder.create(Path(config.runs), asdict(config))
    graph = simulation_graph(config, folder.path)
    with isolation(os.environ, domain, network) as variables:
        environment = {"RCUTILS_COLORIZED_OUTPUT": "0", **graph.environment, **variables}
        _announce(config, folder, environment)
        exit_code = _runner(graph, folder, environment).run()
    leave_summary(folder, exit_code, started)
    return exit_code, *_asked_back(folder)


def _asked_back(folder: RunFolder) -> tuple[str, str]:
    """Why there is no plan, and the planner's question; both empty where there is a plan, or no question."""
    if not folder.summary.is_file():  # the disk is full
        return "", ""
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    if summary["plan"]["substeps"]:
        return "", ""
    return summary["error"]["message"], summary["error"]["clarification"]


def _runner(graph: Graph, folder: RunFolder, environment: Mapping[str, str]) -> Runner:
    nodes = [
        node_process(node, folder.parameters, environment, folder.logs / f"{node.name}.log")
        for node in (*graph.drivers, *graph.nodes)
    ]
    session = node_process(graph.session, folder.parameters, environment)
    return Runner(nodes, session, on_failure=folder.note_failure)


def _what_is_done(config: GraphConfig) -> str:
    if not config.suite:
        return config.task_text
    task = task_source(config.tasks_from).task(config.suite, config.task)
    return f"{config.suite} {config.task}: {config.task_text or task.instruction}"


def _announce(config: GraphConfig, folder: RunFolder, environment: Mapping[str, str]) -> None:
    domain = environment.get("ROS_DOMAIN_ID", os.environ.get("ROS_DOMAIN_ID", "0"))
    with heedless_of_closed_output():
        show(f"{_what_is_done(config)}  [policy {config.policy}]")
        print(f"{folder.path}  ROS_DOMAIN_ID={domain}", flush=True)
