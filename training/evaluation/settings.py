"""What is evaluated, and how. ``EpisodeSettings`` make an episode what it is; ``Selection`` says which are played."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from libero_bridge.placement import Placement
from libero_bridge.tasks import SUITES, load_task, task_names
from substep_bringup.graph import GraphConfig
from substep_planner.completion.registry import DEFAULT_SCORER, NO_SCORER
from substep_planner.completion.watcher import WatchSettings
from substep_planner.recovery import RecoveryLadder
from substep_planner.substep_manager import ManagerSettings
from substep_planner.switch_rules import SWITCH_RULES, SwitchSettings, make_switch_rule
from substep_policy.configuration import configuration
from substep_policy.policy_session import OFF, StuckSettings
from substep_policy.registry import POLICIES
from training.evaluation.probes import PROBES, WHOLE_TASK, Actor, TaskProbe
from training.recording_files import task_file
from training.splits import SPLITS

FOUR_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@configuration
class CompletionChoice:
    """Who looks at frames for the rules that use vision. The defaults are the planner's.

    Attributes:
        scorer: a name of the planner's registry.
        model: hub id, folder or the scorer's own name; empty: its default.
        threshold: None: the scorer's own.
        frames: in a row that must show the effect.
        rate: frames scored per second of world time.
        camera: that contrastive scorers look through.
    """

    scorer: str = DEFAULT_SCORER
    model: str = ""
    measure: str = "cosine"
    threshold: float | None = None
    frames: int = WatchSettings().frames
    rate: float = WatchSettings().rate
    camera: str = "agentview"


@configuration
class EpisodeSettings:
    """Everything that an episode's result depends on. A folder of results is made with one of these.

    Attributes:
        policy: a name, the folder of a checkpoint, or a hub id.
        fingerprint: of the checkpoint's files; empty for a policy without any.
        split: whose initial states and seeds: "evaluation", or "training" to choose settings on, which are not
            reported.
        through: "process" plays the nodes' cores in one process, "graph" the ROS graph.
        horizon: control steps of an episode.
        substep_timeout, retries, replans, empty_width: as the planner's parameters of these names.
        switching: what switch rules are told.
        stuck: what helps the policy where it is stuck.
        eos_threshold: None: the checkpoint's own.
        image_size: (height, width) in pixels.
        effects: shadows and reflections as LIBERO's renderer draws them; the graph draws none.
        demonstrations: data set that the replayed demonstration is taken from; None: one is recorded for it.
    """

    policy: str
    fingerprint: str = ""
    split: Literal["evaluation", "training"] = "evaluation"
    through: Literal["process", "graph"] = "process"
    horizon: int = Field(default=GraphConfig().horizon, ge=1)
    substep_timeout: int = Field(default=ManagerSettings().substep_timeout, ge=1)
    retries: int = Field(default=RecoveryLadder().retries, ge=0)
    replans: int = Field(default=RecoveryLadder().replans, ge=0)
    empty_width: float = Field(default=ManagerSettings().empty_width, ge=0)
    switching: SwitchSettings = SwitchSettings()
    stuck: StuckSettings = StuckSettings()
    eos_threshold: float | None = None
    completion: CompletionChoice = CompletionChoice()
    cameras: tuple[str, ...] = GraphConfig().cameras
    image_size: tuple[int, int] = GraphConfig().image_size
    assets: str = GraphConfig().assets
    effects: bool = False
    device: str = "auto"
    demonstrations: Path | None = None

    def start(self, number: int) -> tuple[int, int]:
        """Initial state and seed of an episode."""
        split = SPLITS[self.split]
        return split.init_states[number % len(split.init_states)], split.seeds[number]

    def limits(self, probe: TaskProbe) -> ManagerSettings:
        """The planner's. A plan that is the whole task in one has all the time there is, and nothing to go back to."""
        if probe.decomposers == WHOLE_TASK:
            return ManagerSettings(self.horizon + 1, recovery=RecoveryLadder(0, 0))
        ladder = RecoveryLadder(self.retries, self.replans)
        return ManagerSettings(self.substep_timeout, recovery=ladder, empty_width=self.empty_width)

    def help_for(self, probe: TaskProbe) -> StuckSettings:
        """``stuck``; none for what is played open loop."""
        is_open_loop = probe.actor is Actor.REPLAY
        return StuckSettings(gripper_patience=OFF, back_off_steps=0) if is_open_loop else self.stuck


