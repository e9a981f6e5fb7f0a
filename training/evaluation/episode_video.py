"""Films an episode in the layout of ``./substep sim``'s video."""

from __future__ import annotations

from pathlib import Path

from libero_bridge.simulation import Simulation
from substep_bringup.session.captions import compose, frame_size
from substep_bringup.session.recorder import VideoWriter
from substep_bringup.session.tracker import NOT_KNOWN, Progress
from substep_core.observation import Observation
from substep_planner.manager.events import Activate, TaskFeedback
from training.evaluation.episodes import EpisodeKey
from training.task_observer import Observer


class Film(Observer):
    """Films every control step of a task.

    Args:
        folder: gets the file, named after the episode.
    """

    def __init__(self, folder: Path, key: EpisodeKey, simulation: Simulation, cameras: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{key.name}.mp4"
        self._simulation, self._cameras = simulation, cameras
        self._active: Activate | None = None
        self._began = 0
        self._rate = round(simulation.contract.rate)  # frames per second: as fast as the world
        self._eos_probability = NOT_KNOWN
        self._writer: VideoWriter | None = None

    def on_activate(self, command: Activate, observation: Observation) -> None:
        self._active, self._began = command, self._simulation.step_count
        self._eos_probability = NOT_KNOWN

    def on_feedback(self, feedback: TaskFeedback, step: int) -> None:
        self._eos_probability = feedback.eos_probability

    def on_step(self, observation: Observation, step: int) -> None:
        images = list(self._simulation.images(self._cameras).values())
        if self._writer is None:
            self._writer = VideoWriter(self._path, frame_size(images), self._rate)
        self._frame = compose(images, self._progress(step))
        self._writer.write(self._frame)

    def close(self) -> str | None:
        """Finish the file; its path within the results, or None when nothing moved."""
        if self._writer is None:
            return None
        for _ in range(self._rate):
            self._writer.write(self._frame)
        stats = self._writer.close()
        if stats.problem:
            raise OSError(f"video {self._path}: {stats.problem}")
        return f"{self._path.parent.name}/{self._path.name}"

    def _progress(self, step: int) -> Progress:
        if self._active is None:
            return Progress(episode_steps=step, success=self._simulation.success)
        return Progress(
            index=self._active.key.index,
            count=len(self._active.plan),
            instruction=self._active.substep.instruction,
            substep_steps=step - self._began,
            episode_steps=step,
            eos_probability=self._eos_probability,
            success=self._simulation.success,
        )
