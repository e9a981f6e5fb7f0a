"""Which part of a tokenizer's error a replay carries out, so that what loses a recording can be told apart."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from substep_core.contract import RobotContract, motion_values
from substep_policy.action_tokenizers.folder import ChunkTokenizer

ALL = "all"  # the decoded actions
NORMALIZED = "normalized"  # only through what the policy normalises actions with: grippers open or closed, limits
NOISE = "noise"  # the recorded actions, with the errors of their motions at other times of the same recording


def check_parts(parts: Sequence[str], robot: RobotContract) -> None:
    """Raises: ValueError: one is neither of those above nor an action group of the robot."""
    known = [ALL, NORMALIZED, NOISE, *(group.name for group in robot.action)]
    if wrong := [part for part in parts if part not in known]:
        raise ValueError(f"parts are {wrong}, expected some of {', '.join(known)}")


def carried_out(tokenizer: ChunkTokenizer, layers: int, part: str, actions: np.ndarray, name: str) -> np.ndarray:
    """The actions (T, A) of a recording's replay.

    Args:
        part: see ``check_parts``; of an action group: its values decoded, all others as recorded.
        name: of the recording; whoever gives the same name gets the same noise.
    """
    space = tokenizer.space
    if part == NORMALIZED:
        return space.normalizer.decode(space.normalizer.encode(actions))
    decoded = through(tokenizer, layers, actions)
    if part == ALL:
        return decoded
    if part == NOISE:
        return _with_errors_of_other_times(space.robot, actions, decoded, zlib.crc32(name.encode()))
    (group,) = (group for group in space.robot.action if group.name == part)
    place = space.robot.action_slice(group)
    mixed = np.array(actions, np.float32)
    mixed[:, place] = decoded[:, place]
    return mixed


def through(tokenizer: ChunkTokenizer, layers: int, actions: np.ndarray) -> np.ndarray:
    """A recording's actions (T, A), chunk after chunk through a tokenizer; the last is filled up with its end."""
    space = tokenizer.space
    steps = np.minimum(np.arange(-(-len(actions) // space.chunk_length) * space.chunk_length), len(actions) - 1)
    chunks = space.normalizer.encode(actions[steps]).reshape(-1, space.chunk_length, space.width)
    decoded = space.normalizer.decode(tokenizer.reconstruct(chunks, layers).actions)
    return decoded.reshape(-1, space.width)[: len(actions)]


def _with_errors_of_other_times(
    robot: RobotContract, actions: np.ndarray, decoded: np.ndarray, seed: int
) -> np.ndarray:
    """Errors of a timestep's motions stay together. Grippers are as recorded, motions within their limits."""
    motions = motion_values(robot)
    errors = np.random.default_rng(seed).permutation(decoded - actions)
    noisy = np.where(motions, actions + errors, actions).astype(np.float32)
    for group in robot.action:
        if not group.is_gripper:
            place = robot.action_slice(group)
            noisy[:, place] = np.clip(noisy[:, place], group.low, group.high)
    return noisy
