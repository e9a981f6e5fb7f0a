"""One demonstration, whatever file it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from substep_core.contract import RobotContract
from training.data.readers.orientation import ImageOrientation
from training.labels.file import EpisodeLabels

Result = TypeVar("Result")


class DemonstrationError(ValueError):
    """A demonstration that cannot be used; the message names the file, the episode and what is wrong."""


@dataclass(frozen=True)
class FrameOrigin:
    """What a source says of how its frames come about; other frames come of other values.

    Attributes:
        orientation: which way up they are stored; None where they are rendered.
        render_size: side in pixels at which they are rendered; None where they are stored.
        looks: what their looks are drawn from, as JSON; "" where they are rendered as the task looks.
    """

    orientation: ImageOrientation | None = None
    render_size: int | None = None
    looks: str = ""


@dataclass(frozen=True)
class FromJpeg:
    """Frames (T, H, W, 3) uint8 that were decoded from JPEG files: what JPEG loses is lost in them already."""

    images: np.ndarray


StoredFrames = Mapping[str, np.ndarray | FromJpeg]


@dataclass(frozen=True)
class Demonstration:
    """An episode of T timesteps. Frames are read when they are asked for.

    Attributes:
        suite, task: e.g. "libero_goal", "put_the_bowl_on_the_plate"; LIBERO's scene may stand in front of the task.
        episode: "episode_N", N counting the episodes of the task from 0.
        instruction: the whole task's.
        robot: whose groups the vectors have.
        actions: (T, A) float32 as taught.
        proprio: (T, S) float32 as ``Observation.proprio``.
        taught: (T,) bool; False where the action is no example to follow (a disturbance to recover from).
        load_frames: -> camera name -> (T, H, W, 3) uint8, upright; as ``FromJpeg`` where they are that.
        frame_origin: what ``load_frames`` depends on beside the files.
        source: file and place in it, for messages.
        collection: the name of its source's, see there.
        labels: its substeps, where the source says them.
    """

    suite: str
    task: str
    episode: str
    instruction: str
    robot: RobotContract
    actions: np.ndarray
    proprio: np.ndarray
    taught: np.ndarray
    load_frames: Callable[[], StoredFrames]
    frame_origin: FrameOrigin
    source: str
    collection: str = ""
    labels: EpisodeLabels | None = None

    def __post_init__(self) -> None:
        length = len(self.actions)
        if length == 0:
            raise DemonstrationError(f"{self.source}: the episode has no timesteps")
        expected = {
            "actions": (length, self.robot.action_width),
            "proprio": (length, self.robot.state_width),
            "taught": (length,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise DemonstrationError(f"{self.source}: {name} has shape {found}, expected {shape}")
        for name in ("actions", "proprio"):
            if not np.isfinite(getattr(self, name)).all():
                raise DemonstrationError(f"{self.source}: {name} holds NaN or infinity")
        if not self.instruction.strip():
            raise DemonstrationError(f"{self.source}: the instruction is empty")

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def key(self) -> str:
        return episode_key(self.collection, self.suite, self.task, self.episode)

    def frames(self) -> Mapping[str, np.ndarray]:
        """Every camera's frames (T, H, W, 3). Raises: DemonstrationError: as ``stored_frames``."""
        return {camera: images_of(frames) for camera, frames in self.stored_frames().items()}

    def stored_frames(self) -> StoredFrames:
        """Every camera's frames, and whether they come from JPEG files.

        Raises:
            DemonstrationError: they cannot be read, or a camera has another number of frames than there are actions,
                or no images.
        """
        frames = attempt(self.load_frames, self.source)
        if isinstance(frames, DemonstrationError):
            raise frames
        for camera, images in ((camera, images_of(stored)) for camera, stored in frames.items()):
            if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
                raise DemonstrationError(f"{self.source}: {camera} holds {images.dtype} {images.shape}, not RGB frames")
            if len(images) != len(self):
                raise DemonstrationError(f"{self.source}: {camera} has {len(images)} frames for {len(self)} actions")
        return frames


def images_of(frames: np.ndarray | FromJpeg) -> np.ndarray:
    """(T, H, W, 3) uint8."""
    return frames.images if isinstance(frames, FromJpeg) else frames


def episode_key(collection: str, suite: str, task: str, episode: str) -> str:
    """The name of a demonstration among all of a run."""
    return f"{collection}:{suite}/{task}/{episode}" if collection else f"{suite}/{task}/{episode}"


class EpisodeNumbers:
    """Names episodes whose files only put them in an order: "episode_N", N counting within a task.

    Labels are found by that number, so a damaged episode takes its own too. After one whose task cannot be read,
    no number is sure any more, and there are none.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lost = ""

    def take(self, task: str, where: str) -> str:
        """The name of the task's next episode.

        Raises:
            DemonstrationError: it cannot be known.
        """
        if self._lost:
            raise DemonstrationError(
                f"{where}: how many episodes of its task come before it, by which its labels are found, cannot be "
                f"known after this damage: {self._lost}. Restore that file, give the source `numbering: dataset` where "
                "the data set counts its episodes (labels are then of these numbers), or remove the file and label the "
                "others anew"
            )
        self._counts[task] += 1
        return f"episode_{self._counts[task] - 1}"

    def continue_at(self, task: str, number: int) -> None:
        """The task's next episode is known to have this number, whatever was lost before it."""
        self._counts[task], self._lost = number, ""

    def lose(self, damage: str) -> None:
        """Episodes were damaged that may be of any task."""
        self._lost = self._lost or damage


def stack_images(images: Sequence[np.ndarray], where: str) -> np.ndarray:
    """T images (H, W, 3) -> (T, H, W, 3). Raises: DemonstrationError: there are none, or they differ in size."""
    sizes = sorted({image.shape[:2] for image in images})
    if not sizes:
        raise DemonstrationError(f"{where}: there are no frames")
    if len(sizes) > 1:
        found = ", ".join(f"{width} x {height}" for height, width in sizes)
        raise DemonstrationError(f"{where}: frames have different sizes ({found}), expected one")
    return np.stack(images)


def attempt(read: Callable[[], Result], where: str) -> Result | DemonstrationError:
    """What ``read`` gives, or what is wrong with that episode, whatever it is.

    Files come from anywhere: what a broken one raises in the libraries that read it cannot be listed.
    """
    try:
        return read()
    except Exception as error:
        return located(error, where)


def located(error: Exception, where: str) -> DemonstrationError:
    """The error with its place in front, once, and its kind where the text alone does not say what is wrong."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        message = f"{error.filename} is missing"
    elif isinstance(error, (OSError, ValueError)) and str(error):
        message = str(error)
    else:
        message = f"{type(error).__name__}: {error}"
    found = DemonstrationError(message if message.startswith(where) else f"{where}: {message}")
    found.__cause__ = error
    return found


def all_taught(length: int) -> np.ndarray:
    """(length,) True: every action is an example."""
    return np.ones(length, bool)
