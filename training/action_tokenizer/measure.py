"""Errors of chunks that are encoded and decoded, in millimetres and degrees, by tokenizers of several kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from substep_core.contract import ActionGroup, ActionQuantity, motion_values
from substep_policy.action_tokenizers.fast import FastTokenizer
from substep_policy.action_tokenizers.folder import ChunkTokenizer
from substep_policy.action_tokenizers.rfsq import RfsqTokenizer
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.heads.action_tokens import BINS, ActionTokenizer
from training.action_tokenizer.chunks import ActionChunks

UNITS = {"m": ("mm", 1e3), "rad": ("°", 180 / math.pi), "m/s": ("mm/s", 1e3), "rad/s": ("°/s", 180 / math.pi)}
VECTORS = (ActionQuantity.DELTA_POSITION, ActionQuantity.DELTA_ROTATION)  # whose values are one vector
FAST_SCALES = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
FAST_CHUNKS = 10_000  # that each of those is fitted to


@dataclass(frozen=True)
class GroupError:
    """Of the commands of an action group, a control step each: of a gripper the share that turns around, in %."""

    group: str
    unit: str
    mean: float
    p99: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} ({self.p99:.3g})"


@dataclass(frozen=True)
class TokenizerFigures:
    """One way to tokenize.

    Attributes:
        bits: of a chunk, on average.
        rms: error of the motions' values, normalised.
    """

    name: str
    bits: float
    rms: float
    groups: tuple[GroupError, ...]


@dataclass(frozen=True)
class LayerUse:
    """How a layer's codes are used: the share of them that occurs, and their entropy in bits."""

    layer: int
    used: float
    entropy: float


def measure(name: str, bits: float, space: ActionSpace, actions: np.ndarray, decoded: np.ndarray) -> TokenizerFigures:
    """Errors of decoded chunks (N, C, A), normalised, against what they were encoded from."""
    difference = (decoded - actions)[..., motion_values(space.robot)]
    meant, told = (space.normalizer.decode(values) for values in (actions, decoded))
    groups = tuple(
        group_error(group, meant[..., place], told[..., place])
        for group in space.robot.action
        for place in [space.robot.action_slice(group)]
    )
    return TokenizerFigures(name, bits, float(np.sqrt(np.square(difference, dtype=np.float64).mean())), groups)


def group_error(group: ActionGroup, meant: np.ndarray, told: np.ndarray) -> GroupError:
    """Of commands (N, C, W): of a vector its length, of other values each."""
    if group.is_gripper:
        turned = 100.0 * (meant != told)
        return GroupError(group.name, "% turned", float(turned.mean()), float(np.quantile(turned, 0.99)))
    unit, factor = UNITS.get(group.unit, (group.unit, 1.0))
    error = np.abs(told.astype(np.float64) - meant) * group.scale * factor
    if group.quantity in VECTORS:
        error = np.linalg.norm(error, axis=-1)
    return GroupError(group.name, unit, float(error.mean()), float(np.quantile(error, 0.99)))


def row(tokenizer: ChunkTokenizer, actions: np.ndarray, fineness: int = 1) -> TokenizerFigures:
    """A tokenizer at one of its finenesses."""
    found = tokenizer.reconstruct(actions, fineness)
    return measure(found.name, found.bits, tokenizer.space, actions, found.actions)


@torch.no_grad()
def code_use(tokenizer: RfsqTokenizer, actions: np.ndarray) -> tuple[LayerUse, ...]:
    """How evenly each layer uses its codes, a latent scalar at a time."""
    codes, levels = tokenizer.encode(torch.from_numpy(actions)), tokenizer.config.network.levels
    found = []
    for layer in range(codes.shape[-1]):
        shares = torch.nn.functional.one_hot(codes[..., layer], levels).double().mean((0, 1))  # (H, levels)
        entropy = -(shares * shares.clamp(min=1e-12).log2()).sum(-1).mean()
        found.append(LayerUse(layer + 1, float((shares > 0).double().mean()), float(entropy)))
    return tuple(found)


def fast_curve(chunks: ActionChunks, actions: np.ndarray) -> tuple[TokenizerFigures, ...]:
    """FAST of several scales, each with twice as many tokens as it needs symbols, and at least 1024."""
    some = chunks.training[:: max(1, len(chunks.training) // FAST_CHUNKS)]
    rows = []
    for scale in FAST_SCALES:
        symbols = 2 * scale * math.sqrt(chunks.space.chunk_length) + 1  # of a chunk that is 1 throughout, to −1
        size = max(1024, 2 ** math.ceil(math.log2(2 * symbols)))
        rows.append(row(FastTokenizer.fit(some, chunks.space, scale, size), actions))
    return tuple(rows)


def bins_row(space: ActionSpace, actions: np.ndarray, bits: int) -> TokenizerFigures:
    """2^bits uniform bins a value."""
    count = 2**bits
    numbers = np.floor((actions.clip(-1, 1) + 1) / 2 * count).clip(max=count - 1)
    decoded = ((numbers + 0.5) / count * 2 - 1).astype(np.float32)
    return measure(f"bins, {count}", bits * actions[0].size, space, actions, decoded)


def published_bins_row(space: ActionSpace, actions: np.ndarray) -> TokenizerFigures:
    """OpenVLA's 256 bins, the head ``tokens``."""
    tokens, values = ActionTokenizer(vocabulary_size=BINS + 1, eos_token_id=0), torch.from_numpy(actions)
    decoded = tokens.decode(tokens.encode(values)).numpy()
    return measure("256 bins", math.log2(BINS) * actions[0].size, space, actions, decoded)
