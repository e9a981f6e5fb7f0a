"""From observation and instruction to model inputs: the same object in training, evaluation and on the robot."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from substep_core.configuration import configuration
from substep_core.contract import RobotContract, StateGroup, StateQuantity
from substep_core.rotation import rotation_matrix
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.normalization import Statistics
from substep_policy.models.sizes import Pixels, Tokens

if TYPE_CHECKING:
    from substep_policy.models.compact.model import CompactModelConfig

COLUMNS = 2  # of a rotation matrix: the third follows from them


class ProprioEncoding(enum.StrEnum):
    """How rotations in the proprioception vector reach the model."""

    AXIS_ANGLE = "axis_angle"  # as they are: the published checkpoints' input; jumps where q turns into −q
    ROTATION_6D = "rotation_6d"  # two columns of the rotation matrix: continuous (Zhou et al. 2019)

    def widths(self, robot: RobotContract) -> dict[str, int]:
        """State group -> values that the model takes of it."""
        return {group.name: 3 * COLUMNS if self._turns(group) else group.width for group in robot.state}

    def apply(self, proprio: np.ndarray, robot: RobotContract) -> np.ndarray:
        """Proprioception (…, S) -> what the model takes (…, N) float32, group by group."""
        parts = []
        for group in robot.state:
            values = proprio[..., robot.state_slice(group)]
            parts.append(_columns(values) if self._turns(group) else values)
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def _turns(self, group: StateGroup) -> bool:
        return self is ProprioEncoding.ROTATION_6D and group.quantity is StateQuantity.ROTATION


def _columns(rotation: np.ndarray) -> np.ndarray:
    """Rotation vectors (…, 3) in rad -> the first columns of their matrices, one after the other (…, 6)."""
    return rotation_matrix(rotation)[..., :COLUMNS].swapaxes(-1, -2).reshape(*rotation.shape[:-1], 3 * COLUMNS)


@configuration
class PreprocessingConfig:
    """What the compact model takes.

    Attributes:
        cameras: in the order the model takes them; empty: all of the robot's.
        image_size: side of its square images in pixels.
    """

    cameras: tuple[str, ...] = ()
    image_size: Pixels = 128
    proprio_encoding: ProprioEncoding = ProprioEncoding.ROTATION_6D
    max_instruction_tokens: Tokens = 32

    def __post_init__(self) -> None:
        if self.image_size < 16:
            raise ValueError(f"image_size is {self.image_size}, must be at least 16 pixels")


class Preprocessor:
    """Images, proprioception and text in the form the compact model takes."""

    def __init__(self, config: CompactModelConfig, proprio: Statistics, tokenizer: InstructionTokenizer) -> None:
        self.config, self.proprio_statistics, self.tokenizer = config, proprio, tokenizer

    def with_statistics(self, proprio: Statistics) -> Preprocessor:
        """The same for proprioception of another data set."""
        return Preprocessor(self.config, proprio, self.tokenizer)

    def images(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Camera name -> (H, W, 3) uint8, any size -> (cameras, S, S, 3) uint8.

        Raises:
            ValueError: a camera the model needs is missing.
        """
        missing = [name for name in self.config.cameras if name not in images]
        if missing:
            raise ValueError(f"the model needs camera {', '.join(missing)}; the observation has {sorted(images)}")
        size = self.config.preprocessing.image_size
        return np.stack([resize(images[name], size) for name in self.config.cameras])

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        """(…, S) -> (…, N) float32, normalised."""
        encoding = self.config.preprocessing.proprio_encoding
        return self.proprio_statistics.normalize(encoding.apply(proprio, self.config.robot))

    def text(self, instructions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """N instructions -> ids (N, L) int64, attention mask (N, L) bool. Raises: TextTooLong: one is longer than L."""
        return self.tokenizer.encode(instructions)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8, averaging areas when it shrinks; unchanged when it fits."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
