"""What goes wrong on purpose in demonstrations, so that they show how to recover."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from libero_bridge.simulation import Simulation
from substep_planner.plan import is_pick
from substep_policy.chunk import Chunk
from substep_policy.configuration import configuration
from substep_policy.observation import Observation
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings


@configuration
class Variation:
    """How episodes are varied.

    Attributes:
        widened: share of episodes with widened placements; the others start in benchmark states.
        noise: largest standard deviation of the noise on actions; each episode draws its own, a quarter have none.
            The actions taught are those without it (Laskey et al. 2017, DART).
        disturbance: chance, each time the policy is asked, that the arm is first moved elsewhere; by a novice once in a
            substep at most.
        disturbance_steps: shortest and longest such motion, in control steps.
        novice: a learned policy that moves the arm in disturbances, by name or checkpoint folder, so that
            demonstrations begin where it goes wrong (rolled in for a while, then the expert, as in AggreVaTe,
            Ross & Bagnell 2014); empty: random motions.
        novice_chunks: fewest and most chunks that it plays before the demonstrator takes over again.
        novice_lets_go: chance, in a substep, that it also plays on where it lets go of what it holds, so that
            demonstrations show what to do about a thing put in the wrong place; else the demonstrator takes over there.
        missed_grasp: chance, each time the gripper is about to close on what is to be picked up, that it closes beside
            it and rises empty, so that demonstrations show what to do about a grasp that missed.
        split: "training", or "evaluation" for episodes that nothing may be trained on.
    """

    widened: float = 0.7
    noise: float = 0.15
    disturbance: float = 0.01
    disturbance_steps: tuple[int, int] = (4, 10)
    novice: str = ""
    novice_chunks: tuple[int, int] = (2, 8)
    novice_lets_go: float = 0.0
    missed_grasp: float = 0.0
    split: Literal["training", "evaluation"] = "training"

    def __post_init__(self) -> None:
        for name in ("widened", "noise", "disturbance", "novice_lets_go", "missed_grasp"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        if self.missed_grasp == 1:
            raise ValueError("missed_grasp is 1, must be below: nothing would ever be grasped")
        if self.novice and not self.disturbance:
            raise ValueError(f"novice is {self.novice!r} and disturbance 0: it would never play")
        if self.novice_lets_go and not self.novice:
            raise ValueError(f"novice_lets_go is {self.novice_lets_go} and there is no novice: nobody would let go")
        for name in ("disturbance_steps", "novice_chunks"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ValueError(f"{name} {(low, high)} must be two rising numbers from 1 on")


class Novice:
    """A learned policy in a world that renders when somebody looks."""

    def __init__(self, policy: Policy, simulation: Simulation) -> None:
        self._policy, self._simulation = policy, simulation

    def start_substep(self, instruction: str, task: str) -> None:
        self._policy.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        """Its chunk about what there is to see now."""
        config = self._simulation.config
        images = {camera: self._simulation.render(camera, *config.image_size) for camera in config.cameras}
        return self._policy.predict(replace(observation, images=images))


def check_novice(name: str) -> None:
    """Load a novice and let it go again. Raises: ValueError, OSError: as loading a policy does."""
    POLICIES.load(name, PolicySettings(device="cpu"))


@lru_cache(maxsize=1)
def load_novice(name: str) -> Policy:
    """Kept for the process's next episode; one thread, since every worker has one of its own."""
    torch.set_num_threads(1)
    return POLICIES.load(name, PolicySettings(device="cpu"))


