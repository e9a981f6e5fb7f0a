"""Plays episodes in this process: one world and one set of actors for all episodes of a task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from libero_bridge.placement import NoRoomError
from libero_bridge.simulation import Simulation, SimulationConfig
from substep_bringup.session.summary import latency
from substep_core.protocol import SubstepEnd
from substep_planner.completion.frame_scorer import FrameScorer, WatchSettings
from substep_planner.completion.own_words import OwnWordsScorer
from substep_planner.completion.registry import CompletionSettings, load_scorer
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from substep_planner.manager.switch_rules import SwitchRule, make_switch_rule
from substep_policy.policy import Policy, as_namer
from substep_policy.registry import POLICIES, PolicySettings
from training.evaluation.actors import ReplayPolicy, Retold, demonstrated_actions, recorded_actions
from training.evaluation.boundaries import demonstrated_way, judge_ends
from training.evaluation.effects import EffectFinder
from training.evaluation.episode_video import Film
from training.evaluation.episodes import EpisodeKey, placement_of
from training.evaluation.instructions import instruction_told
from training.evaluation.own_words import planned_words
from training.evaluation.probes import PROBES, Actor, Probe, TaskProbe, as_planned
from training.evaluation.records import record_of
from training.evaluation.settings import CompletionChoice, EpisodeSettings
from training.evaluation.substep_log import SubstepLog
from training.lockstep import LockstepTask, TaskSettings

NO_ROOM = "NO_ROOM"  # in place of an error code's name: the world could not begin


LoadPolicy = Callable[[str, PolicySettings], Policy]
MakeWorld = Callable[[SimulationConfig], Simulation]


def make_world(config: SimulationConfig) -> Simulation:
    """The world that evaluations play in."""
    return Simulation(config)


@lru_cache(maxsize=1)
def load_policy(policy: str, settings: PolicySettings) -> Policy:
    """Kept for the process's next task."""
    return POLICIES.load(policy, settings)


def policy_settings(settings: EpisodeSettings) -> PolicySettings:
    """How an evaluation's policy is loaded."""
    return PolicySettings(device=settings.device, eos_threshold=settings.eos_threshold, dataset=settings.dataset)


