"""From observation and instruction to model inputs: the same object in training, evaluation and on the robot."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from substep_policy.configuration import configuration
from substep_policy.instruction_tokens import InstructionTokenizer
from substep_policy.normalization import Statistics
from substep_policy.observation import PROPRIO_DIM


class ProprioEncoding(enum.StrEnum):
    """How the orientation in the proprioception vector reaches the model."""

    AXIS_ANGLE = "axis_angle"  # as it is: 8 numbers, the published checkpoints' input; jumps where q turns into −q
    ROTATION_6D = "rotation_6d"  # two columns of the rotation matrix: 11 numbers, continuous (Zhou et al. 2019)

    @property
    def width(self) -> int:
        return PROPRIO_DIM if self is ProprioEncoding.AXIS_ANGLE else PROPRIO_DIM + 3

    def apply(self, proprio: np.ndarray) -> np.ndarray:
        """Proprioception (…, 8) as in ``Observation.proprio`` -> (…, width) float32."""
        if self is ProprioEncoding.AXIS_ANGLE:
            return proprio.astype(np.float32)
        columns = rotation_matrix(proprio[..., 3:6])[..., :2].swapaxes(-1, -2)
        flat = columns.reshape(*proprio.shape[:-1], 6)
        return np.concatenate([proprio[..., :3], flat, proprio[..., 6:]], axis=-1).astype(np.float32)


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation vectors (…, 3) in rad -> rotation matrices (…, 3, 3), by Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


@configuration
class PreprocessingConfig:
    """``cameras`` in the order the model takes them; ``image_size`` is the side of its square images in pixels."""

    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    image_size: int = 128
    proprio_encoding: ProprioEncoding = ProprioEncoding.ROTATION_6D
    max_instruction_tokens: int = 32

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ValueError("cameras is empty: the model needs at least one image")
        if self.image_size < 16:
            raise ValueError(f"image_size is {self.image_size}, must be at least 16 pixels")


class Preprocessor:
    """Images, proprioception and text in the form the compact model takes."""

    def __init__(self, config: PreprocessingConfig, proprio: Statistics, tokenizer: InstructionTokenizer) -> None:
        if len(proprio.mean) != config.proprio_encoding.width:
            raise ValueError(
                f"statistics describe {len(proprio.mean)} proprioception values, "
                f"{config.proprio_encoding} has {config.proprio_encoding.width}"
            )
        self.config, self.proprio_statistics, self.tokenizer = config, proprio, tokenizer

    def images(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Camera name -> (H, W, 3) uint8, any size -> (cameras, S, S, 3) uint8.

        Raises:
            ValueError: a camera the model needs is missing.
        """
        missing = [name for name in self.config.cameras if name not in images]
        if missing:
            raise ValueError(f"the model needs camera {', '.join(missing)}; the observation has {sorted(images)}")
        return np.stack([resize(images[name], self.config.image_size) for name in self.config.cameras])

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        """(…, 8) -> (…, width) float32, normalised."""
        return self.proprio_statistics.normalize(self.config.proprio_encoding.apply(proprio))

    def text(self, instructions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """N instructions -> ids (N, L) int64, attention mask (N, L) bool."""
        return self.tokenizer.encode(instructions)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8, averaging areas when it shrinks; unchanged when it fits."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
