"""``./substep scenes …``: the embedded scene pack."""

from __future__ import annotations

from pathlib import Path

from libero_bridge.tasks import LIBERO
from substep_cli.options import Assets, Count, Json, Suites, Tasks, TasksFrom, Workers


def check(
    *,
    tasks_from: TasksFrom = LIBERO,
    suites: Suites = (),
    tasks: Tasks = None,
    states: Count | None = None,
    assets: Assets = "embedded",
    workers: Workers = 2,
    json: Json = None,
) -> int:
    """Load and check every task, in parallel, as a table.

    Exit code 1: a task does not pass.

    Args:
        states: initial states per task; none: all, or 50 drawn ones.
    """
    from libero_bridge.libero_setup import check_assets
    from libero_bridge.scenes.check.command import check_all

    check_assets(assets)
    return 0 if check_all(tasks_from, suites, tasks, states, assets, workers, json) else 1


def export(*, out: Path) -> None:
    """Write the scene pack into a folder.

    Args:
        out: the folder.
    """
    from libero_bridge.scenes.pack import write_pack

    write_pack(out)
    print(f"wrote {sum(1 for file in out.rglob('*') if file.is_file())} files to {out}")
