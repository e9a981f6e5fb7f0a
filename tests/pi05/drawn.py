"""Weights and inputs of a toy π0.5, drawn by name, the same for everybody who asks. Needs numpy and torch alone."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

VOCABULARY = 64  # rows of the embedding that are used
WIDTH, MLP, EXPERT_WIDTH, EXPERT_MLP = 32, 48, 24, 40
LAYERS, HEADS, KEY_VALUE_HEADS, HEAD_DIM = 2, 8, 1, 8
VISION_WIDTH, VISION_LAYERS, VISION_HEADS, VISION_MLP = 16, 2, 2, 24
IMAGE_SIZE = 28
CHUNK, ACTION, PADDED_ACTION, STEPS = 4, 7, 9, 5
CAMERAS = 2
IDS = ((2, 9, 17, 33, 5, 40, 8), (2, 11, 60, 7, 0, 0, 0))
LENGTHS = (7, 4)
TIME = 0.6


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Float32 numbers that depend on name and shape alone; no weight is left at a value that hides mistakes."""
    random = np.random.RandomState(zlib.crc32(name.encode()))  # whose stream numpy keeps as it is
    mean = 0.1 if len(shape) == 1 else 0.0
    return torch.from_numpy(random.normal(mean, 0.3, shape)).float()


def images() -> list[Tensor]:
    """Of every camera (B, 3, S, S) in [0, 1]."""
    return [drawn(f"camera {i}", (len(IDS), 3, IMAGE_SIZE, IMAGE_SIZE)).add(0.5).clamp(0, 1) for i in range(CAMERAS)]


def words() -> tuple[Tensor, Tensor]:
    """Token ids (B, L) and which are there (B, L) bool."""
    return torch.tensor(IDS), torch.arange(len(IDS[0])) < torch.tensor(LENGTHS)[:, None]


def chunk_and_noise() -> tuple[Tensor, Tensor]:
    """Padded normalised actions and noise, (B, C, W) each."""
    actions = torch.zeros(len(IDS), CHUNK, PADDED_ACTION)
    actions[..., :ACTION] = drawn("actions", (len(IDS), CHUNK, ACTION))
    return actions, 3 * drawn("noise", (len(IDS), CHUNK, PADDED_ACTION))


def wide_image() -> np.ndarray:
    """(30, 41, 3) uint8, to be fitted into a square."""
    return np.random.RandomState(3).randint(0, 256, (30, 41, 3)).astype(np.uint8)


def states() -> np.ndarray:
    """(3, 8) normalised proprioception, at the borders of [−1, 1] and beyond."""
    edges = [-1.7, -1.0, -0.9999, -0.004, 0.0, 0.3, 0.9999, 1.0]
    return np.array([edges, edges[::-1], [1.4, *edges[1:]]], np.float32)
