"""Entry point of the driver's process."""

from __future__ import annotations

from substep_core.environment import enter_environment


def main() -> int:
    """Run the node until a signal ends it."""
    enter_environment()
    from substep_standin.node import main as run  # what it imports is not everywhere

    return run()
