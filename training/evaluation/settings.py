"""What is evaluated, and how. ``EpisodeSettings`` make an episode what it is; ``Selection`` says which are played."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from libero_bridge.tasks import libero_task
from substep_bridge.world import WORLDS
from substep_bringup.checked_config import check_policy, check_world_names
from substep_bringup.graph_config import GraphConfig
from substep_core.configuration import configuration
from substep_core.episode import Placement
from substep_core.task_sampling import Place, sampled
from substep_core.tasks import SplitName, Task, TaskSource, base_of, task_source
from substep_planner.completion.frame_scorer import WatchSettings
from substep_planner.completion.registry import DEFAULT_SCORER, NO_SCORER, SCENE_CAMERA, check_scorer
from substep_planner.decomposers.registry import DECOMPOSERS, DEFAULT_ORDER
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import SWITCH_RULES, SwitchSettings, make_switch_rule
from substep_policy.session.policy_session import NO_HELP, StuckSettings
from training.evaluation.others_wordings import others_wording
from training.evaluation.probes import PROBES, WHOLE_TASK, Actor, TaskProbe, Told


@configuration
class CompletionChoice:
    """Who looks at frames for the rules that use vision. The defaults are the planner's.

    Attributes:
        scorer: a name of the planner's registry.
        model: hub id, folder or the scorer's own name; empty: its default.
        measure: of contrastive scorers: cosine or sigmoid.
        threshold: score that shows the effect; none: the scorer's own.
        frames: in a row that must show the effect.
        rate: frames scored per second of world time; none: every one.
        camera: that contrastive scorers look through, by name or role.
    """

    scorer: str = DEFAULT_SCORER
    model: str = ""
    measure: str = "cosine"
    threshold: float | None = None
    frames: int = WatchSettings().frames
    rate: float | None = WatchSettings().rate
    camera: str = SCENE_CAMERA


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
        substep_timeout: control steps after which a substep has failed.
        retries: of a substep that failed.
        replans: of the rest of a task.
        empty_width: m between fingers that hold nothing; none: as the robot contract has it.
        switching: what switch rules are told.
        stuck: what helps the policy where it is stuck.
        eos_threshold: probability that ends a substep; none: the checkpoint's own.
        dataset: whose statistics the checkpoint works with, by name; none: each suite's own, or those of its only one.
        cameras: that are simulated; none: all of the robot's.
        image_size: height and width in pixels; none: as the robot has them.
        assets: embedded, libero (LIBERO's own), or a folder.
        effects: shadows and reflections as LIBERO's renderer draws them; the graph draws none.
        device: auto (a GPU where there is one), cpu, cuda or cuda:N.
        demonstrations: data set that the replayed demonstration is taken from; none: one is recorded for it.
        tasks_from: whose tasks: a task source's name, NAME:FOLDER, or a folder of SUITE/NAME.bddl.
        world: what plays the episodes: libero or, through the graph, a world that an installed package adds.
        decomposers: who makes the plan, by name; the first that has one.
        wordings: folder of LIBERO-plus's SUITE/TASK_language_N.bddl, whose sentences the probe others_words tells.
    """

    policy: str = "compact"
    fingerprint: Annotated[str, Parameter(parse=False)] = ""
    split: SplitName = "evaluation"
    through: Literal["process", "graph"] = "process"
    horizon: int = Field(default=GraphConfig().horizon, ge=1)
    substep_timeout: int = Field(default=ManagerSettings().substep_timeout, ge=1)
    retries: int = Field(default=RecoveryLadder().retries, ge=0)
    replans: int = Field(default=RecoveryLadder().replans, ge=0)
    empty_width: float | None = Field(default=None, ge=0)
    switching: Annotated[SwitchSettings, Parameter(name="*")] = SwitchSettings()
    stuck: Annotated[StuckSettings, Parameter(name="*")] = StuckSettings()
    eos_threshold: float | None = None
    dataset: str | None = None
    completion: CompletionChoice = CompletionChoice()
    cameras: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    assets: str = GraphConfig().assets
    effects: bool = False
    device: str = "auto"
    demonstrations: Path | None = None
    tasks_from: str = GraphConfig().tasks_from
    world: str = GraphConfig().world
    decomposers: tuple[str, ...] = DEFAULT_ORDER
    wordings: Path | None = None

    @property
    def source(self) -> TaskSource:
        """Raises: ValueError: there is no such task source."""
        return task_source(self.tasks_from)

    def start(self, number: int) -> tuple[int, int]:
        """Initial state and seed of an episode."""
        split = self.source.splits[self.split]
        return split.init_states[number % len(split.init_states)], split.seeds[number]

    def decomposers_of(self, probe: TaskProbe) -> tuple[str, ...]:
        """Who makes the plan."""
        return probe.decomposers or self.decomposers

    def limits(self, probe: TaskProbe) -> ManagerSettings:
        """The planner's. A plan that is the whole task in one has all the time there is, and nothing to go back to."""
        if probe.decomposers == WHOLE_TASK:
            return ManagerSettings(self.horizon + 1, recovery=RecoveryLadder(0, 0))
        ladder = RecoveryLadder(self.retries, self.replans)
        return ManagerSettings(self.substep_timeout, recovery=ladder, empty_width=self.empty_width)

    def help_for(self, probe: TaskProbe) -> StuckSettings:
        """``stuck``; none for what is played open loop."""
        return NO_HELP if probe.actor is Actor.REPLAY else self.stuck


