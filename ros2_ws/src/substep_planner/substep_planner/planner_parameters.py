"""The planner node's parameters: declared here, checked here, read into frozen settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from substep_planner.completion.registry import DEFAULT_SCORER, NO_SCORER, SCORERS, CompletionSettings, load_scorer
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.watcher import WatchSettings
from substep_planner.decomposers.base import Decomposer
from substep_planner.decomposers.registry import DECOMPOSERS, DEFAULT_ORDER, DecomposerSettings, load_decomposers
from substep_planner.recovery import RecoveryLadder
from substep_planner.substep_manager import ManagerSettings
from substep_planner.switch_rules import SWITCH_RULES, SwitchRule, SwitchSettings, make_switch_rule
from substep_planner.watchdogs import SilenceLimits
from substep_policy.configuration import options_of
from substep_policy.node_parameters import BadParameter, NodeParameters

WHEN_BUSY = ("reject", "preempt")
MEASURES = ("cosine", "sigmoid")
AUTOMATIC = "auto"  # the default scorer where the rule looks, none otherwise


@dataclass(frozen=True)
class PlannerRegistry:
    """What can be named in parameters: name -> "module:function", see the registries themselves."""

    decomposers: Mapping[str, str] = field(default_factory=lambda: DECOMPOSERS)
    scorers: Mapping[str, str] = field(default_factory=lambda: SCORERS)


@dataclass(frozen=True)
class PlannerSettings:
    """What the node was configured with."""

    decomposers: tuple[Decomposer, ...]
    manager: ManagerSettings
    switch_rule: str
    switching: SwitchSettings
    preempt: bool
    scorer: CompletionScorer | None
    watch: WatchSettings
    picture_camera: str

    @property
    def wants_picture(self) -> bool:
        """Whether anybody who plans looks at the scene."""
        return any(decomposer.wants_picture for decomposer in self.decomposers)

    def new_rule(self) -> SwitchRule:
        """A rule for one task."""
        return make_switch_rule(self.switch_rule, self.switching)


def declare(parameters: NodeParameters, registry: PlannerRegistry) -> None:
    """Declare every parameter of the planner."""
    parameters.declare(
        "decomposers",
        list(DEFAULT_ORDER),
        f"who is asked for a plan, in this order; some of {', '.join(registry.decomposers)}",
    )
    _declare_decomposers(parameters)
    parameters.declare("switch_rule", "eos", "what ends a substep", choices=SWITCH_RULES)
    for option in options_of(SwitchSettings):
        parameters.declare(option.name, option.default, option.description, bounds=option.bounds)
    default = ManagerSettings()
    parameters.declare(
        "substep_timeout",
        default.substep_timeout,
        "control steps after which a substep is given up",
        bounds=(1, 1_000_000),
    )
    parameters.declare("retries", default.recovery.retries, "of a substep that failed", bounds=(0, 100))
    parameters.declare(
        "replans", default.recovery.replans, "times that the rest of a task is planned again", bounds=(0, 100)
    )
    parameters.declare(
        "empty_width",
        default.empty_width,
        "m; fingers nearer to each other hold nothing, so that a grasp has missed or was lost; 0: fingers do not count",
        bounds=(0.0, 1.0),
    )
    parameters.declare(
        "planning_timeout",
        default.planning_timeout,
        "s of wall time that the decomposers may take together",
        bounds=(0.1, 86_400.0),
    )
    parameters.declare(
        "bridge_silence",
        default.silence.bridge,
        "s of wall time without a sign of the bridge after which a task is aborted",
        bounds=(0.1, 86_400.0),
    )
    parameters.declare(
        "policy_silence",
        default.silence.policy,
        "s of wall time without a chunk after which a task is aborted; longer than the slowest inference",
        bounds=(0.1, 86_400.0),
    )
    _declare_completion(parameters, registry)
    parameters.declare("when_busy", "reject", "what a second goal leads to", choices=WHEN_BUSY)


def _declare_decomposers(parameters: NodeParameters) -> None:
    default = DecomposerSettings()
    parameters.declare("library", default.library, "path of a plan file for 'library'; empty: the shipped one")
    parameters.declare("prompt", default.prompt, "path of the language models' prompt file; empty: the shipped one")
    parameters.declare(
        "plan_cache", default.plan_cache, "folder in which language models' plans are kept; empty: in memory only"
    )
    parameters.declare("show_image", default.show_image, "whether language models are shown the scene")
    parameters.declare("picture_camera", "agentview", "camera whose newest frame language models are shown")
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


def _declare_completion(parameters: NodeParameters, registry: PlannerRegistry) -> None:
    default = WatchSettings()
    parameters.declare(
        "completion",
        AUTOMATIC,
        f"who scores frames for visual completion; auto: {DEFAULT_SCORER} where the rule looks, else none",
        choices=(AUTOMATIC, NO_SCORER, *registry.scorers),
    )
    parameters.declare("completion_model", "", "of the scorer: hub id, folder, or its own name; empty: its default")
    parameters.declare("completion_measure", "cosine", "of contrastive scorers", choices=MEASURES)
    parameters.declare(
        "completion_threshold",
        -1.0,
        "score from which a frame shows the expected effect; negative: the scorer's own",
        bounds=(-1.0, 1.0),
    )
    parameters.declare("completion_frames", default.frames, "frames in a row that must show it", bounds=(1, 1000))
    parameters.declare("completion_rate", default.rate, "frames scored per s of world time", bounds=(0.01, 1000.0))
    parameters.declare("completion_camera", "agentview", "camera that contrastive scorers look through")


def read(parameters: NodeParameters, registry: PlannerRegistry) -> PlannerSettings:
    """The parameters' values, checked.

    Raises:
        BadParameter: names the parameter, its value and what would be right.
    """
    return PlannerSettings(
        decomposers=_decomposers(parameters, registry),
        manager=ManagerSettings(
            substep_timeout=parameters.value("substep_timeout"),
            planning_timeout=parameters.value("planning_timeout"),
            silence=SilenceLimits(parameters.value("bridge_silence"), parameters.value("policy_silence")),
            recovery=RecoveryLadder(parameters.value("retries"), parameters.value("replans")),
            empty_width=parameters.value("empty_width"),
        ),
        switch_rule=_switch_rule(parameters, registry),
        switching=SwitchSettings(**{item.name: parameters.value(item.name) for item in fields(SwitchSettings)}),
        scorer=_scorer(parameters, registry),
        watch=WatchSettings(
            threshold=None if (threshold := parameters.value("completion_threshold")) < 0.0 else threshold,
            frames=parameters.value("completion_frames"),
            rate=parameters.value("completion_rate"),
        ),
        preempt=parameters.value("when_busy") == "preempt",
        picture_camera=parameters.value("picture_camera"),
    )


def _decomposers(parameters: NodeParameters, registry: PlannerRegistry) -> tuple[Decomposer, ...]:
    names = [name for name in parameters.value("decomposers") if name]
    settings = DecomposerSettings(**{item.name: parameters.value(item.name) for item in fields(DecomposerSettings)})
    try:
        return load_decomposers(names, settings, registry.decomposers)
    except (ValueError, OSError) as error:
        raise BadParameter(f"parameter decomposers is {names}: {error}") from error


def _switch_rule(parameters: NodeParameters, registry: PlannerRegistry) -> str:
    name = parameters.value("switch_rule")
    if make_switch_rule(name).uses_vision and _scorer_name(parameters) == NO_SCORER:
        raise BadParameter(
            f"parameter switch_rule is {name!r}, which needs a completion scorer: set parameter completion to one of "
            f"{', '.join(registry.scorers)}, or use 'eos'"
        )
    return name


def _scorer_name(parameters: NodeParameters) -> str:
    name = parameters.value("completion")
    if name != AUTOMATIC:
        return name
    return DEFAULT_SCORER if make_switch_rule(parameters.value("switch_rule")).uses_vision else NO_SCORER


def _scorer(parameters: NodeParameters, registry: PlannerRegistry) -> CompletionScorer | None:
    name = _scorer_name(parameters)
    settings = CompletionSettings(
        model=parameters.value("completion_model"),
        device=parameters.value("device"),
        measure=parameters.value("completion_measure"),
        camera=parameters.value("completion_camera"),
    )
    try:
        return load_scorer(name, settings, registry.scorers)
    except Exception as error:  # whatever a model's loading raises, it is this parameter's fault
        raise BadParameter(
            f"parameter completion is {name!r} with model {settings.model!r}: {type(error).__name__}: {error}"
        ) from error
