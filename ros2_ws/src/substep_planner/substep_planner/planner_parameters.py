"""The planner node's parameters: declared here, checked here, read into frozen settings."""

from __future__ import annotations

from dataclasses import dataclass, fields

from substep_planner.decomposers.base import Decomposer
from substep_planner.decomposers.registry import DECOMPOSERS, DEFAULT_ORDER, DecomposerSettings, load_decomposers
from substep_planner.recovery import RecoveryLadder
from substep_planner.substep_manager import ManagerSettings
from substep_planner.switch_rules import SWITCH_RULES, SwitchRule, make_switch_rule
from substep_planner.watchdogs import SilenceLimits
from substep_policy.node_parameters import BadParameter, NodeParameters

WHEN_BUSY = ("reject", "preempt")


@dataclass(frozen=True)
class PlannerSettings:
    """What the node was configured with."""

    decomposers: tuple[Decomposer, ...]
    manager: ManagerSettings
    switch_rule: str
    confirm_steps: int
    preempt: bool

    def new_rule(self) -> SwitchRule:
        """A rule for one task."""
        return make_switch_rule(self.switch_rule, self.confirm_steps)


def declare(parameters: NodeParameters) -> None:
    """Declare every parameter of the planner."""
    parameters.declare(
        "decomposers", list(DEFAULT_ORDER), f"who is asked for a plan, in this order; some of {', '.join(DECOMPOSERS)}"
    )
    _declare_decomposers(parameters)
    parameters.declare("switch_rule", "eos", "what ends a substep", choices=SWITCH_RULES)
    parameters.declare(
        "confirm_steps",
        20,
        "control steps within which vision must confirm an EOS (eos_then_vision)",
        bounds=(0, 10_000),
    )
    parameters.declare("substep_timeout", 400, "control steps after which a substep is given up", bounds=(1, 1_000_000))
    parameters.declare("retries", 1, "times that a timed-out substep is issued again", bounds=(0, 100))
    parameters.declare("replans", 1, "times that the rest of a task is planned again", bounds=(0, 100))
    parameters.declare(
        "planning_timeout", 120.0, "s of wall time that the decomposers may take together", bounds=(0.1, 86_400.0)
    )
    parameters.declare(
        "bridge_silence",
        10.0,
        "s of wall time without a sign of the bridge after which a task is aborted",
        bounds=(0.1, 86_400.0),
    )
    parameters.declare(
        "policy_silence",
        30.0,
        "s of wall time without a chunk after which a task is aborted; longer than the slowest inference",
        bounds=(0.1, 86_400.0),
    )
    parameters.declare("when_busy", "reject", "what a second goal leads to", choices=WHEN_BUSY)


def _declare_decomposers(parameters: NodeParameters) -> None:
    default = DecomposerSettings()
    parameters.declare("library", default.library, "path of a plan file for 'library'; empty: the shipped one")
    parameters.declare("prompt", default.prompt, "path of the language models' prompt file; empty: the shipped one")
    parameters.declare(
        "plan_cache", default.plan_cache, "folder in which language models' plans are kept; empty: in memory only"
    )
    parameters.declare("show_image", default.show_image, "whether language models are shown the scene")
    parameters.declare("transformers_model", default.transformers_model, "hub id or folder of a causal language model")
    parameters.declare("device", default.device, "where models run: auto, cpu, cuda or cuda:N")
    parameters.declare("max_tokens", default.max_tokens, "of one answer of a language model", bounds=(1, 100_000))
    parameters.declare("openai_url", default.openai_url, "of an OpenAI-compatible server, up to and with its version")
    parameters.declare("openai_model", default.openai_model, "name of the model at that server")
    parameters.declare(
        "openai_key_variable",
        default.openai_key_variable,
        "environment variable with the server's key; none is sent if unset",
    )
    parameters.declare("openai_timeout", default.openai_timeout, "s for one whole answer", bounds=(0.1, 3600.0))
    parameters.declare("openai_retries", default.openai_retries, "of a failed request", bounds=(0, 100))


def read(parameters: NodeParameters) -> PlannerSettings:
    """The parameters' values, checked.

    Raises:
        BadParameter: names the parameter, its value and what would be right.
    """
    return PlannerSettings(
        decomposers=_decomposers(parameters),
        manager=ManagerSettings(
            substep_timeout=parameters.value("substep_timeout"),
            planning_timeout=parameters.value("planning_timeout"),
            silence=SilenceLimits(parameters.value("bridge_silence"), parameters.value("policy_silence")),
            recovery=RecoveryLadder(parameters.value("retries"), parameters.value("replans")),
        ),
        switch_rule=_switch_rule(parameters),
        confirm_steps=parameters.value("confirm_steps"),
        preempt=parameters.value("when_busy") == "preempt",
    )


def _decomposers(parameters: NodeParameters) -> tuple[Decomposer, ...]:
    names = [name for name in parameters.value("decomposers") if name]
    settings = DecomposerSettings(**{field.name: parameters.value(field.name) for field in fields(DecomposerSettings)})
    try:
        return load_decomposers(names, settings)
    except (ValueError, OSError) as error:
        raise BadParameter(f"parameter decomposers is {names}: {error}") from error


def _switch_rule(parameters: NodeParameters) -> str:
    name = parameters.value("switch_rule")
    if make_switch_rule(name).uses_vision:
        raise BadParameter(f"parameter switch_rule is {name!r}, which needs a completion scorer; expected 'eos'")
    return name
