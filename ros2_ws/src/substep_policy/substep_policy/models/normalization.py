"""Statistics of actions and proprioception, and the mapping to the range a model works in (OpenVLA's BOUNDS_Q99)."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from substep_core.contract import ActionGroup, RobotContract, motion_values
from substep_core.json_files import read_object

if TYPE_CHECKING:
    from substep_policy.models.kind import ModelConfiguration

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

    def with_bounds(self, low: np.ndarray, high: np.ndarray) -> Statistics:
        """The same with these bounds (N,) instead of quantiles, where ``mask`` is True."""
        return replace(self, q01=np.where(self.mask, low, self.q01), q99=np.where(self.mask, high, self.q99))

    def to_json(self) -> dict:
        return {field: getattr(self, field).tolist() for field in (*FIELDS, "mask")}

    @classmethod
    def from_json(cls, data: dict, source: str) -> Statistics:
        """Raises: ValueError: a field is missing, has another length, or no numbers in order; named with ``source``."""
        if not isinstance(data, dict):
            raise ValueError(f"{source} is {data!r}, expected statistics by name")
        missing = [field for field in FIELDS if field not in data]
        if missing:
            raise ValueError(f"{source}: statistics lack {', '.join(missing)}")
        arrays = {field: row_of_numbers(data[field], f"{source}: {field}") for field in FIELDS}
        arrays["mask"] = _flags(data.get("mask", [True] * len(arrays["mean"])), f"{source}: mask")
        lengths = {field: len(array) for field, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"{source}: statistics have unequal lengths {lengths}")
        for low, high in (("q01", "q99"), ("min", "max")):
            for place in np.flatnonzero(arrays[low] > arrays[high]):
                values = f"{arrays[low][place]:g} and {arrays[high][place]:g}"
                raise ValueError(f"{source}: {low} and {high} of value {place} are {values}, the wrong way round")
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


def row_of_numbers(values: Any, source: str) -> np.ndarray:
    """A row of a statistics file (N,) float64. Raises: ValueError: it is none, or holds NaN or infinity."""
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} is no row of numbers: {error}") from error
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"{source} is {values}, expected a row of finite numbers")
    return array


def _flags(values: Any, source: str) -> np.ndarray:
    """A row of a statistics file (N,) bool. Raises: ValueError: it is none."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "bi":
        raise ValueError(f"{source} is {values!r}, expected a row of true and false")
    return array.astype(bool)


def _count(entry: Mapping[str, Any], name: str, source: str) -> int:
    """Raises: ValueError: it is none."""
    value = entry.get(name, 0)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{source}: {name} is {value!r}, expected a whole number")
    return value


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
    if not content:
        raise ValueError(f"{path} holds statistics of no data set")
    if name is None and len(content) != 1:
        raise ValueError(
            f"{path} holds statistics of several data sets, and none is of the suite that is run: choose one of "
            f"{choices} as dataset"
        )
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
        _count(entry, "num_transitions", f"{path}: {name}"),
        _count(entry, "num_trajectories", f"{path}: {name}"),
    )


def fitting_statistics(folder: Path, config: ModelConfiguration, name: str | None) -> DatasetStatistics:
    """As ``load_statistics``. Raises: ValueError: also where they are of another robot than the model's."""
    statistics = load_statistics(folder, name)
    check_widths(statistics, config.robot, config.proprio_widths, str(folder / STATISTICS_FILE))
    return statistics


def read_statistics_file(folder: Path) -> dict[str, dict]:
    """``dataset_statistics.json`` as it is: data set name -> parts. Raises: ValueError: missing, or no such thing."""
    path = folder / STATISTICS_FILE
    if not path.exists():
        raise ValueError(f"{path} is missing")
    content = read_object(path)
    if not all(isinstance(entry, dict) for entry in content.values()):
        raise ValueError(f"{path} is no mapping of data set names to statistics")
    return content


def check_widths(statistics: DatasetStatistics, robot: RobotContract, proprio: Mapping[str, int], source: str) -> None:
    """Whether statistics have the lengths that a model for this robot needs.

    Args:
        proprio: state group -> how many values of it the model takes.
        source: of the statistics, for messages.

    Raises:
        ValueError: they are of another robot; the message names groups and widths.
    """
    action = {group.name: group.width for group in robot.action}
    for what, part, widths in (("action", statistics.action, action), ("proprio", statistics.proprio, proprio)):
        if (found := len(part.mean)) != (expected := sum(widths.values())):
            groups = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise ValueError(
                f"{source} describes {found} {what} values, expected {expected} for robot {robot.name} ({groups})"
            )


class GripperConvention(enum.StrEnum):
    """How a model writes a gripper, which is never normalised."""

    CLOSE_IS_ONE = "close_is_one"  # +1 close, −1 open, as LIBERO's actions
    OPEN_IS_ONE = "open_is_one"  # 1 open, 0 close, as OpenVLA's training data

    def to_model(self, commands: np.ndarray, gripper: ActionGroup) -> np.ndarray:
        """The robot's commands to a gripper -> the model's."""
        closedness = gripper.closedness(commands)
        return closedness if self is GripperConvention.CLOSE_IS_ONE else 1.0 - np.clip(closedness, 0.0, 1.0)

    def to_robot(self, values: np.ndarray, gripper: ActionGroup) -> np.ndarray:
        """The model's output -> the robot's command to open or to close; undecided counts as open."""
        closing = values > 0.0 if self is GripperConvention.CLOSE_IS_ONE else values < 0.5
        return np.where(closing, gripper.closed, gripper.opened).astype(np.float32)


@dataclass(frozen=True)
class ActionNormalizer:
    """Between a robot's actions and a model's: motions by statistics, each gripper by the model's convention."""

    robot: RobotContract
    gripper: GripperConvention
    statistics: Statistics

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Actions (…, A) -> the model's normalised actions (…, A) float32."""
        return self.statistics.normalize(_with_grippers_as_model(actions, self.gripper, self.robot))

    def decode(self, normalized: np.ndarray) -> np.ndarray:
        """The model's normalised actions (…, A) -> actions (…, A) float32, motions within their groups' limits."""
        actions = self.statistics.unnormalize(normalized)
        for group in self.robot.action:
            place = self.robot.action_slice(group)
            if group.is_gripper:
                actions[..., place] = self.gripper.to_robot(normalized[..., place], group)
            else:
                actions[..., place] = np.clip(actions[..., place], group.low, group.high)
        return actions


def action_statistics(actions: np.ndarray, gripper: GripperConvention, robot: RobotContract) -> Statistics:
    """Statistics of actions (T, A), with grippers in the model's convention and left unnormalised."""
    return Statistics.of(_with_grippers_as_model(actions, gripper, robot), motion_values(robot))


def _with_grippers_as_model(actions: np.ndarray, gripper: GripperConvention, robot: RobotContract) -> np.ndarray:
    encoded = np.array(actions, np.float64)
    for group in robot.action:
        if group.is_gripper:
            place = robot.action_slice(group)
            encoded[..., place] = gripper.to_model(encoded[..., place], group)
    return encoded
