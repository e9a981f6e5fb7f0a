"""``./substep bench robot``: plays what is missing, keeps every episode, and prints success by rule and latency."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from libero_bridge.placement import NoRoomError
from libero_bridge.simulation import Simulation, SimulationConfig
from substep_bridge.joining import JoiningSettings, load_joining
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from training.bench.robot.settings import (
    SIMULATION,
    EpisodeName,
    RobotBenchSettings,
    RobotSelection,
    check_rules,
    planned,
)
from training.bench.robot.task import LateTask
from training.bench.robot.world import StandInWorld
from training.evaluation.probes import PROBES
from training.evaluation.provenance import provenance
from training.evaluation.settings import EpisodeSettings
from training.folder_lock import alone_in
from training.intervals import wilson
from training.lockstep import LockstepTask, TaskSettings
from training.record_lines import RecordLines, claim

EPISODES, SETTINGS, COMMANDS = "episodes.jsonl", "settings.json", "commands.jsonl"
SWITCH_RULE = "eos"
SENSING = 0.06  # s, about what an observation is old when it is there


class EpisodePlayer(Protocol):
    """Plays episodes, and may keep what the next one needs too."""

    def play(self, name: EpisodeName) -> dict[str, Any]:
        """One episode as a record."""

    def close(self) -> None: ...


def bench(settings: RobotBenchSettings, selection: RobotSelection, out: Path, command: str) -> list[dict[str, Any]]:
    """Records of all selected episodes, in a time of their own; those that the folder has are not played again.

    Raises:
        ValueError: an unknown task or rule, or one that the policy cannot do, or a folder of other settings.
        BlockingIOError: another one is at work in the folder.
    """
    names = list(planned(settings, selection))

    def player() -> EpisodePlayer:
        policy = POLICIES.load(settings.policy, PolicySettings(device=settings.device))
        check_rules(selection, policy)
        return Player(settings, policy)

    return play_missing(settings, names, out, command, player)


def play_missing(
    settings: RobotBenchSettings,
    names: Sequence[EpisodeName],
    out: Path,
    command: str,
    player: Callable[[], EpisodePlayer],
) -> list[dict[str, Any]]:
    """Records of these episodes. Args: player: made only if one is missing.

    Raises:
        ValueError: the folder is of other settings.
        BlockingIOError: another one is at work in the folder.
    """
    with alone_in(out):
        claim(out / SETTINGS, settings)
        lines = RecordLines(out / EPISODES)
        records = {name_of(record): record for record in lines.records}
        missing = [name for name in names if name not in records]
        if missing:
            with closing(player()) as playing, tqdm(missing, unit="episode") as bar:
                RecordLines(out / COMMANDS).append(provenance(command))
                for name in bar:
                    records[name] = playing.play(name)
                    lines.append(records[name])
    return [records[name] for name in names]


class Player:
    """Plays episodes; a world is kept while the next one is of the same task."""

    def __init__(self, settings: RobotBenchSettings, policy: Policy) -> None:
        self._settings, self._policy = settings, policy
        self._world: Simulation | StandInWorld | None = None
        self._kind: tuple[str, int, bool] | None = None

    def play(self, name: EpisodeName) -> dict[str, Any]:
        """One episode as a record."""
        torch.manual_seed(name.number)  # some policies draw
        begin = time.monotonic()
        try:
            outcome = _carry_out(self._settings, name, self._policy, self._world_of(name))
        except NoRoomError as error:
            outcome = {"success": False, "steps": 0, "why": str(error)}
        return asdict(name) | outcome | {"wall_s": round(time.monotonic() - begin, 2)}

    def _world_of(self, name: EpisodeName) -> Simulation | StandInWorld:
        settings, waits = self._settings, name.rule == SIMULATION
        kind = name.suite, name.task, waits
        if kind != self._kind:
            self.close()
            config = SimulationConfig(*kind[:2], horizon=settings.horizon, render=False, tasks_from=settings.tasks_from)
            self._world, self._kind = (Simulation if waits else StandInWorld)(config), kind
        return self._world

    def close(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = self._kind = None


def _carry_out(
    settings: RobotBenchSettings, name: EpisodeName, policy: Policy, world: Simulation | StandInWorld
) -> dict[str, Any]:
    starts = EpisodeSettings(policy=settings.policy, tasks_from=settings.tasks_from, horizon=settings.horizon)
    probe = PROBES["policy"]
    told = TaskSettings(
        decomposers=load_decomposers(starts.decomposers_of(probe), DecomposerSettings()),
        manager=starts.limits(probe),
        stuck=starts.help_for(probe),
    )
    rule = make_switch_rule(SWITCH_RULE, starts.switching)
    observation = world.reset(*starts.start(name.number))
    if isinstance(world, Simulation):
        result = LockstepTask(world, observation, policy, rule, told).run()
        return {"success": result.success, "steps": result.steps, "why": result.finish.code.name}
    latency = settings.inference_time + name.latency
    told = replace(told, joining=load_joining(name.rule, JoiningSettings(inference_time=latency + SENSING)))
    task = LateTask(world, observation, policy, rule, told, latency=latency)
    result, motion = task.run(), task.motion
    waited = motion.waited(within=True) + motion.waited(within=False)
    return {
        "success": result.success,
        "steps": result.steps,
        "why": world.stopped or result.finish.code.name,
        "idle": round(waited / max(1, motion.asked), 4),
        "jerk": round(float(np.sqrt(np.mean(motion.jerk(world.contract.rate) or [0.0]))), 2),
    }


@dataclass(frozen=True)
class RobotRow:
    """Episodes of one rule and latency. idle, jerk: means; None: in simulation. failures: why -> episodes."""

    rule: str
    latency: float
    suites: dict[str, tuple[int, int]]
    steps: float
    idle: float | None
    jerk: float | None
    failures: dict[str, int]


def rows(records: Iterable[dict[str, Any]]) -> list[RobotRow]:
    """By rule and latency, in the order in which they were asked for."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["rule"], record["latency"]), []).append(record)
    return [_row(rule, latency, group) for (rule, latency), group in groups.items()]


