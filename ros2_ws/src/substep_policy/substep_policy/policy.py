"""The interface every policy has: the demonstrator, the compact model, OpenVLA-OFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from substep_core.chunk import Chunk
from substep_core.contract import RobotContract
from substep_core.named_substep import NamedSubstep
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing


class Policy(Protocol):
    """Turns the newest observation and the active substep into one chunk. It never touches the world."""

    name: str  # policy and checkpoint, as reported in ActionChunk.model
    robot: RobotContract  # that it was made for, see ``substep_core.contract.misfit``
    cameras: tuple[str, ...]  # of that robot, whose images it takes
    horizon: int  # actions of its chunks, before they are cut
    requires_scene: bool  # needs Observation.scene, so it runs in simulation only
    device: str  # where it runs and in which number type, as diagnostics show them
    dtype: str

    def start_substep(self, instruction: str, task: str) -> None:
        """A substep begins (or begins again): forget what belonged to the last one.

        Args:
            instruction: the substep, e.g. "pick up the alphabet soup".
            task: the whole task's instruction.

        Raises:
            ValueError: the policy cannot carry out such an instruction; the message says why.
        """

    def predict(self, observation: Observation) -> Chunk:
        """One chunk for this observation under the substep that ``start_substep`` named.

        Raises:
            ValueError: the observation lacks something the policy needs, named in the message.
            ChunkRefused: another reason, which it says.
        """


@dataclass(frozen=True)
class LeftOver:
    """What is left of the last chunk when the next one is asked for.

    Attributes:
        actions: (N, A) what is played from the observation on unless the next chunk comes, N ≥ 1.
        delay: of them those that are expected to be played before it comes.
    """

    actions: np.ndarray
    delay: int


@runtime_checkable
class Guided(Protocol):
    """What a policy can besides whose chunks can go on from what is left of the last one (real-time chunking)."""

    @property
    def why_not_guided(self) -> str:
        """Why this one cannot, though others of its kind can; empty: it can."""

    def go_on(self, observation: Observation, left_over: LeftOver) -> Chunk:
        """As ``predict``, for a chunk that goes on from ``left_over``. Its first action is for the first one there."""


def why_not_guided(policy: Policy) -> str:
    """Why the policy's chunks cannot go on from what is left of the last one; empty: they can."""
    if isinstance(policy, Guided):
        return policy.why_not_guided
    return "it has no way to be guided"


@dataclass(frozen=True)
class Asked:
    """An observation, and the substep that it is answered under, as ``start_substep`` would be told of it."""

    observation: Observation
    instruction: str
    task: str


@runtime_checkable
class Shareable(Protocol):
    """What a policy can besides whose chunk depends on what is asked alone, so that many episodes can share one.

    Attributes:
        in_one_pass: several are answered in one pass of the network; False: one after the other.
    """

    in_one_pass: bool

    @property
    def why_not_shared(self) -> str:
        """Why this one cannot, though others of its kind can; empty: it can."""

    def predict_batch(self, asked: Sequence[Asked]) -> list[Chunk | ChunkRefused]:
        """An answer to each, in order: what ``predict`` gives or raises once that substep was started.

        What one is refused for is no matter to the others. A substep that was started before has to be started again.
        """


def why_not_shared(policy: Policy) -> str:
    """Why episodes cannot share the policy; empty: they can."""
    if isinstance(policy, Shareable):
        return policy.why_not_shared
    return "it does not say that its chunks depend on what is asked alone"


def answer(policy: Policy, asked: Asked) -> Chunk:
    """One chunk under a substep that is started for it. Raises: ChunkRefused."""
    with refusing(RefusalKind.INSTRUCTION):
        policy.start_substep(asked.instruction, asked.task)
    with refusing(RefusalKind.OBSERVATION):
        return policy.predict(asked.observation)


def one_by_one(policy: Policy, asked: Sequence[Asked]) -> list[Chunk | ChunkRefused]:
    """``Shareable.predict_batch`` of a policy that answers several as it answers one."""
    answers: list[Chunk | ChunkRefused] = []
    for each in asked:
        try:
            answers.append(answer(policy, each))
        except ChunkRefused as refused:
            answers.append(refused)
    return answers


@runtime_checkable
class EosThresholded(Protocol):
    """What a policy has besides that ends substeps where a probability reaches a threshold.

    Attributes:
        eos_threshold: in [0, 1]; None: it goes by something else.
    """

    eos_threshold: float | None


@runtime_checkable
class Taught(Protocol):
    """What a policy has besides that knows which skills it was taught.

    Attributes:
        skills: by the words that substeps begin with; empty: it is not known.
    """

    skills: tuple[str, ...]


@runtime_checkable
class SubstepNamer(Protocol):
    """What a policy can besides whose model has words."""

    def next_substep(self, observation: Observation, task: str) -> NamedSubstep:
        """What comes next in the task, in the model's own words. No substep needs to have been started.

        Raises:
            ValueError: the observation lacks something the policy needs, named in the message.
        """


def as_namer(policy: Policy) -> SubstepNamer:
    """The policy as one that names substeps. Raises: ValueError: its model has no words."""
    if not isinstance(policy, SubstepNamer):
        raise ValueError(
            f"policy {policy.name} names no substeps, its model has no words: take one that has, such as a π0.5"
        )
    return policy


def taught_skills(policy: Policy) -> tuple[str, ...]:
    """Skills that the policy was taught; empty: it is not known."""
    return policy.skills if isinstance(policy, Taught) else ()


@runtime_checkable
class OfSeveralDataSets(Protocol):
    """A policy of a checkpoint that may have statistics of several data sets, such as one a task suite."""

    def use_dataset(self, dataset: str | None) -> None:
        """Work with those of this data set from now on; None: with the only ones that there are.

        Raises:
            ValueError: there are none of it, they do not fit, or one has to be chosen.
        """