class InProcessPlayer:
    """Plays the episodes of a task.

    Args:
        videos: folder for the films.
        load: loads the policy, as often as it is asked for.
        world: builds the world.
    """

    def __init__(
        self,
        settings: EpisodeSettings,
        suite: str,
        task: int,
        videos: Path,
        load: LoadPolicy = load_policy,
        world: MakeWorld = make_world,
    ) -> None:
        self._settings, self._videos, self._load = settings, videos, load
        config = SimulationConfig(
            suite,
            task,
            assets=settings.assets,
            image_size=settings.image_size,
            cameras=settings.cameras or None,
            horizon=settings.horizon,
            render=False,  # images are rendered when they are looked at
            effects=settings.effects,
            tasks_from=settings.tasks_from,
        )
        self._simulation, self._full = None, ""
        try:
            self._simulation = world(config)
        except NoRoomError as error:  # LIBERO draws places as it builds a world
            self._full = str(error)

    def play(self, key: EpisodeKey, filmed: bool) -> dict[str, Any]:
        """One episode as a record."""
        torch.manual_seed(key.number)  # some policies draw; each episode is a function of its key
        begin = time.monotonic()
        probe = PROBES[key.probe]
        try:
            if self._simulation is None:
                raise NoRoomError(self._full)
            record = self._task(key, probe, filmed) if isinstance(probe, TaskProbe) else self._boundaries(key)
        except NoRoomError as error:
            record = self._not_begun(key, probe, f"the episode cannot begin: {error}")
        return record | {"wall_s": round(time.monotonic() - begin, 3)}

    def close(self) -> None:
        if self._simulation is not None:
            self._simulation.close()

    # --- kinds of episodes ---

    def _task(self, key: EpisodeKey, probe: TaskProbe, filmed: bool) -> dict[str, Any]:
        start = self._settings.start(key.number)
        actor = self._actor(probe, key.number)
        if probe.needs_words:
            as_namer(actor)
        log = SubstepLog(EffectFinder() if probe.judged else None, self._simulation.contract.rate)
        film = Film(self._videos, key, self._simulation, self._simulation.contract.camera_names) if filmed else None
        rule = make_switch_rule(key.rule, self._settings.switching)
        task = LockstepTask(
            self._simulation,
            self._simulation.reset(*start, placement_of(key)),
            actor,
            rule,
            TaskSettings(
                decomposers=load_decomposers(self._settings.decomposers_of(probe), DecomposerSettings()),
                instruction=instruction_told(
                    probe.told, self._settings.source, key.suite, key.task, key.number, self._settings.wordings
                ),
                manager=self._settings.limits(probe),
                stuck=self._settings.help_for(probe),
            ),
            self._frame_scorer(rule),
            (log, film) if film else (log,),
        )
        self._running = task
        result = task.run()
        log.finish(SubstepEnd.GOAL_REACHED if result.success else result.finish.code.name.lower(), result.success)
        outcomes = Counter(outcome.name.lower() for outcome in result.outcomes)
        return record_of(
            key,
            start,
            success=result.success,
            steps=result.steps,
            error=result.finish.code.name,
            message=result.finish.message,
            plan_source=log.plan_source,
            substeps=[asdict(record) for record in log.records],
            completed=log.completed(result.success),
            **self._planned(key, probe, log),
            events=[asdict(event) for event in log.events],
            chunks=dict(outcomes),
            rejections=dict(Counter(reason.kind.words for reason in result.rejections)),
            chunk_latency_s=latency(result.inference_times),
            video=film.close() if film else None,
        )

    def _planned(self, key: EpisodeKey, probe: TaskProbe, log: SubstepLog) -> dict[str, Any]:
        if not probe.compared:
            return {"planned": log.plan_length}
        reference = planned_words(self._settings, key)
        return {"planned": len(reference), "reference": reference}

    def _boundaries(self, key: EpisodeKey) -> dict[str, Any]:
        start = self._settings.start(key.number)
        if self._policy.requires_scene:
            why = f"{self._policy.name} sees the truth that EOS is compared with"
            return record_of(key, start, excluded=why, ends=[])
        way = demonstrated_way(self._simulation, *start, placement_of(key), self._policy.cameras)
        if isinstance(way, str):
            return record_of(key, start, excluded=way, ends=[])
        ends = judge_ends(way, self._policy, self._simulation.instruction)
        why_not = "" if ends else f"{self._policy.name} tells no EOS probabilities"
        return record_of(key, start, excluded=why_not, ends=ends)

    def _not_begun(self, key: EpisodeKey, probe: Probe, why: str) -> dict[str, Any]:
        """An unlucky draw: the episode counts, and as a failure, so that nobody chooses among draws."""
        start = self._settings.start(key.number)
        if not isinstance(probe, TaskProbe):
            return record_of(key, start, excluded=why, ends=[])
        return record_of(
            key,
            start,
            success=False,
            steps=0,
            error=NO_ROOM,
            message=why,
            plan_source="",
            substeps=[],
            completed=0,
            planned=0,
            events=[],
            chunks={},
            rejections={},
            chunk_latency_s=latency([]),
            video=None,
        )

    # --- what episodes are made of, loaded when first wanted ---

    def _actor(self, probe: TaskProbe, number: int) -> Policy:
        if probe.actor is Actor.DEMONSTRATOR:
            return POLICIES.load("demonstrator", PolicySettings())
        if probe.actor is Actor.REPLAY:
            return ReplayPolicy(self._recording, self._simulation.contract)
        return self._policy if probe.words is as_planned else Retold(self._policy, probe.words, number)

    def _frame_scorer(self, rule: SwitchRule) -> FrameScorer | None:
        if not rule.uses_vision:
            return None
        choice = self._settings.completion
        watch = WatchSettings(choice.threshold, choice.frames, choice.rate)
        return FrameScorer(self._scorer, watch)

    @property
    def _policy(self) -> Policy:
        policy, own = self._settings.policy, policy_settings(self._settings)
        return self._load(policy, POLICIES.settings_for(policy, own, self._simulation.suite))

    @property
    def _scorer(self) -> CompletionScorer:
        choice = self._settings.completion
        if choice.scorer == OwnWordsScorer.name:
            return OwnWordsScorer(lambda: self._running.own_words(), choice.camera)
        return _load_scorer(choice, self._settings.device)

    @cached_property
    def _recording(self) -> np.ndarray:
        folder = self._settings.demonstrations
        if folder is None:
            return demonstrated_actions(self._simulation)
        task = self._settings.source.task(self._simulation.suite, self._simulation.task_index)
        return recorded_actions(folder, task)


@lru_cache(maxsize=1)
def _load_scorer(choice: CompletionChoice, device: str) -> CompletionScorer:
    settings = CompletionSettings(choice.model, device, choice.measure, choice.camera, choice.threshold)
    return load_scorer(choice.scorer, settings)