def _row(rule: str, latency: int, records: Sequence[dict[str, Any]]) -> RobotRow:
    suites: dict[str, list[bool]] = {}
    for record in records:
        suites.setdefault(record["suite"], []).append(record["success"])
    waits = [record["idle"] for record in records if "idle" in record]
    jerks = [record["jerk"] for record in records if "jerk" in record]
    return RobotRow(
        rule,
        latency,
        {suite: (sum(won), len(won)) for suite, won in suites.items()},
        float(np.median([record["steps"] for record in records])),
        float(np.mean(waits)) if waits else None,
        float(np.mean(jerks)) if jerks else None,
        dict(Counter(_why_not(record) for record in records if not record["success"])),
    )


def _why_not(record: dict[str, Any]) -> str:
    """Why an episode is no success; the planner's word may be that all is done."""
    return "the goal does not hold" if record["why"] == "NONE" else record["why"]


def table(records: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    found = rows(records)
    suites = list(dict.fromkeys(suite for row in found for suite in row.suites))
    lines = [
        f"| chunks | added latency | {' | '.join(suites)} | all, 95 % | steps, median | standing still | jerk, m/s³ "
        "| no success |",
        "|---|---|" + "---|" * (len(suites) + 5),
    ]
    for row in found:
        won, played = (sum(column) for column in zip(*row.suites.values(), strict=True))
        low, high = wilson(won, played)
        cells = [row.rule, "" if row.rule == SIMULATION else f"{1000 * row.latency:.0f} ms"]
        cells += [f"{row.suites[suite][0]}/{row.suites[suite][1]}" if suite in row.suites else "" for suite in suites]
        cells += [f"{won}/{played}, {low:.0%} to {high:.0%}", f"{row.steps:.0f}"]
        cells += ["" if row.idle is None else f"{row.idle:.0%}", "" if row.jerk is None else f"{row.jerk:.1f}"]
        cells.append(", ".join(f"{why} {count}" for why, count in row.failures.items()))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def name_of(record: dict[str, Any]) -> EpisodeName:
    return EpisodeName(*(record[field] for field in EpisodeName.__dataclass_fields__))
