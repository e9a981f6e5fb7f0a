"""``./substep policy COMMAND``: what can be done with a policy outside the graph."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "inspect": ("substep_policy.inspection", "what a checkpoint holds, whether it fits, and what is missing"),
    "latency": ("substep_policy.benchmarks.policy_latency", "time a chunk, and what it takes of memory"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand the rest of the arguments to a command's own ``main``."""
    listing = "\n".join(f"  {name:<10}{about}" for name, (_, about) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="substep policy",
        description=f"commands:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="each command has --help")
    options = parser.parse_args(arguments)
    return importlib.import_module(COMMANDS[options.command][0]).main(options.rest)


if __name__ == "__main__":
    sys.exit(main())
