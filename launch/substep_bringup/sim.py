"""``./substep sim``: runs one task through the graph with the process runner."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from libero_bridge.tasks import load_task
from substep_bringup.arguments import Argument, ArgumentError, arguments_of, config_from_texts
from substep_bringup.child_process import ProcessSpec
from substep_bringup.commands import ExecutableNotFound, find_executable, node_command
from substep_bringup.domain import isolation
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import Graph, GraphConfig, NodeSpec, simulation_graph
from substep_bringup.run_folder import RunFolder
from substep_bringup.runner import Runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one task.

    Returns:
        see ``ExitCode``; 0 only if the world says that the task is done.
    """
    texts = vars(_parser().parse_args(arguments))
    domain = texts.pop("domain", None)
    try:
        config = config_from_texts(GraphConfig, texts)
        return run(config, domain)
    except (ArgumentError, ExecutableNotFound) as error:
        print(f"substep sim: {error}", file=sys.stderr)
        return ExitCode.BAD_ARGUMENTS


def run(config: GraphConfig, domain: int | None = None) -> int:
    """Run one task in a graph of its own.

    Args:
        domain: ROS domain; None: the user's, else a free one.

    Raises:
        ExecutableNotFound: the workspace is not built.
    """
    folder = RunFolder.create(Path(config.runs), asdict(config))
    graph = simulation_graph(config, folder.path)
    with isolation(os.environ, domain) as variables:
        environment = {"RCUTILS_COLORIZED_OUTPUT": "0", **graph.environment, **variables}
        _announce(config, folder, environment)
        return _runner(graph, folder, environment).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="substep sim",
        description="Carries out a LIBERO task in simulation, substep by substep, and leaves a video and a summary.",
        argument_default=argparse.SUPPRESS,
    )
    for argument in arguments_of(GraphConfig):
        _add(parser, argument)
    domain_help = "ROS domain, 0 to 232 (default: ROS_DOMAIN_ID, or a free one)"
    parser.add_argument("--domain", type=int, choices=range(233), metavar="ID", help=domain_help)
    return parser


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    form = {"choices": argument.choices} if argument.choices else {"metavar": argument.name.upper()}
    default = argument.default or "none"
    parser.add_argument(f"--{argument.name.replace('_', '-')}", help=f"{argument.help} (default: {default})", **form)


def _runner(graph: Graph, folder: RunFolder, environment: Mapping[str, str]) -> Runner:
    folder.parameters.mkdir()

    def process(node: NodeSpec, log: Path | None) -> ProcessSpec:
        executable = find_executable(node.package, node.executable)
        return ProcessSpec(node.name, node_command(node, executable, folder.parameters), log, environment)

    nodes = [process(node, folder.logs / f"{node.name}.log") for node in graph.nodes]
    return Runner(nodes, process(graph.session, None), on_failure=folder.note_failure)


def _announce(config: GraphConfig, folder: RunFolder, environment: Mapping[str, str]) -> None:
    task = load_task(config.suite, config.task)
    domain = environment.get("ROS_DOMAIN_ID", os.environ.get("ROS_DOMAIN_ID", "0"))
    print(f"{config.suite} {config.task}: {config.task_text or task.instruction}  [policy {config.policy}]")
    print(f"{folder.path}  ROS_DOMAIN_ID={domain}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the runner took over
        sys.exit(ExitCode.INTERRUPTED)