@configuration
class Selection:
    """Which episodes are played; it may grow in a later run.

    Attributes:
        suites: the task source's; none: all, of LIBERO's the first four.
        tasks: of each suite; none: all whose files are there.
        probes: names, of ``training.evaluation.probes``.
        placements: where objects start.
        switch_rules: of the probe "policy"; the others switch by the first of them that needs no vision, or by "eos".
        episodes: of each task and placement, for the policy itself.
        probe_episodes: the same for every other probe.
        first: number of the first episode, which gives its initial state and its seed.
        videos: episodes of each task, placement and rule of the probe "policy" that are filmed.
        record: leave a bag of every episode; through the graph.
        sample: how many tasks are drawn of all suites together, evenly by category, difficulty and suite; none: all.
        sample_seed: of that draw; a larger sample of one seed holds the smaller ones.
    """

    suites: tuple[str, ...] = ()
    tasks: tuple[int, ...] | None = None
    probes: Annotated[tuple[str, ...], Parameter(help=f"what is played: {', '.join(PROBES)}")] = ("policy",)
    placements: tuple[Placement, ...] = (Placement.BENCHMARK,)
    switch_rules: tuple[str, ...] = ("eos",)
    episodes: int = Field(default=2, ge=1)
    probe_episodes: int = Field(default=2, ge=1)
    first: int = Field(default=0, ge=0)
    videos: int = Field(default=0, ge=0)
    record: bool = False
    sample: int | None = Field(default=None, ge=1)
    sample_seed: int = Field(default=0, ge=0)

    def __post_init__(self) -> None:
        if self.tasks and self.sample:
            raise ValueError("tasks are named and a sample is drawn as well: expected --tasks or --sample")
        _check_different("task", self.tasks)
        _check_different("placement", self.placements)
        _check_names("probe", self.probes, tuple(PROBES))
        _check_names("switch rule", self.switch_rules, SWITCH_RULES.names)

    def tasks_of(self, source: TaskSource) -> Iterator[Task]:
        """The tasks, suite by suite, or as they were drawn.

        Raises:
            ValueError: the source has no such suite or task, or too few for the sample.
        """
        for suite, index in self.places(source):
            yield source.task(suite, index)

    def places(self, source: TaskSource) -> list[Place]:
        """Suite and index of the tasks. Raises: ValueError: as ``tasks_of``."""
        suites = self.suites or source.default_suites
        if self.sample:
            return sampled(source, suites, self.sample, self.sample_seed)
        return [(suite, index) for suite in suites for index in self.tasks or source.playable(suite)]


