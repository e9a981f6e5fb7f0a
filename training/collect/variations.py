"""Collection variations: noise, disturbances, a novice policy and missed grasps, so that recovery is shown."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from libero_bridge.simulation import Simulation
from substep_core.chunk import Chunk
from substep_core.contract import ActionQuantity, action_limits, gripper_command, initial_action, motion_values
from substep_core.language.motions import is_pick
from substep_core.observation import Observation
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from training.collect.settings import Variation


class Novice:
    """A learned policy in a world that renders on demand.

    Args:
        seed: some policies draw: their chunks of an episode are a function of it.
    """

    def __init__(self, policy: Policy, simulation: Simulation, seed: int) -> None:
        import torch  # seconds to import, and the expert alone does without

        torch.manual_seed(seed)
        self._policy, self._simulation = policy, simulation

    def start_substep(self, instruction: str, task: str) -> None:
        self._policy.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        """Its chunk about what there is to see now."""
        images = self._simulation.images(self._simulation.config.cameras)
        return self._policy.predict(replace(observation, images=images))


def check_novice(name: str, suite: str) -> None:
    """Load a novice and let it go again. Raises: ValueError, OSError: as loading a policy does."""
    POLICIES.load(name, POLICIES.settings_for(name, PolicySettings(device="cpu"), suite))


@lru_cache(maxsize=1)
def load_novice(name: str, suite: str) -> Policy:
    """Kept for the process's next episode; one thread, since every worker has one of its own."""
    import torch

    torch.set_num_threads(1)
    return POLICIES.load(name, POLICIES.settings_for(name, PolicySettings(device="cpu"), suite))


class NoisyPolicy:
    """A policy to whose motions Gaussian noise is added, within what an action may say.

    Attributes:
        meant: the policy's newest chunk, without the noise.

    Args:
        noise: standard deviation, in action units.
    """

    def __init__(self, policy: Policy, noise: float, seed: int) -> None:
        self._policy, self._noise = policy, noise
        self._random = np.random.default_rng(seed)
        self._moves = motion_values(policy.robot)
        self._limits = tuple(limit[self._moves] for limit in action_limits(policy.robot))
        self.meant: Chunk | None = None

    def __getattr__(self, name: str):
        """Name, device and the like are the policy's own."""
        return getattr(self._policy, name)

    def start_substep(self, instruction: str, task: str) -> None:
        self._policy.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        self.meant = chunk = self._policy.predict(observation)
        if not self._noise:
            return chunk
        actions = chunk.actions.copy()
        noise = self._random.normal(0, self._noise, (len(actions), np.count_nonzero(self._moves)))
        actions[:, self._moves] = np.clip(actions[:, self._moves] + noise, *self._limits)
        return replace(chunk, actions=actions)


class DisturbedPolicy:
    """A policy whose arm is now and then moved elsewhere, at random or by a novice for some chunks, or whose grasp
    is made to miss."""

    def __init__(self, policy: Policy, variation: Variation, seed: int, novice: Policy | None = None) -> None:
        self._policy, self._variation, self._novice = policy, variation, novice
        self._robot = policy.robot
        self._random = np.random.default_rng((seed, 1))
        self._last = initial_action(self._robot)  # (A,) of the policy's own
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
        before, self._last = self._last, chunk.actions[-1]
        if self._is_open(before) and not self._is_open(self._last) and self._is_to_miss():
            self._policy.start_substep(*self._told)  # it must not think that it has closed where it meant to
            self._disturbance = self._miss()
            return self._disturbance
        return chunk

    def is_disturbance(self, chunk: Chunk) -> bool:
        """Whether the policy's newest chunk is none of its own."""
        return chunk is self._disturbance

    def _is_open(self, action: np.ndarray) -> bool:
        return gripper_command(self._robot, action) < 0

    def _is_to_be_disturbed(self) -> bool:
        can_be = not (self._novice_chunks or self._novice_has_played)
        return can_be and self._random.random() < self._variation.disturbance

    def _motion(self) -> Chunk:
        """A motion somewhere else with the gripper as it is."""
        low, high = self._variation.disturbance_steps
        action, moves = self._last.astype(np.float64), motion_values(self._robot)
        action[moves] = self._random.uniform(-0.6, 0.6, np.count_nonzero(moves))
        for group in self._robot.action_groups(ActionQuantity.DELTA_ROTATION):
            action[self._robot.action_slice(group)] *= 0.2
        return Chunk(np.tile(action, (self._random.integers(low, high + 1), 1)).astype(np.float32))

    def _is_to_miss(self) -> bool:
        return is_pick(self._told[0]) and self._happens(self._variation.missed_grasp)

    def _happens(self, chance: float) -> bool:
        """Nothing is drawn for what never happens: what else is drawn stays as it was without."""
        return chance > 0 and self._random.random() < chance

    def _miss(self) -> Chunk:
        """Up and aside with the gripper open, closing there, and further up."""
        rise, close, lift = self._random.integers((3, 8, 2), (6, 13, 7))
        aside, height = self._random.uniform(-0.5, 0.5, 2), self._random.uniform(0.4, 0.9)
        (position, *_), gripper = self._robot.action_groups(ActionQuantity.DELTA_POSITION), self._robot.gripper
        actions = np.zeros((rise + close + lift, self._robot.action_width), np.float32)
        motion = actions[:, self._robot.action_slice(position)]
        motion[:rise, :2], motion[:rise, 2], motion[rise + close :, 2] = aside, height, 0.6
        actions[:, self._robot.action_slice(gripper)] = gripper.closed
        actions[:rise, self._robot.action_slice(gripper)] = gripper.opened
        return Chunk(actions)

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
        """(C, A) -> those before the gripper opens, where the substep began with something in it."""
        opens = [index for index, action in enumerate(actions) if self._is_open(action)]
        holds = not self._is_open(self._last) and not is_pick(self._told[0])
        return actions[: opens[0]] if holds and len(opens) and not self._may_let_go else actions
