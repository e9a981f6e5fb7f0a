"""Plays episodes through the ROS graph: a run of ``./substep sim`` each, and its summary.json."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from substep_bringup.child_process import die_with_parent
from substep_bringup.exit_codes import ExitCode
from substep_bringup.run_folder import RunFolder
from substep_planner.completion.registry import NO_SCORER
from substep_planner.manager.switch_rules import make_switch_rule
from training.evaluation.episodes import EpisodeKey
from training.evaluation.instructions import instruction_told
from training.evaluation.own_words import planned_words
from training.evaluation.probes import PROBES, Actor, TaskProbe
from training.evaluation.records import record_of
from training.evaluation.settings import EpisodeSettings

RUNS_FOLDER = "runs"
JUDGED = (ExitCode.SUCCESS, ExitCode.TASK_FAILED)
LAST_WORDS = 1500  # characters of a failed run's output
CHECKPOINTS_OWN = ROBOTS_OWN = -1.0  # as the nodes' parameters say it


class GraphRunFailed(RuntimeError):
    """A run that says nothing about the policy: a node died, the bring-up failed. The message ends with its output."""


class GraphPlayer:
    """Starts a graph for every episode, in a ROS domain of its own.

    Args:
        folder: of the results; each run leaves a folder below it.
        recorded: each leaves a bag in it.
    """

    def __init__(self, settings: EpisodeSettings, folder: Path, recorded: bool = False) -> None:
        self._settings, self._folder, self._recorded = settings, folder, recorded

    def play(self, key: EpisodeKey, filmed: bool) -> dict[str, Any]:
        """One episode as a record. What cannot be told from outside (effects of substeps) is left open.

        Raises:
            GraphRunFailed: the run was not carried out.
        """
        begin = time.monotonic()
        runs = self._folder / RUNS_FOLDER / key.name
        shutil.rmtree(runs, ignore_errors=True)  # of a run that was cut off
        runs.mkdir(parents=True)
        parameters = runs / "parameters.yaml"
        parameters.write_text(yaml.safe_dump(node_parameters(self._settings, key)), encoding="utf-8")
        arguments = sim_arguments(self._settings, key, runs, parameters, filmed, self._recorded)
        self._run(arguments, runs / "output.log")
        (run,) = (RunFolder(path) for path in runs.iterdir() if path.is_dir())
        summary = json.loads(run.summary.read_text(encoding="utf-8"))
        video = str(run.video.relative_to(self._folder.resolve())) if filmed else None
        record = record_from_summary(self._settings, key, summary)
        return record | {"video": video, "wall_s": round(time.monotonic() - begin, 3)}

    def close(self) -> None:
        """Nothing is kept between episodes."""

    def _run(self, arguments: Sequence[str], log: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
        with log.open("wb") as output:
            command = [sys.executable, "-m", "substep_cli", "sim", *arguments]
            ended = subprocess.run(command, stdout=output, stderr=output, env=environment, preexec_fn=die_with_parent())
        exit_code = ended.returncode
        if exit_code not in JUDGED:
            words = log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
            raise GraphRunFailed(f"{' '.join(command)} ended with exit code {exit_code}:\n{words}")


def sim_arguments(
    settings: EpisodeSettings, key: EpisodeKey, runs: Path, parameters: Path, filmed: bool, recorded: bool = False
) -> list[str]:
    """The command line of ``./substep sim`` for an episode."""
    probe = _task_probe(key)
    init_state, seed = settings.start(key.number)
    values = {
        "world": settings.world,
        "tasks-from": settings.tasks_from,
        "suite": key.suite,
        "task": key.task,
        "task-text": instruction_told(probe.told, settings.source, key.suite, key.task, key.number, settings.wordings),
        "policy": "demonstrator" if probe.actor is Actor.DEMONSTRATOR else settings.policy,
        "placement": key.placement,
        "init-state": init_state,
        "seed": seed,
        "horizon": settings.horizon,
        "assets": settings.assets,
        "params-file": parameters,
        "runs": runs,
        "dataset": settings.dataset or "",
    }
    options = [f"--{name}={value}" for name, value in values.items()]
    lists = ["--cameras", *settings.cameras] if settings.cameras else []
    lists += ["--image-size", *map(str, settings.image_size)] if settings.image_size else []
    lists += ["--decomposers", *settings.decomposers_of(probe)]
    return [*options, *lists, "--video" if filmed else "--no-video", *(["--record"] if recorded else [])]


def node_parameters(settings: EpisodeSettings, key: EpisodeKey) -> dict[str, Any]:
    """The content of a ROS parameter file with what no argument says."""
    completion, limits = settings.completion, settings.limits(_task_probe(key))
    planner = {
        "switch_rule": key.rule,
        **asdict(settings.switching),
        "substep_timeout": limits.substep_timeout,
        "retries": limits.recovery.retries,
        "replans": limits.recovery.replans,
        "empty_width": ROBOTS_OWN if limits.empty_width is None else limits.empty_width,
        "completion": completion.scorer if make_switch_rule(key.rule).uses_vision else NO_SCORER,
        "completion_model": completion.model,
        "completion_measure": completion.measure,
        "completion_threshold": CHECKPOINTS_OWN if completion.threshold is None else completion.threshold,
        "completion_frames": completion.frames,
        "completion_rate": completion.rate or 0.0,
        "completion_camera": completion.camera,
        "device": settings.device,
    }
    threshold = CHECKPOINTS_OWN if settings.eos_threshold is None else settings.eos_threshold
    policy = {"device": settings.device, "eos_threshold": threshold, **asdict(settings.stuck)}
    return {f"/**/{node}": {"ros__parameters": values} for node, values in (("planner", planner), ("policy", policy))}


def record_from_summary(settings: EpisodeSettings, key: EpisodeKey, summary: dict[str, Any]) -> dict[str, Any]:
    """A run's summary as an episode's record."""
    unknown = {"effect_after": None, "premature": None, "missed": None}
    names = ("plan_id", "index", "instruction", "attempts", "steps", "advanced", "ended", "undone", "place")
    substeps = [{name: substep[name] for name in names} | unknown for substep in summary["plan"]["substeps"]]
    reference = planned_words(settings, key)
    planned = len(reference)
    chunks = {name: count for name, count in summary["chunks"].items() if name != "rejections"}
    return record_of(
        key,
        settings.start(key.number),
        success=summary["success"],
        steps=summary["steps"],
        error=summary["error"]["name"],
        message=summary["error"]["message"],
        plan_source=summary["plan"]["source"],
        substeps=substeps,
        completed=planned if summary["success"] else sum(item["advanced"] and not item["undone"] for item in substeps),
        planned=planned,
        events=summary["events"],
        chunks=chunks,
        rejections=summary["chunks"]["rejections"],
        chunk_latency_s=summary["chunk_latency_s"],
        **({"reference": reference} if _task_probe(key).compared else {}),
    )


def _task_probe(key: EpisodeKey) -> TaskProbe:
    """Raises: TypeError: the graph cannot play it."""
    probe = PROBES[key.probe]
    if not isinstance(probe, TaskProbe):
        raise TypeError(f"probe {key.probe!r} cannot be played through the graph")
    return probe
