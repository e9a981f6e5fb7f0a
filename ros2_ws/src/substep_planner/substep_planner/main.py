"""Entry point of the planner's process."""

from __future__ import annotations

from substep_core.environment import enter_environment


def main() -> int:
    """Run the node until a signal ends it."""
    enter_environment()
    from substep_planner.node import main as run  # what it imports is not everywhere

    return run()
