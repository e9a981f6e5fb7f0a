"""Demonstrations of plans that a test gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libero_bridge.simulation import Simulation
from substep_core.observation import Observation
from substep_core.plan import Plan, Substep
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_policy.policy import Policy
from training.collect.demonstration import demonstrate
from training.lockstep import TaskResult
from training.task_observer import ControlCommand, Observer


@dataclass(frozen=True)
class GivenPlan:
    """A decomposer with one plan, whatever the instruction."""

    substeps: Sequence[Substep]
    name = "given"
    wants_picture = False

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        return SourcedPlan(Plan(request.instruction, tuple(self.substeps)), self.name)


class BeforeEachCommand(Observer):
    """Calls a function with the world as it is and what it is about to be told."""

    def __init__(self, function: Callable[[Observation, ControlCommand], None]) -> None:
        self.on_command = function


def carry_out(
    simulation: Simulation,
    policy: Policy,
    substeps: Sequence[Substep],
    before_each_command: Callable[[Observation, ControlCommand], None] = lambda *_: None,
) -> TaskResult:
    """One demonstration from a reset."""
    observers = (BeforeEachCommand(before_each_command),)
    plan = (GivenPlan(substeps),)
    return demonstrate(simulation, simulation.reset(), policy, decomposers=plan, observers=observers)
