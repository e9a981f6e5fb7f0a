"""``./substep eval POLICY``: how well a policy does, with baselines and probes beside it.

Finished episodes are kept in the --out folder and never played twice: the same command goes on where it was, and may
ask for more. What episodes depend on (policy, limits, looks, …) cannot change within a folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from libero_bridge.placement import Placement
from libero_bridge.tasks import SUITES
from substep_planner.completion.registry import SCORERS
from substep_planner.switch_rules import SWITCH_RULES, SwitchSettings
from substep_policy.configuration import options_of, parse
from substep_policy.policy_session import StuckSettings
from training.evaluation.episodes import jobs, planned
from training.evaluation.probes import PROBES
from training.evaluation.provenance import provenance
from training.evaluation.records import ResultFolder
from training.evaluation.report import write_report
from training.evaluation.settings import (
    FOUR_SUITES,
    CompletionChoice,
    EpisodeSettings,
    Selection,
    check_together,
    fingerprint,
)
from training.evaluation.through_graph import GraphRunFailed
from training.evaluation.workers import play
from training.folder_lock import alone_in
from training.splits import SPLITS

PLACEMENTS = tuple(placement.value for placement in Placement)
PRESETS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "quick": {
            "probes": ("policy", "oracle", "replay", "whole_task", "no_words", "other_task", "eos"),
            "placements": PLACEMENTS,
            "episodes": 2,
            "probe_episodes": 1,
        },
        "full": {"probes": tuple(PROBES), "placements": PLACEMENTS, "episodes": 20, "probe_episodes": 10},
    }
)
SELECTION_OPTIONS = (
    "suites", "tasks", "probes", "placements", "switch_rules", "episodes", "probe_episodes", "first", "videos"
)  # fmt: skip
SETTINGS_OPTIONS = (
    "split", "through", "horizon", "substep_timeout", "retries", "replans", "empty_width", "eos_threshold",
    "image_size", "assets", "effects", "device", "demonstrations",
)  # fmt: skip


def evaluate(settings: EpisodeSettings, selection: Selection, out: Path, workers: int, command: str) -> ResultFolder:
    """Play what is missing and write the report, also when stopped.

    Raises:
        ValueError: the folder belongs to other settings or to another evaluation that is at work, or something that
            cannot be played was asked for.
    """
    check_together(settings, selection)
    with alone_in(out):
        return _evaluate(settings, selection, out, workers, command)


def _evaluate(settings: EpisodeSettings, selection: Selection, out: Path, workers: int, command: str) -> ResultFolder:
    folder, made = ResultFolder(out, settings), provenance(command)
    todo = jobs(settings, selection, folder.keys())
    try:
        with _progress_bar() as bar:
            total = len(list(planned(selection)))
            shown = bar.add_task("episodes", total=total, completed=total - sum(len(job.episodes) for job in todo))

            def keep(record: dict) -> None:
                folder.add(record, made)
                bar.advance(shown)

            play(todo, out, workers, keep)
    finally:
        if folder.records:
            write_report(folder, settings, selection, made)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every episode was played, whatever it came to."""
    options = _parser().parse_args(arguments)
    try:
        selection, settings = _selection(options), _settings(options)  # the second may read a large checkpoint
        command = " ".join(["./substep eval", *(sys.argv[1:] if arguments is None else arguments)])
        folder = evaluate(settings, selection, options.out, options.workers, command)
    except (ValueError, OSError, BrokenProcessPool, GraphRunFailed) as error:
        print(f"eval: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("eval: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{folder.path / 'index.html'}")
    return 0


def _settings(options: argparse.Namespace) -> EpisodeSettings:
    values = {name: getattr(options, name) for name in SETTINGS_OPTIONS if getattr(options, name) is not None}
    values |= {"policy": options.policy, "fingerprint": fingerprint(options.policy)}
    values |= {group: _given(options, f"{group}_") for group in ("switching", "stuck", "completion")}
    return parse(EpisodeSettings, values, "command line")


def _given(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    """What was said of the options with that prefix."""
    found = vars(options).items()
    return {name.removeprefix(prefix): value for name, value in found if name.startswith(prefix) and value is not None}


def _selection(options: argparse.Namespace) -> Selection:
    chosen = {name: getattr(options, name) for name in SELECTION_OPTIONS if getattr(options, name) is not None}
    preset = dict(PRESETS[options.preset])
    if options.through == "graph":
        preset["probes"] = tuple(name for name in preset["probes"] if PROBES[name].through_graph)
    return parse(Selection, preset | chosen, "command line")


def _progress_bar() -> Progress:
    times = TimeElapsedColumn(), TimeRemainingColumn()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times
    return Progress(*columns, console=Console(stderr=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="substep eval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policy", help="a policy's name, the folder of a checkpoint, or a hub id")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--workers", type=int, default=2, choices=range(1, 257), metavar="N", help="processes (2)")
    parser.add_argument("--preset", choices=PRESETS, default="quick", help="defaults of the options below (quick)")
    _add_selection(parser.add_argument_group("what is played (may grow from run to run)"))
    _add_settings(parser.add_argument_group("how it is played (fixed for a folder)"))
    _add_options(parser.add_argument_group("what the switch rules are told"), "switching", SwitchSettings)
    _add_options(parser.add_argument_group("what helps a policy that is stuck"), "stuck", StuckSettings)
    _add_completion(parser.add_argument_group("who looks, for the rules that use vision"))
    return parser


def _add_selection(group) -> None:
    group.add_argument("--suites", nargs="+", choices=SUITES, metavar="SUITE", help=f"({' '.join(FOUR_SUITES)})")
    group.add_argument("--tasks", nargs="+", type=int, metavar="INDEX", help="of each suite (all)")
    group.add_argument("--probes", nargs="+", metavar="PROBE", help=", ".join(PROBES))
    group.add_argument("--placements", nargs="+", metavar="PLACEMENT", help=" ".join(PLACEMENTS))
    group.add_argument("--switch-rules", nargs="+", metavar="RULE", help=f"{' '.join(SWITCH_RULES)} (eos)")
    group.add_argument("--episodes", type=int, help="of the policy for each task, placement and rule")
    group.add_argument("--probe-episodes", type=int, help="of every other probe for each task and placement")
    group.add_argument("--first", type=int, help="number of the first episode (0)")
    group.add_argument("--videos", type=int, help="episodes to film for each task, placement and rule (0)")


def _add_settings(group) -> None:
    default = EpisodeSettings(policy="")
    group.add_argument("--split", choices=tuple(SPLITS), help="whose starts; tune on training's (evaluation)")
    group.add_argument("--through", choices=("process", "graph"), help="one process, or the ROS graph (process)")
    group.add_argument("--horizon", type=int, help=f"control steps of an episode ({default.horizon})")
    group.add_argument("--substep-timeout", type=int, help=f"control steps ({default.substep_timeout})")
    group.add_argument("--retries", type=int, help=f"of a substep that failed ({default.retries})")
    group.add_argument("--replans", type=int, help=f"of the rest of a task ({default.replans})")
    group.add_argument("--empty-width", type=float, help=f"m between fingers that hold nothing ({default.empty_width})")
    group.add_argument("--eos-threshold", type=float, help="probability that ends a substep (the checkpoint's own)")
    group.add_argument("--image-size", nargs=2, type=int, metavar=("H", "W"), help="pixels (128 128)")
    group.add_argument("--assets", help="embedded, libero, or a folder (embedded)")
    group.add_argument("--effects", action="store_true", default=None, help="render shadows and reflections")
    group.add_argument("--device", help="auto, cpu, cuda or cuda:N (auto)")
    group.add_argument("--demonstrations", help="data set to replay from; without it one demonstration is recorded")


def _add_options(group, owner: str, kind: type) -> None:
    for option in options_of(kind):
        number, text = type(option.default), f"{option.description} ({option.default})"
        flag = "--" + option.name.replace("_", "-")
        group.add_argument(flag, dest=f"{owner}_{option.name}", type=number, metavar=number.__name__.upper(), help=text)


def _add_completion(group) -> None:
    default = CompletionChoice()
    names = " ".join(SCORERS)
    group.add_argument("--completion", dest="completion_scorer", metavar="SCORER", help=f"{names} ({default.scorer})")
    group.add_argument("--completion-model", help="hub id, folder, or the scorer's own name (its default)")
    group.add_argument("--completion-measure", help="of contrastive scorers: cosine or sigmoid (cosine)")
    group.add_argument("--completion-threshold", type=float, help="score that shows the effect (the scorer's own)")
    group.add_argument("--completion-frames", type=int, help=f"in a row that must show it ({default.frames})")
    group.add_argument("--completion-rate", type=float, help=f"frames per s of world time ({default.rate})")
    group.add_argument("--completion-camera", help=f"({default.camera})")


if __name__ == "__main__":
    sys.exit(main())
