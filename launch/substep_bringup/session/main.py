"""Entry point of the session's process."""

from __future__ import annotations

from substep_bringup.session.interruption import Interruption
from substep_core.environment import enter_environment


def main() -> int:
    """Run one session; see ``ExitCode``."""
    enter_environment()
    with Interruption().listening() as interruption:
        # imported here because it takes a second or more, in which a signal must not be lost
        from substep_bringup.session.process import run_process

        return run_process(interruption)
