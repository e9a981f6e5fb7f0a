"""The summary of a run whose session could not write one: it was killed, or gave no sign of life."""

from __future__ import annotations

import sys
from datetime import datetime

from substep_bringup.run_folder import RunFolder
from substep_bringup.session.summary import SessionOutcome, summarise, write_summary
from substep_bringup.session.tracker import RunTracker
from substep_core.printable import show


def leave_summary(folder: RunFolder, exit_code: int, started: datetime) -> None:
    """Write what the runner knows, unless the session has left its own.

    Args:
        exit_code: of the run.
        started: when it began.
    """
    if folder.summary.is_file():
        return
    failure = folder.failure()
    verdict = "node died" if failure else "interrupted"
    outcome = SessionOutcome(exit_code, verdict, message=failure or "the session left no summary")
    duration = (datetime.now() - started).total_seconds()
    config = folder.config()
    told = config.get("task_text", "")
    try:
        write_summary(folder.summary, summarise(outcome, RunTracker().history(), None, config, told, started, duration))
    except OSError as error:
        show(f"the run's summary could not be written: {error}", sys.stderr)
