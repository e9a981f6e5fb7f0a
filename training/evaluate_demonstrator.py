"""``./substep demonstrator``: how often the scripted expert succeeds, task by task: a ``./substep eval`` of it alone.

An episode fails when a substep takes more than 300 control steps. Finished episodes are never played twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from libero_bridge.placement import Placement
from libero_bridge.tasks import SUITES
from substep_policy.configuration import parse
from training.evaluation.evaluate import evaluate
from training.evaluation.markdown import markdown_tables
from training.evaluation.settings import FOUR_SUITES, EpisodeSettings, Selection

SUBSTEP_STEPS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of what was asked for. The exit code: 1 when it cannot be played or a worker died, else 0."""
    options = _parser().parse_args(arguments)
    limits = {"substep_timeout": SUBSTEP_STEPS, "retries": 0, "replans": 0, "empty_width": 0.0}
    chosen = {
        "suites": options.suite or FOUR_SUITES,
        "tasks": options.task,
        "placements": [options.placement],
        "episodes": options.episodes,
        "first": options.first,
    }
    out = options.out or Path("runs", f"demonstrator-{options.placement}")
    command = " ".join(["./substep demonstrator", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        settings = EpisodeSettings(policy="demonstrator", assets=options.assets, **limits)
        selection = parse(Selection, chosen, "command line")
        folder = evaluate(settings, selection, out, options.workers, command)
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(f"demonstrator: {error}", file=sys.stderr)
        return 1
    table = markdown_tables(folder.selected(selection))
    print(table)
    if options.table is not None:
        options.table.write_text(table + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="substep demonstrator", description=__doc__)
    parser.add_argument("--suite", action="append", choices=SUITES, help="may be repeated (default: the four suites)")
    parser.add_argument("--task", action="append", type=int, help="only this task of each suite; may be repeated")
    parser.add_argument("--episodes", type=int, default=10, help="per task (default: 10)")
    parser.add_argument("--first", type=int, default=0, help="number of the first: its initial state and seed")
    parser.add_argument("--placement", choices=[placement.value for placement in Placement], default="benchmark")
    parser.add_argument("--assets", default="embedded", help="embedded, libero or a folder (default: embedded)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--out", type=Path, help="folder of the results (default: runs/demonstrator-PLACEMENT)")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
