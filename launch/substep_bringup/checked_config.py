"""Runs and stacks whose names are looked up before anything starts, where what the nodes have installed can be seen.

Under ROS launch it cannot: that is the system's Python, and there the nodes say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arm_bridge.settings import load_arm
from substep_bringup.arguments import ArgumentError
from substep_bringup.graph_config import GraphConfig, RealConfig, StackConfig, check_range
from substep_core.tasks import Task, task_source
from substep_policy.registry import POLICIES


@dataclass(frozen=True)
class CheckedGraphConfig(GraphConfig):
    """``GraphConfig`` with a task and a policy that there are.

    Raises:
        ArgumentError: no such task source, suite, task, initial state or policy; the message says what there is.
    """

    def _check(self) -> None:
        super()._check()
        _check_task(self)
        check_policy(self.policy)


@dataclass(frozen=True)
class CheckedRealConfig(RealConfig):
    """``RealConfig`` with an arm and a policy that there are, and a task that there is where a suite is given.

    Raises:
        ArgumentError: there is no such arm, task or policy; the message says what there is.
    """

    def _check(self) -> None:
        super()._check()
        if self.suite:
            _check_task(self)
        check_policy(self.policy)
        try:
            load_arm(self.robot)
        except ValueError as error:
            raise ArgumentError(str(error)) from error


@dataclass(frozen=True)
class CheckedStackConfig(StackConfig):
    """``StackConfig`` with a policy that there is. Its world may have tasks that no task source knows.

    Raises:
        ArgumentError: there is no such policy.
    """

    def _check(self) -> None:
        super()._check()
        check_policy(self.policy)


def check_policy(policy: str) -> None:
    """Raises: ArgumentError: no name, no hub id, and no folder of a checkpoint."""
    try:
        POLICIES.check(policy)
    except ValueError as error:
        raise ArgumentError(str(error)) from error


def _check_task(config: GraphConfig) -> None:
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


def _unknown_task(config: GraphConfig, tasks: Sequence[Task]) -> str:
    known = (f"  {task.index:2d}  {task.instruction}" for task in tasks)
    return "\n".join([f"task {config.task} is not one of {config.suite}, expected one of these:", *known])
