"""Command line of the benchmarks."""

from __future__ import annotations

import argparse

from libero_bridge.benchmarks import graph_speed, simulation_speed
from libero_bridge.tasks import SUITES


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, module in (("simulation", simulation_speed), ("graph", graph_speed)):
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0])
        command.add_argument("--suite", default="libero_object", choices=SUITES)
        command.add_argument("--task", type=int, default=0)
        command.add_argument("--steps", type=int, default=200, help="control steps to measure")
        command.add_argument("--assets", default="", help="also measure with this asset folder, or 'libero'")
        command.set_defaults(run=module.run)
    arguments = parser.parse_args()
    arguments.run(arguments.suite, arguments.task, arguments.steps, arguments.assets)


if __name__ == "__main__":
    main()