@configuration
class Selection:
    """Which episodes are played; it may grow in a later run.

    Attributes:
        suites: LIBERO's.
        tasks: of each suite; None: all.
        probes: names of ``training.evaluation.probes``.
        placements: where objects start.
        switch_rules: of the probe "policy"; the others switch by the first of them that needs no vision, or by "eos".
        episodes: of each task and placement, for the policy itself.
        probe_episodes: the same for every other probe.
        first: number of the first episode, which gives its initial state and its seed.
        videos: episodes of each task, placement and rule of the probe "policy" that are filmed.
    """

    suites: tuple[str, ...] = FOUR_SUITES
    tasks: tuple[int, ...] | None = None
    probes: tuple[str, ...] = ("policy",)
    placements: tuple[Placement, ...] = (Placement.BENCHMARK,)
    switch_rules: tuple[str, ...] = ("eos",)
    episodes: int = Field(default=2, ge=1)
    probe_episodes: int = Field(default=2, ge=1)
    first: int = Field(default=0, ge=0)
    videos: int = Field(default=0, ge=0)

    def __post_init__(self) -> None:
        _check_names("suite", self.suites, SUITES)
        _check_names("probe", self.probes, tuple(PROBES))
        _check_names("switch rule", self.switch_rules, SWITCH_RULES)
        for suite in self.suites:
            for task in self.tasks or ():
                load_task(suite, task)
        last = self.first + max(self.episodes, self.probe_episodes) - 1
        if last >= (most := min(len(split.seeds) for split in SPLITS.values())):
            raise ValueError(f"episode {last} has no seed: the last one is {most - 1}")

    def tasks_of(self, suite: str) -> tuple[int, ...]:
        """Task indices of a suite."""
        return self.tasks or tuple(range(len(task_names(suite))))


def check_together(settings: EpisodeSettings, selection: Selection) -> None:
    """Refuse what cannot be played.

    Raises:
        ValueError: a rule that looks without a scorer, a probe that the graph cannot play, an unknown policy, a task
            without a demonstration to replay.
    """
    GraphConfig(
        policy=settings.policy, horizon=settings.horizon, cameras=settings.cameras, image_size=settings.image_size
    )
    for rule in selection.switch_rules:
        if make_switch_rule(rule).uses_vision and settings.completion.scorer == NO_SCORER:
            raise ValueError(f"switch rule {rule!r} needs a completion scorer: name one with --completion")
    if "replay" in selection.probes and settings.demonstrations is not None:
        for suite in selection.suites:
            for task in selection.tasks_of(suite):
                demonstration_file(settings.demonstrations, suite, task)
    if settings.through == "graph":
        unfit = [name for name in selection.probes if not PROBES[name].through_graph]
        if unfit:
            fit = ", ".join(name for name, probe in PROBES.items() if probe.through_graph)
            raise ValueError(f"probes {', '.join(unfit)} cannot be played through the graph, only {fit}")
        if settings.effects:
            raise ValueError("the graph renders without effects: leave them out, or evaluate in-process")


def demonstration_file(demonstrations: Path, suite: str, task: int) -> Path:
    """The file of a task's demonstrations. Raises: ValueError: there is none."""
    file = task_file(demonstrations, suite, load_task(suite, task).name)
    if not file.is_file():
        raise ValueError(f"no demonstration of {suite} task {task} to replay: there is no {file}")
    return file


def fingerprint(policy: str) -> str:
    """SHA-256, first 16 digits, over the files of a policy's checkpoint but its card; empty for none, or a program.

    Raises:
        PolicyError: there is no such policy.
    """
    if not policy or isinstance(POLICIES.named.get(policy), str):
        return ""
    folder, digest = POLICIES.folder(policy), hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _check_names(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{what}s are {', '.join(names) or '(none)'}: expected one or more different ones")
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(known)}")
