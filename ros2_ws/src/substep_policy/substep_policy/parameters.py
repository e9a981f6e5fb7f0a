"""Parameters of the policy, and what they say."""

from __future__ import annotations

from dataclasses import fields

from substep_core.configuration import options_of, told
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_policy.guidance_settings import GUIDANCES, GuidanceSettings, Schedule
from substep_policy.registry import DEFAULT_POLICY, DTYPES, PolicySettings
from substep_policy.run_modes import Execution, Quantization
from substep_policy.session.policy_session import StuckSettings


def declare(parameters: NodeParameters) -> None:
    """Declare every parameter of the policy."""
    parameters.declare("policy", DEFAULT_POLICY, "a policy's name, the folder of a checkpoint, or a hub id")
    parameters.declare("device", "auto", "where the model runs: auto, cpu, cuda or cuda:N")
    parameters.declare("dtype", "auto", "number type of the model's weights", choices=DTYPES)
    parameters.declare(
        "quantization", "none", "numbers that a large model's linear layers are kept in", choices=tuple(Quantization)
    )
    parameters.declare("execution", "eager", "how a large model's network is carried out", choices=tuple(Execution))
    parameters.declare(
        "eos_threshold",
        -1.0,
        "EOS probability that ends a substep; negative: the checkpoint's own",
        bounds=(-1.0, 1.0),
    )
    parameters.declare(
        "dataset",
        "",
        "whose statistics a checkpoint works with, by name; empty: those of the suite, or of the only data set it has",
    )
    parameters.declare(
        "must_name_substeps", False, "the planner asks for substeps: a policy whose model has no words is refused"
    )
    parameters.declare("suite", "", "task suite that is run, which chooses among the data sets of a checkpoint")
    parameters.declare("seed", 0, "of what the policy draws at random", bounds=(0, 2**31 - 1))
    for option in options_of(StuckSettings):
        parameters.declare(option.name, option.default, option.description, bounds=option.bounds)
    parameters.declare(
        "guidance",
        "gradient",
        "how a chunk is drawn to the last one where the bridge joins chunks by real_time_chunking",
        choices=GUIDANCES.names,
    )
    parameters.declare(
        "guidance_weight",
        5.0,
        "β, the most that the difference to the last chunk is weighted with",
        bounds=(0.0, 1000.0),
    )
    parameters.declare(
        "guidance_schedule",
        Schedule.EXPONENTIAL.value,
        "how the weights of actions fall that may still change",
        choices=tuple(Schedule),
    )
    parameters.declare(
        "added_latency",
        0.0,
        "s that every chunk comes later than the model has it, to see what a slower one would be like",
        bounds=(0.0, 60.0),
    )
    parameters.declare("contract_timeout", 10.0, "s that activation waits for the robot contract", bounds=(0.0, 3600.0))


def stuck_settings(parameters: NodeParameters) -> StuckSettings:
    """Raises: BadParameter."""
    return StuckSettings(**{item.name: parameters.value(item.name) for item in fields(StuckSettings)})


def policy_settings(parameters: NodeParameters) -> PolicySettings:
    """Raises: BadParameter."""
    threshold = parameters.value("eos_threshold")
    try:
        return PolicySettings(
            device=parameters.value("device"),
            dtype=parameters.value("dtype"),
            quantization=Quantization(parameters.value("quantization")),
            execution=Execution(parameters.value("execution")),
            eos_threshold=None if threshold < 0.0 else threshold,
            dataset=parameters.value("dataset") or None,
            seed=parameters.value("seed"),
            guidance=GuidanceSettings(
                guidance=parameters.value("guidance"),
                weight=parameters.value("guidance_weight"),
                schedule=Schedule(parameters.value("guidance_schedule")),
            ),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter {told(error)}") from error
