"""Asks a policy again what it was asked in a recorded run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from substep_core.chunk import Chunk
from substep_core.given_parameters import GivenParameters
from substep_core.protocol import ChunkRefused
from substep_core.ros.topics import camera_image
from substep_policy import parameters as policy_parameters
from substep_policy.loading import load_policy
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicyRegistry
from substep_policy.request_answering import RequestAnswering
from training.rerun.recorded import RecordedDecision, RecordedRun


@dataclass(frozen=True)
class Rerun:
    """A decision, and what the policy answers now. refusal: why it gives no chunk; inference_time in s."""

    decision: RecordedDecision
    chunk: Chunk | None
    refusal: str
    inference_time: float


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy as its node would have loaded it."""

    policy: Policy
    parameters: GivenParameters


def load(run: RecordedRun, changes: Mapping[str, Any], registry: PolicyRegistry = POLICIES) -> LoadedPolicy:
    """The policy of the run, with the parameters that its node had.

    Args:
        changes: parameters of the node that are to be others.

    Raises:
        ValueError: there is no such policy, or neither the bag nor ``changes`` names one.
        Exception: whatever the policy's own loader raises.
    """
    own = run.parameters.get("policy", {})
    told = {**own, **changes}
    if "policy" not in told:
        raise ValueError(f"{run.bag.path} does not say which policy was run: name one with --policy")
    if told["policy"] != own.get("policy"):
        told.pop("dataset", None)  # of the other one's checkpoint
    parameters = GivenParameters(told)
    policy_parameters.declare(parameters)
    settings = policy_parameters.policy_settings(parameters)
    policy = load_policy(parameters.value("policy"), settings, parameters.value("suite"), registry)
    return LoadedPolicy(policy, parameters)


def rerun(run: RecordedRun, loaded: LoadedPolicy) -> Iterator[Rerun]:
    """What the policy answers to each recorded request, in their order. Decisions come with all cameras' images.

    Raises:
        ValueError: the policy does not fit the robot.
        BagError: something that the policy needs was not recorded.
    """
    answering = RequestAnswering(loaded.policy, run.robot, policy_parameters.stuck_settings(loaded.parameters))
    run.bag.require(answering.topics.values(), f"policy {loaded.policy.name}")
    cameras = [topic for topic in map(camera_image, run.robot.camera_names) if run.bag.has(topic)]
    for decision in run.decisions({topic.name: topic for topic in (*answering.topics.values(), *cameras)}.values()):
        wanted = {name: decision.work.messages[name] for name in answering.topics}
        begin = time.perf_counter()
        chunk, refusal = None, ""
        try:
            chunk = answering.chunk(replace(decision.work, messages=wanted))
        except ChunkRefused as refused:
            refusal = str(refused)
        yield Rerun(decision, chunk, refusal, time.perf_counter() - begin)
