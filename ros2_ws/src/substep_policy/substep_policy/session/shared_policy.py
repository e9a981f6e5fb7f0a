"""A policy that many episodes share, as each of them sees it: one of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol

from substep_core.chunk import Chunk
from substep_core.contract import RobotContract
from substep_core.observation import Observation
from substep_policy.policy import Asked, Policy, taught_skills


@dataclass(frozen=True)
class PolicyCard:
    """What a policy says of itself, see ``substep_policy.policy.Policy``; ``skills``: as of ``Taught``."""

    name: str
    robot: RobotContract
    cameras: tuple[str, ...]
    horizon: int
    requires_scene: bool
    device: str
    dtype: str
    skills: tuple[str, ...]

    @classmethod
    def of(cls, policy: Policy) -> PolicyCard:
        own = {field.name: getattr(policy, field.name) for field in fields(cls) if field.name != "skills"}
        return cls(**own, skills=taught_skills(policy))


class Answering(Protocol):
    """A shared policy, wherever it is."""

    def begin(self, instruction: str, task: str) -> None:
        """Whether it can carry out such a substep. Raises: ValueError: it cannot; the message says why."""

    def answer(self, asked: Asked) -> Chunk:
        """One chunk. Raises: ChunkRefused."""


class SharedPolicy:
    """Implements ``Policy`` for one episode: the substep is kept here, the weights are elsewhere."""

    def __init__(self, card: PolicyCard, answering: Answering) -> None:
        self.name, self.robot, self.cameras, self.horizon = card.name, card.robot, card.cameras, card.horizon
        self.requires_scene, self.device, self.dtype = card.requires_scene, card.device, card.dtype
        self.skills = card.skills
        self._answering = answering
        self._substep: tuple[str, str] | None = None

    def start_substep(self, instruction: str, task: str) -> None:
        """See ``Policy``."""
        self._substep = None
        self._answering.begin(instruction, task)
        self._substep = instruction, task

    def predict(self, observation: Observation) -> Chunk:
        """See ``Policy``. Of the images only those that the policy takes are sent, of the scene nothing."""
        if self._substep is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        images = {name: image for name, image in observation.images.items() if name in self.cameras}
        seen = replace(observation, images=images, scene=None)
        return self._answering.answer(Asked(seen, *self._substep))