def check_together(settings: EpisodeSettings, selection: Selection) -> None:
    """Refuse what cannot be played.

    Raises:
        ValueError: an unknown task, decomposer, completion scorer, world, policy, camera or folder of assets, an
            episode without a start, a world that the graph plays
            alone, a rule that looks without a scorer, a probe that the graph cannot play, a task without demonstrations
            to replay.
    """
    GraphConfig(horizon=settings.horizon, cameras=settings.cameras, image_size=settings.image_size)
    check_policy(settings.policy)
    for name in settings.decomposers:
        DECOMPOSERS.check(name)
    check_scorer(settings.completion.scorer)
    WORLDS.check(settings.world)
    check_world_names(settings.world, settings.cameras, settings.assets)
    tasks = _checked_tasks(settings, selection)
    if settings.through == "process":
        if settings.world != GraphConfig().world:
            raise ValueError(f"world is {settings.world!r}, which the graph plays alone: add --through graph")
        for task in tasks:
            libero_task(settings.tasks_from, task.suite, task.index)
    for rule in selection.switch_rules:
        if make_switch_rule(rule).uses_vision and settings.completion.scorer == NO_SCORER:
            raise ValueError(f"switch rule {rule!r} needs a completion scorer: name one with --completion.scorer")
    if "replay" in selection.probes and settings.demonstrations is not None:
        for task in tasks:
            demonstration_file(settings.demonstrations, task)
    played = [PROBES[name] for name in selection.probes]
    if any(isinstance(probe, TaskProbe) and probe.told is Told.OTHERS_WORDS for probe in played):
        if settings.wordings is None:
            raise ValueError("probe others_words needs --wordings, the folder of LIBERO-plus's BDDL files")
        for task in tasks:
            others_wording(settings.wordings, task, 0)
    if settings.through == "graph":
        unfit = [name for name in selection.probes if not PROBES[name].through_graph]
        if unfit:
            fit = ", ".join(name for name, probe in PROBES.items() if probe.through_graph)
            raise ValueError(f"probes {', '.join(unfit)} cannot be played through the graph, only {fit}")
        if settings.effects:
            raise ValueError("the graph renders without effects: leave them out, or evaluate in-process")
    elif selection.record:
        raise ValueError("only what goes through the graph can be recorded: add --through graph")


def _checked_tasks(settings: EpisodeSettings, selection: Selection) -> list[Task]:
    """The selected tasks, which have starts for all episodes."""
    source, last = settings.source, selection.first + max(selection.episodes, selection.probe_episodes) - 1
    if selection.suites:
        _check_names("suite", selection.suites, source.suites)
    if not source.splits[settings.split].init_states:
        raise ValueError(f"task source {settings.tasks_from!r} has no initial states for {settings.split}")
    if last >= (most := len(source.splits[settings.split].seeds)):
        raise ValueError(f"episode {last} has no seed: the last one is {most - 1}")
    tasks = list(selection.tasks_of(source))
    if not tasks:
        suites = ", ".join(selection.suites or source.default_suites)
        raise ValueError(f"task source {settings.tasks_from!r} has the file of no task of {suites}: nothing is played")
    return tasks


def demonstration_file(demonstrations: Path, task: Task) -> Path:
    """The file of a task's demonstrations, or of its unperturbed task's. Raises: ValueError: there is none."""
    from training.collect.recording_files import task_file  # loads the simulator, which --help has no use for

    file = task_file(demonstrations, *base_of(task))
    if not file.is_file():
        raise ValueError(f"no demonstration of {task.suite} task {task.index} to replay: there is no {file}")
    return file


def _check_names(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    _check_different(what, names)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(known)}")


def _check_different(what: str, values: tuple[object, ...] | None) -> None:
    """What stands there twice would be played and counted twice. None: all there are."""
    if values is not None and (not values or len(set(values)) < len(values)):
        told = ", ".join(map(str, values)) or "(none)"
        raise ValueError(f"{what}s are {told}: expected one or more different ones")
