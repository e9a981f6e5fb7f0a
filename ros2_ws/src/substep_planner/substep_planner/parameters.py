"""The planner node's parameters: declared here, checked here, read into frozen settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial

from substep_core.configuration import options_of, told
from substep_core.named_substep import NamedSubstep
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_planner.completion.frame_scorer import WatchSettings
from substep_planner.completion.registry import (
    DEFAULT_SCORER,
    NO_SCORER,
    SCENE_CAMERA,
    SCORERS,
    CompletionSettings,
    ScorerRegistry,
    load_scorer,
)
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.decomposers.base import Decomposer
from substep_planner.decomposers.language_model.server_settings import AUTOMATIC as AUTOMATIC_FORM
from substep_planner.decomposers.language_model.server_settings import FORMS
from substep_planner.decomposers.objects import read_objects
from substep_planner.decomposers.registry import (
    DECOMPOSERS,
    DEFAULT_ORDER,
    DecomposerRegistry,
    DecomposerSettings,
    FailedDecomposer,
    load_decomposers,
)
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import (
    SWITCH_RULES,
    SwitchRule,
    SwitchRuleRegistry,
    SwitchSettings,
    make_switch_rule,
)
from substep_planner.manager.watchdogs import SilenceLimits

WHEN_BUSY = ("reject", "preempt")
MEASURES = ("cosine", "sigmoid")
ROBOTS_OWN = -1.0  # of a width
AUTOMATIC = "auto"  # the default scorer where the rule looks, none otherwise


@dataclass(frozen=True)
class PlannerRegistry:
    """What can be named in parameters."""

    decomposers: DecomposerRegistry = DECOMPOSERS
    scorers: ScorerRegistry = SCORERS
    switch_rules: SwitchRuleRegistry = SWITCH_RULES


@dataclass(frozen=True)
class PlannerSettings:
    """What the node was configured with."""

    decomposers: tuple[Decomposer, ...]
    manager: ManagerSettings
    new_rule: Callable[[], SwitchRule]  # a rule for one task
    preempt: bool
    scorer: CompletionScorer | None
    watch: WatchSettings
    picture_camera: str
    objects: frozenset[str] = frozenset()  # in the scene, where nothing is heard of it
    counts: Mapping[str, int] = field(default_factory=dict)  # of these, where that is said
    take_suggestions: bool = False

    @property
    def wants_picture(self) -> bool:
        """Whether a decomposer looks at the scene."""
        return any(decomposer.wants_picture for decomposer in self.decomposers)

    @property
    def failed_decomposers(self) -> tuple[FailedDecomposer, ...]:
        """Those that could not be loaded."""
        return tuple(item for item in self.decomposers if isinstance(item, FailedDecomposer))


def declare(parameters: NodeParameters, registry: PlannerRegistry) -> None:
    """Declare every parameter of the planner."""
    parameters.declare(
        "decomposers",
        list(DEFAULT_ORDER),
        f"who is asked for a plan, in this order; some of {', '.join(registry.decomposers.names)}",
    )
    _declare_decomposers(parameters)
    parameters.declare("switch_rule", "eos", "what ends a substep", choices=registry.switch_rules.names)
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
        ROBOTS_OWN,
        "m; fingers nearer to each other hold nothing, so that a grasp has missed or was lost; 0: fingers do not "
        "count; negative: as the robot contract has it",
        bounds=(-1.0, 1.0),
    )
    parameters.declare(
        "planning_timeout",
        default.planning_timeout,
        "s of wall time that the decomposers may take together",
        bounds=(0.1, 86_400.0),
    )
    parameters.declare(
        "words_timeout",
        30.0,
        "s of wall time that the policy may take for its own words, where 'policy' is a decomposer or the scorer",
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
    parameters.declare(
        "objects",
        [""],
        "categories of what is in the scene, where no scene_state says it, such as porcelain_mug, or moka_pot=3 for "
        "three of them; ['']: not known",
    )
    parameters.declare(
        "take_suggestions",
        False,
        "where it is not sure what a task means, take the reading that is suggested; false: refuse it with a question",
    )
    parameters.declare(
        "grounding_model",
        default.grounding_model,
        "file of the embedded language model for 'grounding'; empty: the shipped one",
    )
    parameters.declare("library", default.library, "path of a plan file for 'library'; empty: the shipped one")
    parameters.declare("prompt", default.prompt, "path of the language models' prompt file; empty: the shipped one")
    parameters.declare(
        "plan_cache", default.plan_cache, "folder in which language models' plans are kept; empty: in memory only"
    )
    parameters.declare("show_image", default.show_image, "whether language models are shown the scene")
    parameters.declare("picture_camera", SCENE_CAMERA, "name or role of the camera whose frames models are shown")
    parameters.declare("transformers_model", default.transformers_model, "hub id or folder of a causal language model")
    parameters.declare("device", default.device, "where models run: auto, cpu, cuda or cuda:N")
    parameters.declare("max_tokens", default.max_tokens, "of one answer of a language model", bounds=(1, 100_000))
    _declare_server(parameters, "openai", "with OpenAI's API")
    _declare_server(parameters, "anthropic", "with Anthropic's API")
    parameters.declare(
        "server_timeout", default.server_timeout, "s for one whole answer, all tries together", bounds=(0.1, 3600.0)
    )
    parameters.declare("server_retries", default.server_retries, "of a failed request", bounds=(0, 100))
    parameters.declare(
        "server_form",
        default.server_form,
        "how a server holds an answer to the plan's schema; auto: the first way that it does not refuse",
        choices=(AUTOMATIC_FORM, *FORMS),
    )


def _declare_server(parameters: NodeParameters, kind: str, which: str) -> None:
    """kind: the decomposer; which: of all servers."""
    default = DecomposerSettings()
    url, model, key = (f"{kind}_{what}" for what in ("url", "model", "key_variable"))
    parameters.declare(url, getattr(default, url), f"of a server {which}, up to and with its version")
    parameters.declare(model, getattr(default, model), "name of the model at that server")
    parameters.declare(key, getattr(default, key), "environment variable with the server's key; none is sent if unset")


def _declare_completion(parameters: NodeParameters, registry: PlannerRegistry) -> None:
    default = WatchSettings()
    parameters.declare(
        "completion",
        AUTOMATIC,
        f"who scores frames for visual completion; auto: {DEFAULT_SCORER} where the rule looks, else none",
        choices=(AUTOMATIC, NO_SCORER, *registry.scorers.names),
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
    parameters.declare("completion_rate", 0.0, "frames scored per s of world time; 0: every one", bounds=(0.0, 1000.0))
    parameters.declare(
        "completion_camera",
        SCENE_CAMERA,
        "name or role of contrastive scorers' camera, and of the one whose frames say when 'policy' is asked",
    )


def read(
    parameters: NodeParameters, registry: PlannerRegistry, ask_policy: Callable[[], NamedSubstep]
) -> PlannerSettings:
    """The parameters' values, checked.

    Args:
        ask_policy: what the policy itself says comes next in the task under way.

    Raises:
        BadParameter: names the parameter, its value and what would be right.
    """
    new_rule = _new_rule(parameters, registry)
    objects, counts = _objects(parameters)
    return PlannerSettings(
        decomposers=_decomposers(parameters, registry),
        manager=ManagerSettings(
            substep_timeout=parameters.value("substep_timeout"),
            planning_timeout=parameters.value("planning_timeout"),
            silence=SilenceLimits(parameters.value("bridge_silence"), parameters.value("policy_silence")),
            recovery=RecoveryLadder(parameters.value("retries"), parameters.value("replans")),
            empty_width=None if (width := parameters.value("empty_width")) < 0.0 else width,
        ),
        new_rule=new_rule,
        scorer=_scorer(parameters, registry, new_rule().uses_vision, ask_policy),
        watch=watch_settings(parameters),
        preempt=parameters.value("when_busy") == "preempt",
        picture_camera=parameters.value("picture_camera"),
        objects=objects,
        counts=counts,
        take_suggestions=parameters.value("take_suggestions"),
    )


def _objects(parameters: NodeParameters) -> tuple[frozenset[str], Mapping[str, int]]:
    try:
        return read_objects([text for text in parameters.value("objects") if text])
    except ValueError as error:
        raise BadParameter(f"parameter objects: {told(error)}") from error


def watch_settings(parameters: NodeParameters) -> WatchSettings:
    """How the completion scorer looks at frames."""
    return WatchSettings(
        threshold=_threshold(parameters),
        frames=parameters.value("completion_frames"),
        rate=parameters.value("completion_rate") or None,
    )


def completion_settings(parameters: NodeParameters) -> CompletionSettings:
    """What the completion scorer is made from."""
    return CompletionSettings(
        model=parameters.value("completion_model"),
        device=parameters.value("device"),
        measure=parameters.value("completion_measure"),
        camera=parameters.value("completion_camera"),
        threshold=_threshold(parameters),
    )


def switch_settings(parameters: NodeParameters) -> SwitchSettings:
    """What switch rules are told."""
    return SwitchSettings(**{item.name: parameters.value(item.name) for item in fields(SwitchSettings)})


def decomposer_settings(parameters: NodeParameters) -> DecomposerSettings:
    """What decomposers are told."""
    return DecomposerSettings(**{item.name: parameters.value(item.name) for item in fields(DecomposerSettings)})


def _decomposers(parameters: NodeParameters, registry: PlannerRegistry) -> tuple[Decomposer, ...]:
    names = [name for name in parameters.value("decomposers") if name]
    try:
        return load_decomposers(names, decomposer_settings(parameters), registry.decomposers)
    except ValueError as error:
        raise BadParameter(f"parameter decomposers is {names}: {told(error)}") from error


def _new_rule(parameters: NodeParameters, registry: PlannerRegistry) -> Callable[[], SwitchRule]:
    name = parameters.value("switch_rule")
    new_rule = partial(make_switch_rule, name, switch_settings(parameters), registry.switch_rules)
    try:
        uses_vision = new_rule().uses_vision
    except ValueError as error:
        raise BadParameter(f"parameter switch_rule is {name!r}: {told(error)}") from error
    if uses_vision and parameters.value("completion") == NO_SCORER:
        raise BadParameter(
            f"parameter switch_rule is {name!r}, which needs a completion scorer: set parameter completion to one of "
            f"{', '.join(registry.scorers.names)}, or use 'eos'"
        )
    return new_rule


def _threshold(parameters: NodeParameters) -> float | None:
    threshold = parameters.value("completion_threshold")
    return None if threshold < 0.0 else threshold


def _scorer_name(parameters: NodeParameters, uses_vision: bool) -> str:
    name = parameters.value("completion")
    if name != AUTOMATIC:
        return name
    return DEFAULT_SCORER if uses_vision else NO_SCORER


def _scorer(
    parameters: NodeParameters, registry: PlannerRegistry, uses_vision: bool, ask_policy: Callable[[], NamedSubstep]
) -> CompletionScorer | None:
    name = _scorer_name(parameters, uses_vision)
    settings = replace(completion_settings(parameters), ask_policy=ask_policy)
    try:
        return load_scorer(name, settings, registry.scorers)
    except Exception as error:  # whatever a model's loading raises, it is this parameter's fault
        raise BadParameter(
            f"parameter completion is {name!r} with model {settings.model!r}: {type(error).__name__}: {error}"
        ) from error
