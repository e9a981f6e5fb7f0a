"""Plays episodes in this process: one world and one set of actors for all episodes of a task."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import load_task
from substep_bringup.session.summary import latency
from substep_planner.completion.registry import CompletionSettings, load_scorer
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.watcher import WatchSettings
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from substep_planner.switch_rules import SwitchRule, make_switch_rule
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from training.collect import plan_of
from training.evaluation.actors import Replay, Retold, demonstrated_actions, recorded_actions
from training.evaluation.boundaries import demonstrate, judge_ends
from training.evaluation.effects import EffectFinder
from training.evaluation.episodes import EpisodeKey, placement_of
from training.evaluation.film import Film
from training.evaluation.instructions import instruction_told
from training.evaluation.lockstep import LockstepTask, TaskSettings
from training.evaluation.probes import PROBES, Actor, TaskProbe, as_planned
from training.evaluation.records import record_of
from training.evaluation.settings import CompletionChoice, EpisodeSettings
from training.evaluation.substep_log import SubstepLog
from training.evaluation.vision import FrameScorer


class InProcessPlayer:
    """Args: videos: folder for the films."""

    def __init__(self, settings: EpisodeSettings, suite: str, task: int, videos: Path) -> None:
        self._settings, self._videos = settings, videos
        config = SimulationConfig(
            suite,
            task,
            assets=settings.assets,
            image_size=settings.image_size,
            cameras=settings.cameras,
            horizon=settings.horizon,
            render=False,  # images are rendered when somebody looks at them
            effects=settings.effects,
        )
        self._simulation = Simulation(config)

    def play(self, key: EpisodeKey, filmed: bool) -> dict[str, Any]:
        """One episode as a record."""
        torch.manual_seed(key.number)  # some policies draw; each episode is a function of its key
        begin = time.monotonic()
        probe = PROBES[key.probe]
        record = self._task(key, probe, filmed) if isinstance(probe, TaskProbe) else self._boundaries(key)
        return record | {"wall_s": round(time.monotonic() - begin, 3)}

    def close(self) -> None:
        self._simulation.close()

    # --- kinds of episodes ---

    def _task(self, key: EpisodeKey, probe: TaskProbe, filmed: bool) -> dict[str, Any]:
        start = self._settings.start(key.number)
        actor = self._actor(probe, key.number)
        log = SubstepLog(EffectFinder() if probe.judged else None)
        film = Film(self._videos, key, self._simulation, self._settings.cameras) if filmed else None
        rule = make_switch_rule(key.rule, self._settings.switching)
        task = LockstepTask(
            self._simulation,
            self._simulation.reset(*start, placement_of(key)),
            actor,
            rule,
            TaskSettings(
                decomposers=load_decomposers(probe.decomposers, DecomposerSettings()),
                instruction=instruction_told(probe.told, key.suite, key.task, key.number),
                manager=self._settings.limits(probe),
                cameras=() if actor.requires_scene else self._settings.cameras,
                stuck=self._settings.help_for(probe),
            ),
            self._frame_scorer(rule),
            (log, film) if film else (log,),
        )
        result = task.run()
        log.finish("goal reached" if result.success else result.finish.code.name.lower(), result.success)
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
            planned=log.plan_length,
            events=[asdict(event) for event in log.events],
            chunks=dict(outcomes),
            rejections=dict(Counter(result.rejections)),
            chunk_latency_s=latency(result.inference_times),
            video=film.close() if film else None,
        )

    def _boundaries(self, key: EpisodeKey) -> dict[str, Any]:
        start = self._settings.start(key.number)
        if self._policy.requires_scene:
            why = f"{self._policy.name} sees the truth that EOS is compared with"
            return record_of(key, start, excluded=why, ends=[])
        plan = plan_of(load_task(key.suite, key.task))
        way = demonstrate(self._simulation, plan.substeps, *start, placement_of(key), self._settings.cameras)
        if isinstance(way, str):
            return record_of(key, start, excluded=way, ends=[])
        ends = judge_ends(way, self._policy, self._simulation.instruction)
        why_not = "" if ends else f"{self._policy.name} tells no EOS probabilities"
        return record_of(key, start, excluded=why_not, ends=ends)

    # --- what episodes are made of, loaded when first wanted ---

    def _actor(self, probe: TaskProbe, number: int) -> Policy:
        if probe.actor is Actor.DEMONSTRATOR:
            return POLICIES.load("demonstrator", PolicySettings())
        if probe.actor is Actor.REPLAY:
            return Replay(self._recording)
        return self._policy if probe.words is as_planned else Retold(self._policy, probe.words, number)

    def _frame_scorer(self, rule: SwitchRule) -> FrameScorer | None:
        if not rule.uses_vision:
            return None
        choice = self._settings.completion
        watch = WatchSettings(choice.threshold, choice.frames, choice.rate)
        return FrameScorer(self._scorer, watch)

    @property
    def _policy(self) -> Policy:
        return _load_policy(self._settings)

    @property
    def _scorer(self) -> CompletionScorer:
        return _load_scorer(self._settings.completion, self._settings.device)

    @cached_property
    def _recording(self) -> np.ndarray:
        folder = self._settings.demonstrations
        if folder is None:
            return demonstrated_actions(self._simulation)
        return recorded_actions(folder, self._simulation.suite, self._simulation.task_index)


@lru_cache(maxsize=1)
def _load_policy(settings: EpisodeSettings) -> Policy:
    """Kept for the process's next task."""
    wanted = PolicySettings(device=settings.device, eos_threshold=settings.eos_threshold, cameras=settings.cameras)
    return POLICIES.load(settings.policy, wanted)


@lru_cache(maxsize=1)
def _load_scorer(choice: CompletionChoice, device: str) -> CompletionScorer:
    return load_scorer(choice.scorer, CompletionSettings(choice.model, device, choice.measure, choice.camera))
