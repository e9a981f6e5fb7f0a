"""``substep_labels.json``: which substep every timestep of an episode belongs to, and where substeps end.

suite -> task_name_with_underscores -> ``episode_N`` -> ``{"original_instruction", "total_timesteps", "substeps",
"timestep_labels": [{"timestep", "action", "APD_step", "cycle", "is_substep_end"}], "substep_boundaries",
"num_substeps"}``. ``substeps`` are steps as in ``APD_plans.json``; ``APD_step`` is the subgoal's text, ``action`` its
first word (pick, place, open, …), ``cycle`` counts the gripper's closings from 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from libero_bridge.tasks import without_scene
from substep_core.plan import Substep, normalise_suite, steps_to_json
from training.whole_file import write_whole

LABELS_FILE = "substep_labels.json"
UNLABELLED = -1
MAX_TIMESTEPS = 1_000_000  # of an episode: nine hours at 30 Hz


class LabelError(ValueError):
    """A label file that is not in the format; the message says where."""


@dataclass(frozen=True)
class EpisodeLabels:
    """The labels of one episode of T timesteps.

    Attributes:
        instruction: the whole task's.
        substeps: in the order they are carried out.
        substep_index: (T,) which of them each timestep belongs to, ``UNLABELLED`` where the file says nothing.
        is_end: (T,) bool, the last timestep of a substep.
        cycle: (T,) how often the gripper had closed and opened before.
    """

    instruction: str
    substeps: tuple[Substep, ...]
    substep_index: np.ndarray
    is_end: np.ndarray
    cycle: np.ndarray

    def __len__(self) -> int:
        return len(self.substep_index)

    @property
    def boundaries(self) -> list[int]:
        return np.flatnonzero(self.is_end).tolist()


def labels_from_boundaries(
    instruction: str, substeps: Sequence[Substep], ends: Sequence[int], cycle: np.ndarray
) -> EpisodeLabels:
    """Labels of substeps that follow each other without a gap, each ending at its timestep in ``ends``.

    Raises:
        ValueError: the ends do not rise, or there is not one for each substep.
    """
    if len(ends) != len(substeps) or any(b <= a for a, b in zip(ends[:-1], ends[1:], strict=True)) or ends[0] < 0:
        raise ValueError(f"{len(substeps)} substeps cannot end at {list(ends)}: expected one rising timestep each")
    length = len(cycle)
    index = np.searchsorted(np.asarray(ends), np.arange(length))
    is_end = np.zeros(length, bool)
    is_end[list(ends)] = True
    return EpisodeLabels(instruction, tuple(substeps), np.where(index < len(ends), index, UNLABELLED), is_end, cycle)


class SubstepLabels:
    """All labels of a file, found by suite, task and episode."""

    def __init__(self, episodes: Mapping[str, Mapping[str, Mapping[str, EpisodeLabels]]] | None = None) -> None:
        self._episodes: dict[tuple[str, str], dict[str, EpisodeLabels]] = {}
        for suite, tasks in (episodes or {}).items():
            for task, found in tasks.items():
                for episode, labels in found.items():
                    self.add(suite, task, episode, labels)

    def add(self, suite: str, task: str, episode: str, labels: EpisodeLabels) -> None:
        self._episodes.setdefault((normalise_suite(suite), task), {})[episode] = labels

    def find(self, suite: str | bytes, task: str | bytes, episode: str | bytes) -> EpisodeLabels | None:
        """The labels, or None. A trailing ``_no_noops`` and a scene in front of the task may differ; bytes match."""
        suite, task, episode = normalise_suite(_text(suite)), _text(task).replace(" ", "_"), _text(episode)
        for name in (task, without_scene(task)):
            labels = self._episodes.get((suite, name), {}).get(episode)
            if labels is not None:
                return labels
        return None

    def places(self) -> Iterator[tuple[str, str, str]]:
        """Suite, task and episode of all labels."""
        for (suite, task), episodes in self._episodes.items():
            for episode in episodes:
                yield suite, task, episode

    def __len__(self) -> int:
        return sum(map(len, self._episodes.values()))

    def save(self, path: Path) -> None:
        """Write the file; a crash leaves the old one whole."""
        content: dict[str, dict[str, dict[str, Any]]] = {}
        for (suite, task), episodes in sorted(self._episodes.items()):
            ordered = sorted(episodes.items(), key=lambda entry: (len(entry[0]), entry[0]))
            content.setdefault(suite, {})[task] = {episode: _to_json(labels) for episode, labels in ordered}
        write_whole(path, json.dumps(content, separators=(",", ":")))

    @classmethod
    def load(cls, path: Path) -> SubstepLabels:
        """Raises: LabelError: the file is not JSON or not in the format. OSError: it cannot be read."""
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:  # no JSON, no text, or a number of too many digits
            raise LabelError(f"{path} is not JSON: {error}") from error
        labels = cls()
        for suite, tasks in _items(content, str(path)):
            for task, episodes in _items(tasks, f"{path}: {suite}"):
                for episode, entry in _items(episodes, f"{path}: {suite}/{task}"):
                    labels.add(suite, task, episode, _from_json(entry, f"{path}: {suite}/{task}/{episode}"))
        return labels


def _to_json(labels: EpisodeLabels) -> dict[str, Any]:
    timesteps = [
        {
            "timestep": timestep,
            "action": labels.substeps[index].instruction.split()[0].lower(),
            "APD_step": labels.substeps[index].instruction,
            "cycle": int(labels.cycle[timestep]),
            "is_substep_end": bool(labels.is_end[timestep]),
        }
        for timestep, index in enumerate(labels.substep_index)
        if index != UNLABELLED
    ]
    return {
        "original_instruction": labels.instruction,
        "total_timesteps": len(labels),
        "substeps": steps_to_json(labels.substeps),
        "timestep_labels": timesteps,
        "substep_boundaries": labels.boundaries,
        "num_substeps": len(labels.substeps),
    }


def _from_json(entry: Any, where: str) -> EpisodeLabels:
    """One episode. Substeps are told apart by their ends, so that the same text may come twice."""
    try:
        length, timesteps = int(entry["total_timesteps"]), entry["timestep_labels"]
        if not 0 < length <= MAX_TIMESTEPS:
            raise LabelError(f"{where}: total_timesteps is {length}, expected 1 to {MAX_TIMESTEPS}")
        index, is_end = np.full(length, UNLABELLED), np.zeros(length, bool)
        cycle, substeps = np.zeros(length, int), []
        following = None
        for label in sorted(timesteps, key=lambda label: label["timestep"]):
            timestep, text = int(label["timestep"]), str(label["APD_step"])
            if not 0 <= timestep < length:
                raise LabelError(f"{where}: timestep {timestep} lies outside 0..{length - 1}")
            if text != following:
                substeps.append(Substep(text, _effect(entry, text)))
            index[timestep], cycle[timestep] = len(substeps) - 1, int(label["cycle"])
            is_end[timestep] = bool(label["is_substep_end"])
            following = None if is_end[timestep] else text
        return EpisodeLabels(str(entry["original_instruction"]), tuple(substeps), index, is_end, cycle)
    except KeyError as error:
        raise LabelError(f"{where}: {error} is missing") from error
    except (TypeError, AttributeError, OverflowError) as error:
        raise LabelError(f"{where}: not in the format: {error}") from error


def _effect(entry: Mapping[str, Any], subgoal: str) -> str:
    """The expected effect of a subgoal, empty where the file lists substeps as texts only."""
    steps = (step for step in entry.get("substeps", []) if isinstance(step, Mapping))
    return next((step.get("expected_effect", "") for step in steps if step.get("subgoal") == subgoal), "")


def _items(value: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise LabelError(f"{where}: expected an object, got {type(value).__name__}")
    return list(value.items())


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
