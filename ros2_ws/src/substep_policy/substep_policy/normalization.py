"""Statistics of actions and proprioception, and the mapping to the range a model works in (OpenVLA's BOUNDS_Q99)."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

STATISTICS_FILE = "dataset_statistics.json"
FIELDS = ("mean", "std", "min", "max", "q01", "q99")


@dataclass(frozen=True)
class Statistics:
    """Per-dimension statistics, each (N,) float64. ``mask`` is False where a dimension is left as it is."""

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray
    q01: np.ndarray
    q99: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, mask: Iterable[bool] | None = None) -> Statistics:
        """Statistics of values (T, N).

        Raises:
            ValueError: there are no values, or some are not finite.
        """
        if len(values) == 0 or not np.isfinite(values).all():
            raise ValueError(f"statistics need finite values, got {values.shape} with NaN or infinity, or nothing")
        values = values.astype(np.float64)
        q01, q99 = np.quantile(values, [0.01, 0.99], axis=0)
        mask = np.ones(values.shape[1], bool) if mask is None else np.asarray(list(mask), bool)
        return cls(values.mean(0), values.std(0), values.min(0), values.max(0), q01, q99, mask)

    def with_unit_bounds(self) -> Statistics:
        """The same with bounds of −1 and 1 instead of quantiles: what is in [−1, 1] stays as it is."""
        ones = np.ones_like(self.q01)
        return replace(self, q01=np.where(self.mask, -ones, self.q01), q99=np.where(self.mask, ones, self.q99))

    def to_json(self) -> dict:
        return {field: getattr(self, field).tolist() for field in (*FIELDS, "mask")}

    @classmethod
    def from_json(cls, data: dict, source: str) -> Statistics:
        """Raises: ValueError: a field is missing or has another length, named together with ``source``."""
        missing = [field for field in FIELDS if field not in data]
        if missing:
            raise ValueError(f"{source}: statistics lack {', '.join(missing)}")
        arrays = {field: np.asarray(data[field], np.float64) for field in FIELDS}
        arrays["mask"] = np.asarray(data.get("mask", [True] * len(arrays["mean"])), bool)
        lengths = {field: len(array) for field, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"{source}: statistics have unequal lengths {lengths}")
        return cls(**arrays)

    def normalize(self, values: np.ndarray) -> np.ndarray:
        """Values (…, N) -> float32, [q01, q99] to [−1, 1], clipped; constant dimensions become 0."""
        span = self.q99 - self.q01
        scaled = np.clip(2.0 * (values - self.q01) / np.where(span > 0, span, 1.0) - 1.0, -1.0, 1.0)
        scaled = np.where(span > 0, scaled, 0.0)
        return np.where(self.mask, scaled, values).astype(np.float32)

    def unnormalize(self, values: np.ndarray) -> np.ndarray:
        """The inverse of ``normalize`` inside [q01, q99]: (…, N) in [−1, 1] -> float32."""
        restored = 0.5 * (values + 1.0) * (self.q99 - self.q01) + self.q01
        return np.where(self.mask, restored, values).astype(np.float32)


@dataclass(frozen=True)
class DatasetStatistics:
    """What a checkpoint keeps of the data it was trained on."""

    action: Statistics
    proprio: Statistics
    num_transitions: int
    num_trajectories: int


def save_statistics(folder: Path, name: str, statistics: DatasetStatistics) -> None:
    """Write ``dataset_statistics.json`` in the published layout: data set name -> action, proprio, counts."""
    content = {
        name: {
            "action": statistics.action.to_json(),
            "proprio": statistics.proprio.to_json(),
            "num_transitions": statistics.num_transitions,
            "num_trajectories": statistics.num_trajectories,
        }
    }
    (folder / STATISTICS_FILE).write_text(json.dumps(content, indent=2) + "\n")


def load_statistics(folder: Path, name: str | None = None) -> DatasetStatistics:
    """Read ``dataset_statistics.json``; ``name`` may be left out when it holds one data set.

    Raises:
        ValueError: the file is missing or not as described, ``name`` is not in it, or it is needed and was not given.
    """
    content = read_statistics_file(folder)
    path = folder / STATISTICS_FILE
    choices = ", ".join(repr(choice) for choice in sorted(content))
    if name is None and len(content) != 1:
        raise ValueError(f"{path} holds statistics of several data sets: choose one of {choices} as dataset")
    name = next(iter(content)) if name is None else name
    if name not in content:
        raise ValueError(f"{path} holds statistics of {choices}, not of {name!r}")
    entry = content[name]
    for part in ("action", "proprio"):
        if part not in entry:
            raise ValueError(f"{path}: {name!r} has no {part!r}")
    return DatasetStatistics(
        Statistics.from_json(entry["action"], f"{path}: {name}/action"),
        Statistics.from_json(entry["proprio"], f"{path}: {name}/proprio"),
        int(entry.get("num_transitions", 0)),
        int(entry.get("num_trajectories", 0)),
    )


def read_statistics_file(folder: Path) -> dict[str, dict]:
    """``dataset_statistics.json`` as it is: data set name -> parts. Raises: ValueError: missing, or no such thing."""
    path = folder / STATISTICS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise ValueError(f"{path} is no mapping of data set names to statistics")
    return content


class GripperConvention(enum.StrEnum):
    """How a model writes the gripper, which is never normalised. The arm's own convention is +1 close, −1 open."""

    CLOSE_IS_ONE = "close_is_one"  # +1 close, −1 open, as LIBERO's actions
    OPEN_IS_ONE = "open_is_one"  # 1 open, 0 close, as OpenVLA's training data

    def to_model(self, gripper: np.ndarray) -> np.ndarray:
        """LIBERO's gripper action -> the model's."""
        return gripper if self is GripperConvention.CLOSE_IS_ONE else 1.0 - np.clip(gripper, 0.0, 1.0)

    def to_arm(self, gripper: np.ndarray) -> np.ndarray:
        """The model's gripper output -> −1 or +1; undecided counts as open."""
        closing = gripper > 0.0 if self is GripperConvention.CLOSE_IS_ONE else gripper < 0.5
        return np.where(closing, 1.0, -1.0).astype(np.float32)


def encode_actions(actions: np.ndarray, statistics: Statistics, gripper: GripperConvention) -> np.ndarray:
    """LIBERO actions (…, 7) -> the model's normalised actions (…, 7) float32."""
    encoded = np.array(actions, np.float64)
    encoded[..., -1] = gripper.to_model(encoded[..., -1])
    return statistics.normalize(encoded)


def decode_actions(normalized: np.ndarray, statistics: Statistics, gripper: GripperConvention) -> np.ndarray:
    """The model's normalised actions (…, 7) -> actions (…, 7) float32 in [−1, 1], gripper −1 or +1."""
    actions = statistics.unnormalize(normalized)
    actions[..., -1] = gripper.to_arm(normalized[..., -1])
    return np.clip(actions, -1.0, 1.0)


def action_statistics(actions: np.ndarray, gripper: GripperConvention) -> Statistics:
    """Statistics of LIBERO actions (T, 7) with the gripper in the model's convention and left unnormalised."""
    encoded = np.array(actions, np.float64)
    encoded[..., -1] = gripper.to_model(encoded[..., -1])
    return Statistics.of(encoded, mask=[True] * (actions.shape[-1] - 1) + [False])
