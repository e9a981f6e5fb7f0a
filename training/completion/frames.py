"""Frames of recorded demonstrations on disk: ``./substep data frames DEMONSTRATIONS --out FOLDER``.

One ``<suite>/<task>/<episode>.npy`` with (N, cameras, S, S, 3) uint8 frames an episode, and beside it a ``.json`` with
its outline and the frames' numbers; ``<episode>_failed`` is the same episode with the gripper kept from doing its part
in one substep. What is there already is not rendered again, so it may be stopped and started again, and grows with the
demonstrations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from substep_core.contract import RobotContract, hold_action
from substep_core.plan import plan_from_json, steps_to_json
from training.collect.replay import RecordedEpisode, RenderConfig, read_recorded
from training.completion.frame_selection import (
    AFTER,
    Density,
    EpisodeOutline,
    cut,
    failing_actions,
    frames_to_show,
    substep_to_fail,
)
from training.data.readers import DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations
from training.labels.file import LABELS_FILE, EpisodeLabels, SubstepLabels
from training.whole_file import write_whole
from training.workers import parallel_map

FAILED = "_failed"


@dataclass(frozen=True)
class RenderSettings:
    """Which frames, how, of which robot, and whether each episode is also shown with a failure."""

    robot: RobotContract
    replay: RenderConfig = RenderConfig()
    density: Density = "sparse"
    failures: bool = True

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.replay.cameras or self.robot.camera_names


@dataclass(frozen=True)
class RenderJob:
    """One recorded episode and the path, without suffix, that its frames go to."""

    file: Path
    demo: str
    number: int
    outline: EpisodeOutline
    target: Path


class ShownEpisode:
    """An episode's frames on disk."""

    def __init__(self, path: Path) -> None:
        """Raises: ValueError: the ``.json`` is not what ``render`` writes."""
        content = json.loads(path.read_text())
        substeps = plan_from_json(path.stem, content["substeps"], str(path)).substeps
        self.outline = EpisodeOutline(
            content["suite"], content["task"], content["episode"], substeps, tuple(content["ends"]), content["failed"]
        )
        self.cameras, self.density = tuple(content["cameras"]), content["density"]
        self.numbers = np.array(content["frames"])
        self._path = path.with_suffix(".npy")

    @cached_property
    def images(self) -> np.ndarray:
        """(N, cameras, S, S, 3) uint8, memory-mapped."""
        return np.load(self._path, mmap_mode="r")

    def views(self, position: int) -> dict[str, np.ndarray]:
        """Camera -> (S, S, 3) uint8 of one frame."""
        return dict(zip(self.cameras, self.images[position], strict=True))


def read_shown(folder: Path) -> list[ShownEpisode]:
    """All episodes of a folder in a fixed order."""
    return [ShownEpisode(path) for path in sorted(folder.glob("*/*/*.json"), key=lambda path: str(path))]


def jobs(demonstrations: Path, robot: RobotContract, out: Path, episodes: range) -> Iterator[RenderJob]:
    """Those episodes of each task.

    Raises:
        DemonstrationError: a file cannot be read, or has no labels.
    """
    labels, source = SubstepLabels.load(demonstrations / LABELS_FILE), LiberoHdf5Source(path=demonstrations)
    for demo in read_demonstrations([source], robot, ReadReport(), skip_damaged=False):
        number = int(demo.episode.removeprefix("episode_"))
        if number not in episodes:
            continue
        found = labels.find(demo.suite, demo.task, demo.episode)
        if found is None:
            raise DemonstrationError(f"{demo.source}: {demonstrations / LABELS_FILE} has no labels of {demo.key}")
        file = demonstrations / demo.suite / f"{demo.task}_demo.hdf5"
        outline = _outline(demo.suite, demo.task, demo.episode, found)
        yield RenderJob(file, f"demo_{number}", number, outline, out / demo.suite / demo.task / demo.episode)


def _outline(suite: str, task: str, episode: str, labels: EpisodeLabels) -> EpisodeOutline:
    return EpisodeOutline(suite, task, episode, labels.substeps, tuple(labels.boundaries))


def render(job: RenderJob, settings: RenderSettings) -> None:
    """Write the frames of an episode, and of it with a failure.

    Raises:
        ReplayError: the replay went elsewhere than the recording.
    """
    recorded = read_recorded(job.file, job.demo)
    if not job.target.with_suffix(".json").exists():
        images, frames = _replay(recorded, recorded.actions, job.outline, settings, checked=True)
        _write(job.target, job.outline, images, frames, settings)
    failed = job.target.with_name(job.target.name + FAILED)
    robot, actions = settings.robot, recorded.actions
    index = substep_to_fail(robot, job.outline, actions, job.number) if settings.failures else None
    if index is not None and not failed.with_suffix(".json").exists():
        outline = cut(job.outline, index)
        actions = failing_actions(robot, job.outline, actions, index)
        images, frames = _replay(recorded, actions, outline, settings, checked=False)
        _write(failed, outline, images, frames, settings)


def _replay(
    recorded: RecordedEpisode, actions: np.ndarray, outline: EpisodeOutline, settings: RenderSettings, checked: bool
) -> tuple[np.ndarray, list[int]]:
    """(N, cameras, S, S, 3) uint8 and the frames' numbers."""
    config, frames = settings.replay, frames_to_show(outline, settings.density)
    wanted, images = set(frames), []
    simulation = recorded.restart(config)
    still = hold_action(settings.robot, actions[-1], None)
    for step in range(min(len(actions) + AFTER, frames[-1]) + 1):
        if checked and step < len(actions):
            recorded.check(step, simulation)
        if step in wanted:
            names, size = settings.cameras, config.image_size
            images.append(np.stack([simulation.render(name, size, size) for name in names]))
        simulation.step(actions[step] if step < len(actions) else still)
    return np.stack(images), frames


def _write(
    target: Path, outline: EpisodeOutline, images: np.ndarray, frames: list[int], settings: RenderSettings
) -> None:
    """The ``.json`` comes last: without it an episode does not count."""
    target.parent.mkdir(parents=True, exist_ok=True)
    np.save(target.with_suffix(".npy"), images)
    content = {
        "suite": outline.suite,
        "task": outline.task,
        "episode": outline.episode,
        "substeps": steps_to_json(outline.substeps),
        "ends": list(outline.ends),
        "failed": outline.failed,
        "cameras": list(settings.cameras),
        "density": settings.density,
        "frames": frames,
    }
    write_whole(target.with_suffix(".json"), json.dumps(content))


def render_all(demonstrations: Path, out: Path, episodes: range, settings: RenderSettings, workers: int) -> int:
    """Render those episodes of each task in ``workers`` processes (0: in this one); -> how many there are.

    Raises:
        ValueError: a recording cannot be read, has no labels, or went elsewhere when replayed.
        OSError: a file cannot be read or written.
    """
    found = list(jobs(demonstrations, settings.robot, out, episodes))
    for _ in tqdm(parallel_map(partial(render, settings=settings), found, workers), total=len(found), unit="demo"):
        pass
    return len(found)
