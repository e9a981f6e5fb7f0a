"""Carries out a plan as a demonstration: a task like an evaluation's, but to the plan's end and in one attempt."""

from __future__ import annotations

from collections.abc import Sequence

from libero_bridge.simulation import Simulation
from substep_core.observation import Observation
from substep_planner.decomposers.base import Decomposer
from substep_planner.decomposers.registry import DEFAULT_ORDER, DecomposerSettings, load_decomposers
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.policy import Policy
from substep_policy.session.policy_session import NO_HELP
from training.lockstep import LockstepTask, TaskResult, TaskSettings
from training.task_observer import Observer

# What fails is no demonstration, and who demonstrates notices a lost grasp itself.
LIMITS = ManagerSettings(substep_timeout=300, recovery=RecoveryLadder(retries=0, replans=0), empty_width=0.0)


def demonstrate(
    simulation: Simulation,
    observation: Observation,
    policy: Policy,
    *,
    decomposers: Sequence[Decomposer] | None = None,
    limits: ManagerSettings = LIMITS,
    observers: Sequence[Observer] = (),
) -> TaskResult:
    """One episode of the world's own task.

    Args:
        observation: the world's, as ``reset`` gave it.
        decomposers: who makes the plan; None: the shipped library, else the rules.
    """
    settings = TaskSettings(
        decomposers=load_decomposers(DEFAULT_ORDER, DecomposerSettings()) if decomposers is None else decomposers,
        manager=limits,
        stuck=NO_HELP,
        stops_at_goal=False,
    )
    return LockstepTask(simulation, observation, policy, make_switch_rule("eos"), settings, None, observers).run()
