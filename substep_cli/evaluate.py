"""``./substep eval``, with presets: options that are taken where the command line does not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict
from cyclopts.validators import Number

from substep_cli.grammar import CommandFailed
from substep_cli.options import CommandLine, Flat, Table
from substep_core.printable import show
from training.evaluation.cluster.settings import ClusterSettings, RayCluster
from training.evaluation.probes import PROBES
from training.evaluation.settings import EpisodeSettings, Selection

WORKERS = 2  # where nobody says how many
BOTH = ["benchmark", "widened"]
ALL_PROBES = [name for name, probe in PROBES.items() if not probe.needs_more]
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "quick": {
            "probes": ["policy", "oracle", "replay", "whole_task", "no_words", "other_task", "eos"],
            "placements": BOTH,
            "episodes": 2,
            "probe_episodes": 1,
        },
        "full": {"probes": ALL_PROBES, "placements": BOTH, "episodes": 20, "probe_episodes": 10},
        "demonstrator": {
            "policy": "demonstrator",
            "episodes": 10,
            "substep_timeout": 300,
            "retries": 0,
            "replans": 0,
            "empty_width": 0.0,
        },
        "paraphrases": {"policy": "demonstrator", "probes": ["reworded"], "probe_episodes": 1},
    }
)


def _take_preset(application: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what the command line leaves out."""

    def given(option: str, default: str) -> str:
        tokens = arguments.match(option)[0].tokens
        return tokens[0].value if tokens else default

    name = given("--preset", "quick")
    preset = dict(PRESETS.get(name, {}))
    if given("--through", "process") == "graph" and "probes" in preset:
        preset["probes"] = [probe for probe in preset["probes"] if PROBES[probe].through_graph]
    Dict(preset, source=f"preset {name}", use_commands_as_keys=False)(application, commands, arguments)


app = App(name="eval", config=_take_preset)


@app.default
def evaluate(
    *,
    out: Path,
    preset: Literal["quick", "full", "demonstrator", "paraphrases"] = "quick",
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=256))] = None,
    table: Table = None,
    shard: str | None = None,
    merge: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    ray: str | None = None,
    cluster: ClusterSettings | None = None,
    selection: Annotated[Selection, Flat] = Selection(),
    settings: Annotated[EpisodeSettings, Flat] = EpisodeSettings(),
    command_line: CommandLine,
) -> None:
    """Measure a policy's success, with baselines and probes beside it.

    Finished episodes are kept in the folder and never played twice: the same command goes on where it was, and may ask
    for more. What episodes depend on (policy, limits, assets, …) cannot change within a folder.

    Args:
        out: folder of the results.
        workers: processes on this machine; none: two.
        preset: what is taken of the options below where they are left out; quick: two episodes of each task with the
            main probes; full: all probes that every policy can play, long; demonstrator: the scripted expert's success,
            300 control steps a substep and no retries; paraphrases: the expert on plans made by rules of other
            wordings.
        shard: I/N: play the I-th of N parts alone, into a folder below --out.
        ray: play on a Ray cluster in place of --workers: the address of its head, or auto for the one that this machine
            is part of.
        merge: N: play nothing, and put the N parts together; refused where one is missing or not finished.
    """
    from substep_core.policy_source import fingerprint
    from training.evaluation.cluster.play import MissingRay
    from training.evaluation.evaluate import evaluate as play
    from training.evaluation.evaluate import merge as put_together
    from training.evaluation.markdown import markdown_tables
    from training.evaluation.report import PAGE_FILE
    from training.evaluation.shards import parse_shard
    from training.evaluation.through_graph import GraphRunFailed

    _check_together(shard, merge, ray, workers, cluster)
    part = parse_shard(shard) if shard else None
    settings = replace(settings, fingerprint=fingerprint(settings.policy))
    try:
        if merge:
            folder = put_together(settings, selection, out, merge, command_line)
        else:
            where = RayCluster(ray, cluster or ClusterSettings()) if ray else None
            folder = play(settings, selection, out, workers or WORKERS, command_line, part, where)
    except (GraphRunFailed, MissingRay) as error:
        raise CommandFailed(str(error)) from error
    text = markdown_tables(folder.selected(selection), folder.source)
    if table is not None:
        table.write_text(text + "\n", encoding="utf-8")
    show(text)
    print(folder.path / PAGE_FILE if folder.records else f"{folder.path} has no episodes: no task is in this part")


def _check_together(
    shard: str | None, merge: int | None, ray: str | None, workers: int | None, cluster: ClusterSettings | None
) -> None:
    """Raises: ValueError: an option was given that another one leaves without effect."""
    if shard and merge:
        raise ValueError(
            f"--shard {shard} and --merge {merge} cannot go together: parts are merged when all are played"
        )
    if ray and workers:
        raise ValueError(f"--ray {ray} and --workers {workers} cannot go together: expected --cluster.simulators")
    for option, value in (("ray", ray), ("workers", workers)):
        if value and merge:
            raise ValueError(f"--{option} {value} and --merge {merge} cannot go together: a merge plays nothing")
    if cluster is not None and not ray:
        raise ValueError(
            "--cluster.… says how a Ray cluster is used, and there is no --ray: expected --ray too, or --workers alone"
        )