class DisturbedPolicy:
    """A policy whose arm is now and then moved elsewhere, at random or by a novice for some chunks, or whose grasp
    is made to miss."""

    def __init__(self, policy: Policy, variation: Variation, seed: int, novice: Policy | None = None) -> None:
        self._policy, self._variation, self._novice = policy, variation, novice
        self._random = np.random.default_rng((seed, 1))
        self._gripper = -1.0
        self._novice_chunks = 0  # that the novice has still to play
        self._novice_has_played = False  # in this substep: once is enough, the rest is for the demonstrator to show
        self._may_let_go = False
        self._disturbance: Chunk | None = None
        self._told: tuple[str, str] | None = None

    def __getattr__(self, name: str):
        """Name, device and the like are the policy's own."""
        return getattr(self._policy, name)

    def start_substep(self, instruction: str, task: str) -> None:
        self._told, self._novice_has_played = (instruction, task), False
        self._may_let_go = self._happens(self._variation.novice_lets_go)
        self._policy.start_substep(instruction, task)
        if self._novice is not None:
            self._novice.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        """The policy's chunk, or a disturbance."""
        if self._is_to_be_disturbed():
            if self._novice is None:
                self._disturbance = self._motion()
                return self._disturbance
            self._policy.predict(observation)  # who takes over has seen what the words mean, before it is moved
            low, high = self._variation.novice_chunks
            self._novice_chunks, self._novice_has_played = int(self._random.integers(low, high + 1)), True
        if self._novice_chunks:
            stretch = self._stretch(observation)
            if stretch is not None:
                self._disturbance = stretch
                return stretch
        chunk = self._policy.predict(observation)
        before, self._gripper = self._gripper, float(chunk.actions[-1, -1])
        if before < 0 < self._gripper and self._is_to_miss():
            self._policy.start_substep(*self._told)  # it must not think that it has closed where it meant to
            self._disturbance = self._miss()
            return self._disturbance
        return chunk

    def is_disturbance(self, chunk: Chunk) -> bool:
        return chunk is self._disturbance

    def _is_to_be_disturbed(self) -> bool:
        can_be = not (self._novice_chunks or self._novice_has_played)
        return can_be and self._random.random() < self._variation.disturbance

    def _motion(self) -> Chunk:
        """A motion somewhere else with the gripper as it is."""
        low, high = self._variation.disturbance_steps
        action = np.append(self._random.uniform(-0.6, 0.6, 6), self._gripper)
        action[3:6] *= 0.2
        return Chunk(np.tile(action, (self._random.integers(low, high + 1), 1)).astype(np.float32))

    def _is_to_miss(self) -> bool:
        return is_pick(self._told[0]) and self._happens(self._variation.missed_grasp)

    def _happens(self, chance: float) -> bool:
        """Nothing is drawn for what never happens: what else is drawn stays as it was without."""
        return chance > 0 and self._random.random() < chance

    def _miss(self) -> Chunk:
        """Up and aside with the gripper open, closing there, and further up."""
        rise, close, lift = self._random.integers((3, 8, 2), (6, 13, 7))
        motion = np.zeros(7)
        motion[:2], motion[2], motion[6] = self._random.uniform(-0.5, 0.5, 2), self._random.uniform(0.4, 0.9), -1.0
        closing, up = np.array([0, 0, 0, 0, 0, 0, 1.0]), np.array([0, 0, 0.6, 0, 0, 0, 1.0])
        actions = [np.tile(motion, (rise, 1)), np.tile(closing, (close, 1)), np.tile(up, (lift, 1))]
        return Chunk(np.concatenate(actions).astype(np.float32))

    def _stretch(self, observation: Observation) -> Chunk | None:
        """The novice's next chunk; None when it is the policy's turn.

        Where the novice takes the substep for done, or would let go of what it holds, the policy decides whether it is
        so far: what was let go in the wrong place is not always saved.
        """
        chunk = self._novice.predict(observation)
        kept = self._until_it_lets_go(chunk.actions)
        is_over = chunk.has_eos or len(kept) < len(chunk.actions)
        self._novice_chunks = 0 if is_over else self._novice_chunks - 1
        return Chunk(kept) if len(kept) else None

    def _until_it_lets_go(self, actions: np.ndarray) -> np.ndarray:
        """(C, 7) -> those before the gripper opens, where the substep began with something in it."""
        opens = np.flatnonzero(actions[:, -1] < 0)
        holds = self._gripper > 0 and not is_pick(self._told[0])
        return actions[: opens[0]] if holds and len(opens) and not self._may_let_go else actions
