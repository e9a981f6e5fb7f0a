"""Entry points of the processes of recorder and player."""

from __future__ import annotations

from substep_core.environment import enter_environment


def recorder() -> int:
    """Run the recorder until a signal ends it."""
    enter_environment()
    from substep_bags.recorder_node import main as run  # what it imports is not everywhere

    return run()


def player() -> int:
    """Play a bag to its end, or until a signal ends it."""
    enter_environment()
    from substep_bags.player_node import main as run

    return run()
