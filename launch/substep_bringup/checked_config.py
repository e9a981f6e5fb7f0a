"""Runs and stacks whose names are looked up before anything starts, where what the nodes have installed can be seen.

Under ROS launch it cannot: that is the system's Python, and there the nodes say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arm_bridge.settings import load_arm
from substep_bridge.world import WORLD_NAMES, WORLDS
from substep_bringup.arguments import ArgumentError
from substep_bringup.graph_config import SHIPPED_WORLD, BridgeConfig, GraphConfig, RealConfig, StackConfig, check_range
from substep_core.registry import RegistryError
from substep_core.tasks import Task, task_source
from substep_planner.decomposers.registry import DECOMPOSERS
from substep_policy.registry import POLICIES


@dataclass(frozen=True)
class CheckedGraphConfig(GraphConfig):
    """``GraphConfig`` with a task, and with names that there are.

    Raises:
        ArgumentError: no such task source, suite, task, initial state, world, policy, decomposer, camera or folder of
            assets; the message says what there is.
    """

    def _check(self) -> None:
        _check_task(self)  # first, as it knows how many there are
        super()._check()
        _check_names(self)


@dataclass(frozen=True)
class CheckedRealConfig(RealConfig):
    """``RealConfig`` with an arm and names that there are, and a task that there is where a suite is given.

    Raises:
        ArgumentError: there is no such arm, task, world, policy, decomposer or camera; the message says what there is.
    """

    def _check(self) -> None:
        if self.suite:
            _check_task(self)
        super()._check()
        _check_names(self)
        try:
            load_arm(self.robot)[1].with_cameras(self.cameras)
        except ValueError as error:
            raise ArgumentError(str(error)) from error


@dataclass(frozen=True)
class CheckedStackConfig(StackConfig):
    """``StackConfig`` with names that there are. Another world than LIBERO's may have tasks that no source knows.

    Raises:
        ArgumentError: no such world, policy or decomposer, or in LIBERO's world no such task, initial state, camera or
            folder of assets; the message says what there is.
    """

    def _check(self) -> None:
        if self.world == SHIPPED_WORLD:
            _check_task(self)
        super()._check()
        _check_names(self)


def check_policy(policy: str) -> None:
    """Raises: ArgumentError: no name, no hub id, and no folder of a checkpoint."""
    try:
        POLICIES.check(policy)
    except ValueError as error:
        raise ArgumentError(str(error)) from error


def check_world_names(world: str, cameras: Sequence[str], assets: str) -> None:
    """Raises: ArgumentError: the world has no such camera or assets. One that does not say says it when it is built."""
    if world in WORLD_NAMES.names:
        try:
            WORLD_NAMES.load(world)(cameras, assets)
        except ValueError as error:
            raise ArgumentError(str(error)) from error


def _check_names(config: StackConfig) -> None:
    check_policy(config.policy)
    try:
        WORLDS.check(config.world)
        for name in config.decomposers:
            DECOMPOSERS.check(name)
    except RegistryError as error:
        raise ArgumentError(str(error)) from error
    check_world_names(config.world, config.cameras, config.assets)


def _check_task(config: BridgeConfig) -> None:
    """Names and numbers only; whether a world can be built from the task's files, the bridge says."""
    try:
        source = task_source(config.tasks_from)
        count = len(source.names(config.suite))
        if not 0 <= config.task < count:
            raise ArgumentError(_unknown_task(config, [source.task(config.suite, index) for index in range(count)]))
        source.task(config.suite, config.task)
        last_state = max(split.init_states.stop for split in source.splits.values()) - 1
    except ValueError as error:
        raise ArgumentError(str(error)) from error
    check_range("init_state", config.init_state, 0, last_state)


def _unknown_task(config: BridgeConfig, tasks: Sequence[Task]) -> str:
    known = (f"  {task.index:2d}  {task.instruction}" for task in tasks)
    return "\n".join([f"task {config.task} is not one of {config.suite}, expected one of these:", *known])
