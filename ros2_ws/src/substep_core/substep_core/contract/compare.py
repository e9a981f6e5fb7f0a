"""Compares the contract that a policy was trained with to the robot's, and names the first misfit."""

from __future__ import annotations

from collections.abc import Sequence

from substep_core.contract.groups import ActionGroup, StateGroup
from substep_core.contract.robot import RobotContract

STATE_MEANING = ("quantity", "unit", "frame", "width")
ACTION_MEANING = ("name", "quantity", "unit", "frame", "width", "scale", "opened", "closed")


def misfit(needs: RobotContract, cameras: Sequence[str], horizon: int, robot: RobotContract) -> str:
    """Why a policy cannot drive a robot, in one sentence; empty if it can.

    Where values come from, how large images are and what the limits are may differ: the robot's own hold.

    Args:
        needs: the robot that the policy was made for.
        cameras: names of those whose images it takes.
        horizon: actions of its chunks, before they are cut.
    """
    return (
        _cameras_misfit(needs, cameras, robot)
        or _state_misfit(needs, robot)
        or _action_misfit(needs.action, robot)
        or _timing_misfit(needs, horizon, robot)
    )


def vector_misfit(one: RobotContract, other: RobotContract) -> str:
    """Why state and action vectors of two robots do not mean the same, in one sentence; empty if they do."""
    names, others = ([group.name for group in robot.state] for robot in (one, other))
    if names != others:
        return f"robot {one.name} has state groups {_listed(names)}, and robot {other.name} has {_listed(others)}"
    return _state_misfit(one, other) or _action_misfit(one.action, other) or _timing_misfit(one, 0, other)


def state_selection(needs: RobotContract, robot: RobotContract) -> list[int]:
    """Places in the robot's proprioception vector of what the policy takes, in the policy's order."""
    places: list[int] = []
    for group in needs.state:
        own = robot.state_slice(robot.state_group(group.name))
        places += range(own.start, own.stop)
    return places


def _cameras_misfit(needs: RobotContract, cameras: Sequence[str], robot: RobotContract) -> str:
    for name in cameras:
        if name not in robot.camera_names:
            return f"the policy needs camera {name!r}, and robot {robot.name} has {_listed(robot.camera_names)}"
        wanted, there = needs.camera(name).role, robot.camera(name).role
        if wanted is not there:
            return (
                f"the policy needs {name!r} as a {wanted.value} camera, and robot {robot.name} has it as {there.value}"
            )
    return ""


def _state_misfit(needs: RobotContract, robot: RobotContract) -> str:
    names = tuple(group.name for group in robot.state)
    for group in needs.state:
        if group.name not in names:
            return f"the policy needs state group {group.name!r}, and robot {robot.name} has {_listed(names)}"
        if difference := _difference(group, robot.state_group(group.name), STATE_MEANING, robot.name):
            return f"state group {group.name!r}: {difference}"
    return ""


def _action_misfit(groups: Sequence[ActionGroup], robot: RobotContract) -> str:
    wanted, there = ([group.name for group in each] for each in (groups, robot.action))
    if wanted != there:
        return f"the policy commands {_listed(wanted)}, and robot {robot.name} takes {_listed(there)}"
    for group, own in zip(groups, robot.action, strict=True):
        if difference := _difference(group, own, ACTION_MEANING, robot.name):
            return f"action group {group.name!r}: {difference}"
    return ""


def _timing_misfit(needs: RobotContract, horizon: int, robot: RobotContract) -> str:
    if needs.rate != robot.rate:
        return f"the policy was made for {needs.rate:g} Hz, and robot {robot.name} is controlled at {robot.rate:g} Hz"
    if horizon > robot.max_horizon:
        return f"the policy's chunks have {horizon} actions, and robot {robot.name} takes at most {robot.max_horizon}"
    return ""


def _difference(
    wanted: StateGroup | ActionGroup, there: StateGroup | ActionGroup, what: Sequence[str], robot: str
) -> str:
    for name in what:
        if (value := getattr(wanted, name)) != (other := getattr(there, name)):
            return f"the policy needs {name} {_said(value)}, and robot {robot} has {_said(other)}"
    return ""


def _said(value: object) -> str:
    return "none" if value in ("", None) else str(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
