"""Loads a policy the way a run has it: with the statistics of its suite, and warmed up."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np

from substep_core.chunk import Chunk
from substep_core.configuration import told
from substep_core.observation import Observation
from substep_policy.policy import OfSeveralDataSets, Policy, SubstepNamer, as_namer
from substep_policy.registry import PolicyRegistry, PolicySettings

log = logging.getLogger(__name__)

WARM_UP_WORDS = "warm up"  # instruction and task that no user has given


def load_policy(
    name: str, settings: PolicySettings, suite: str, registry: PolicyRegistry, must_name_substeps: bool = False
) -> Policy:
    """Load a policy.

    Args:
        name: a policy's name, the folder of a checkpoint, or a hub id.
        suite: whose statistics it works with where a checkpoint has several; empty: those of ``settings``.
        must_name_substeps: it is refused where its model has no words.

    Raises:
        ValueError: it has none.
        Exception: as ``PolicyRegistry.load``.
    """
    if suite:
        settings = registry.settings_for(name, settings, suite)
    policy = registry.load(name, settings)
    if must_name_substeps:
        as_namer(policy)
    warm_up(policy)
    return policy


class SuiteStatistics:
    """Has a policy work with the statistics of the suite that is run, which a reset of the world may change.

    Args:
        policy: as ``load_policy`` has loaded it, with the other arguments.

    Raises:
        PolicyError: no such policy.
    """

    def __init__(
        self, policy: Policy, name: str, settings: PolicySettings, suite: str, registry: PolicyRegistry
    ) -> None:
        source = registry.source(name)
        self._name = str(source) if isinstance(source, Path) else name  # a hub is not asked again
        self._policy, self._settings, self._suite, self._registry = policy, settings, suite, registry
        self._lock = threading.Lock()

    def follow(self, suite: str) -> None:
        """The world is of this suite now; empty: of none. From any thread.

        Raises:
            ValueError: the checkpoint has several data sets, none of them of this suite, and none was chosen.
        """
        with self._lock:
            if suite in ("", self._suite) or not isinstance(self._policy, OfSeveralDataSets):
                return
            self._policy.use_dataset(self._registry.settings_for(self._name, self._settings, suite).dataset)
            self._suite = suite


def warm_up(policy: Policy) -> None:
    """One chunk, and words, for an empty picture, so that the first real ones are not the slow ones.

    A policy that needs the scene's ground truth has no network to warm up and is left alone. One that refuses these
    words, which nobody has said, is loaded all the same: it may know none but its own.

    Raises:
        ValueError: the picture of the policy's own cameras lacks something that it needs, or the chunk is not as wide
            as its contract says.
    """
    if policy.requires_scene:
        return
    cameras = [policy.robot.camera(name) for name in policy.cameras]
    blank = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in cameras}
    seen = Observation(blank, np.zeros(policy.robot.state_width, np.float32))
    try:
        policy.start_substep(WARM_UP_WORDS, WARM_UP_WORDS)
    except ValueError as error:
        log.info("policy %s is not warmed up, its first chunk may be slow: %s", policy.name, error)
        return
    _check_width(policy, _first_chunk(policy, seen))
    if isinstance(policy, SubstepNamer):
        policy.next_substep(seen, WARM_UP_WORDS)


def _first_chunk(policy: Policy, seen: Observation) -> Chunk:
    try:
        return policy.predict(seen)
    except ValueError as error:
        robot = policy.robot
        raise ValueError(
            f"policy {policy.name} predicts nothing for an empty picture and {robot.state_width} values of state; by "
            f"its contract, {robot.name}, an action has {robot.action_width} values: {told(error)}"
        ) from error


def _check_width(policy: Policy, chunk: Chunk) -> None:
    width, expected = chunk.actions.shape[1], policy.robot.action_width
    if width != expected:
        raise ValueError(
            f"policy {policy.name} predicts actions of {width} values, and by its contract, {policy.robot.name}, they "
            f"have {expected}"
        )
