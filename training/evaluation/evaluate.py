"""``./substep eval``: how well a policy does, with baselines and probes beside it.

Finished episodes are kept in the --out folder and never played twice: the same command goes on where it was, and may
ask for more. What episodes depend on (policy, limits, looks, …) cannot change within a folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from substep_core.tasks import absolute_tasks_from
from training.evaluation.cluster.play import check_ray
from training.evaluation.cluster.play import play as play_on_cluster
from training.evaluation.cluster.settings import RayCluster
from training.evaluation.episodes import EpisodeKey, Job, jobs
from training.evaluation.provenance import provenance
from training.evaluation.records import ResultFolder
from training.evaluation.report import write_report
from training.evaluation.settings import EpisodeSettings, Selection, check_together
from training.evaluation.shards import SHARDS_FOLDER, Shard, merge_shards
from training.evaluation.workers import play
from training.folder_lock import alone_in

log = logging.getLogger(__name__)
WHOLE = Shard(1, 1)
CLUSTER_JOB = 8  # episodes: shorter than elsewhere, so that no simulator is left with a long one at the end


def evaluate(
    settings: EpisodeSettings,
    selection: Selection,
    out: Path,
    workers: int,
    command: str,
    shard: Shard | None = None,
    cluster: RayCluster | None = None,
) -> ResultFolder:
    """Play what is missing and write the report, also when stopped.

    Args:
        shard: that part of it alone, in a folder of its own.
        cluster: where it is played; None: by ``workers`` processes of this machine.

    Raises:
        MissingRay: it is to be played on a cluster, and Ray is not installed.
        ValueError: the folder belongs to other settings, or something that cannot be played was asked for.
        BlockingIOError: another evaluation is at work in the folder.
    """
    settings = replace(settings, tasks_from=absolute_tasks_from(settings.tasks_from))
    check_together(settings, selection)
    if cluster is not None:
        check_ray(settings)
    wanted = list((shard or WHOLE).keys(selection, settings.source))
    out = shard.folder(out) if shard else out
    with alone_in(out):
        return _evaluate(settings, selection, out, workers if cluster is None else cluster, command, wanted)


def merge(settings: EpisodeSettings, selection: Selection, out: Path, count: int, command: str) -> ResultFolder:
    """Put the parts together and write the report.

    Raises:
        ValueError: a part is missing, not finished or of other settings, or there are none.
        BlockingIOError: an evaluation is at work in the folder, or in that of a part.
    """
    settings = replace(settings, tasks_from=absolute_tasks_from(settings.tasks_from))
    if not (out / SHARDS_FOLDER).is_dir():  # else the folder would be made, and its lock
        raise ValueError(f"{out} has no parts to merge: expected those that --shard left in {out / SHARDS_FOLDER}")
    with alone_in(out):
        folder = merge_shards(settings, selection, out, count)
        write_report(folder, settings, selection, provenance(command))
    return folder


def _evaluate(
    settings: EpisodeSettings,
    selection: Selection,
    out: Path,
    where: int | RayCluster,
    command: str,
    wanted: list[EpisodeKey],
) -> ResultFolder:
    folder, made = ResultFolder(out, settings), provenance(command)
    most = {"most": CLUSTER_JOB} if isinstance(where, RayCluster) else {}
    todo = jobs(settings, selection, folder.keys(), wanted=wanted, **most)
    try:
        total = len(wanted)
        with tqdm(total=total, initial=total - sum(len(job.episodes) for job in todo), unit="episode") as bar:

            def keep(record: dict) -> None:
                folder.add(record, made)
                bar.update()

            _play(todo, out, where, keep)
    finally:
        if folder.records:
            write_report(folder, settings, selection, made, wanted)
    return folder


def _play(todo: Sequence[Job], out: Path, where: int | RayCluster, keep: Callable[[dict[str, Any]], None]) -> None:
    if not isinstance(where, RayCluster):
        play(todo, out, where, keep)
    elif replaced := play_on_cluster(todo, out, where, keep):
        log.warning("%s", replaced)
