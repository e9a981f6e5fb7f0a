"""Statistics beside π0.5's weights: LeRobot's processor files, openpi's ``norm_stats.json``, or this project's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from substep_core.contract import RobotContract, motion_values
from substep_policy.checkpoints.folder import CheckpointError, file_in, read_json, read_state
from substep_policy.models.normalization import (
    FIELDS,
    STATISTICS_FILE,
    DatasetStatistics,
    Statistics,
    check_widths,
    load_statistics,
    read_statistics_file,
    row_of_numbers,
)
from substep_policy.models.pi05.model import Pi05ModelConfig
from substep_policy.models.pi05.published_config import as_published

PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
NORMALIZERS = {PREPROCESSOR: "normalizer_processor", POSTPROCESSOR: "unnormalizer_processor"}
NORM_STATS = "norm_stats.json"
STATE, ACTION = "observation.state", "action"
PARTS = {"STATE": STATE, "ACTION": ACTION}
# LeRobot's ways to scale -> the two numbers that become −1 and 1.
BOUNDS = {
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
    "MIN_MAX": ("min", "max"),
    "MEAN_STD": ("mean", "std"),
    "IDENTITY": (),
}
TAKEN = {*FIELDS, *(name for names in BOUNDS.values() for name in names)}


def data_sets(folder: Path) -> list[str]:
    """Names of the data sets whose statistics a folder has; a single one of LeRobot's has the folder's name.

    Raises:
        ValueError: there are none.
    """
    if (folder / STATISTICS_FILE).exists():
        return list(read_statistics_file(folder))
    if (folder / PREPROCESSOR).exists():
        return [folder.name]
    if found := sorted(path.parent for path in folder.glob(f"assets/**/{NORM_STATS}")):
        return [str(path.relative_to(folder / "assets")) for path in found]
    raise CheckpointError(
        f"{folder} has no statistics: neither {STATISTICS_FILE}, nor LeRobot's {PREPROCESSOR}, nor openpi's "
        f"assets/<data set>/{NORM_STATS}"
    )


def find_statistics(folder: Path, name: str | None, config: Pi05ModelConfig) -> DatasetStatistics:
    """Statistics of a data set, by name where a folder has several.

    Raises:
        ValueError: they are missing, of another robot, or ``name`` is needed or not among them.
    """
    names = data_sets(folder)
    if name is None and len(names) != 1:
        raise CheckpointError(f"{folder} has statistics of {', '.join(names)}: choose one of them as dataset")
    if name is not None and name not in names:
        raise CheckpointError(f"{folder} has statistics of {', '.join(names)}, not of {name!r}")
    chosen = names[0] if name is None else name
    if (folder / STATISTICS_FILE).exists():
        found, source = load_statistics(folder, chosen), folder / STATISTICS_FILE
    elif (folder / PREPROCESSOR).exists():
        source = folder / PREPROCESSOR
        found = as_published(partial(_lerobot, folder, config.robot), source)
    else:
        source = folder / "assets" / chosen / NORM_STATS
        found = as_published(partial(_openpi, source, config.robot), source)
    check_widths(found, config.robot, config.proprio_widths, str(source))
    return found


def _lerobot(folder: Path, robot: RobotContract) -> DatasetStatistics:
    """Proprioception as the preprocessor scales it, actions as the postprocessor does."""
    state, action = (
        _lerobot_part(folder / file, feature, robot)
        for file, feature in ((PREPROCESSOR, "STATE"), (POSTPROCESSOR, "ACTION"))
    )
    return DatasetStatistics(action, state, 0, 0)


def _lerobot_part(path: Path, feature: str, robot: RobotContract) -> Statistics:
    """The step is found by its name: its number differs between LeRobot's versions."""
    wanted, steps = NORMALIZERS[path.name], read_json(path).get("steps", ())
    if relative := [name for step in steps if "delta" in (name := step.get("registry_name") or "")]:
        raise CheckpointError(f"{path} has the step {relative[0]}, and actions relative to the state are not supported")
    step = next((step for step in steps if step.get("registry_name") == wanted), None)
    if step is None or not step.get("state_file"):
        raise CheckpointError(f"{path} has no step {wanted} with a state_file")
    mode = step.get("config", {}).get("norm_map", {}).get(feature, "IDENTITY")
    if mode not in BOUNDS:
        raise CheckpointError(f"{path}: norm_map scales {feature} by {mode!r}, expected one of {', '.join(BOUNDS)}")
    file, part = file_in(path.parent, step["state_file"], path), PARTS[feature]
    state = read_state(file)
    prefix = f"{part}."
    values = {
        key.removeprefix(prefix): value.double().numpy() for key, value in state.items() if key.startswith(prefix)
    }
    return _statistics(values, BOUNDS[mode], feature == "ACTION", robot, f"{file}: {part}")


def _openpi(path: Path, robot: RobotContract) -> DatasetStatistics:
    content = read_json(path).get("norm_stats", {})
    parts = []
    for name, is_action in (("actions", True), ("state", False)):
        values = {key: numbers for key, numbers in content.get(name, {}).items() if numbers}
        parts.append(_statistics(values, BOUNDS["QUANTILES"], is_action, robot, f"{path}: {name}"))
    return DatasetStatistics(*parts, 0, 0)


def _statistics(
    said: Mapping[str, Any], bounds: tuple[str, ...], is_action: bool, robot: RobotContract, source: str
) -> Statistics:
    """As q01 and q99 those two numbers that become −1 and 1, whatever they are called.

    Statistics of vectors that were filled up, as some of openpi's are, are those of the robot's values.
    A gripper is left to its convention (``Pi05ModelConfig.gripper``): scaled, its command is above 0 when it closes.

    Raises:
        ValueError: something is missing, has another length, is not finite, or the two are the wrong way round.
    """
    values = {name: row_of_numbers(numbers, f"{source}: {name}") for name, numbers in said.items() if name in TAKEN}
    lengths = {name: len(row) for name, row in values.items()}
    if len(set(lengths.values())) > 1:
        raise CheckpointError(f"{source}: statistics have unequal lengths {lengths}")
    if missing := [name for name in bounds if name not in values]:
        raise CheckpointError(f"{source} has no {' and no '.join(missing)}")
    width = robot.action_width if is_action else robot.state_width
    if not bounds:
        low, high = -np.ones(width), np.ones(width)
    elif "std" in bounds:
        low, high = values["mean"] - values["std"], values["mean"] + values["std"]
    else:
        low, high = (values[name] for name in bounds)
    if np.array_equal(low[width:], high[width:]):  # what never varied beyond the robot's own
        low, high = low[:width], high[:width]
        values = {name: row[:width] for name, row in values.items()}
    mean, std = values.get("mean", (low + high) / 2), values.get("std", (high - low) / 2)
    mask = np.ones(len(low), bool)
    if is_action and len(low) == robot.action_width:
        _check_grippers(robot, source)
        mask = np.asarray(list(motion_values(robot)), bool)
    rows = (mean, std, values.get("min", low), values.get("max", high), low, high)
    return Statistics.from_json(dict(zip(FIELDS, rows, strict=True)) | {"mask": mask}, source)


def _check_grippers(robot: RobotContract, source: str) -> None:
    """Raises: CheckpointError: more of a gripper's command opens it, so that its sign says the contrary."""
    for group in robot.action:
        if group.is_gripper and group.closed < group.opened:
            raise CheckpointError(
                f"{source} scales the gripper's command as it is, and {group.name} of robot {robot.name} closes "
                f"towards {group.closed:g}, less than {group.opened:g}: only grippers that close towards more are read"
            )
