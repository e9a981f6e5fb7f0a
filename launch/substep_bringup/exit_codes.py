"""Exit codes of a run."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the session and of everything that runs one."""

    SUCCESS = 0  # the world says that the task is done
    TASK_FAILED = 1
    BAD_ARGUMENTS = 2
    BRINGUP_FAILED = 3  # a node refused to configure or to activate, or never answered
    NODE_DIED = 4
    INTERRUPTED = 130  # SIGINT, as shells count it
    TERMINATED = 143  # SIGTERM
