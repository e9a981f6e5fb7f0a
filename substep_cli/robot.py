"""``./substep robot …``: the contracts of robots."""

from __future__ import annotations

from pathlib import Path

from substep_cli.grammar import UsageError
from substep_core.configuration import ConfigurationError
from substep_core.contract import contract_to_text, load_robot
from substep_core.contract.load import ROBOTS


def check(robot: str, /) -> None:
    """Read a contract, and say what a program gets from it, or everything that is wrong with it.

    Args:
        robot: name of an installed robot, or a YAML file.
    """
    try:
        found = load_robot(robot)
    except ConfigurationError as error:
        raise UsageError("\n  ".join([f"{error.source} is no robot contract:", *error.problems])) from error
    print(f"{found.name}: {found.rate:g} Hz, chunks of up to {found.max_horizon} actions")
    for camera in found.cameras:
        print(f"  camera {camera.name}: {camera.role.value}, {camera.height} x {camera.width}")
    for what, groups, place in (
        ("state", found.state, found.state_slice),
        ("action", found.action, found.action_slice),
    ):
        for group in groups:
            values = place(group)
            unit = f" in {group.unit}" if group.unit else ""
            print(f"  {what} {values.start} to {values.stop - 1}: {group.name}, {group.quantity.value}{unit}")


def list_robots() -> None:
    """Name the installed robots, and the packages that they come from."""
    print(ROBOTS.listing)


def show(robot: str, /) -> None:
    """Print a contract whole, with every default, as it is published on robot_contract.

    Args:
        robot: name of an installed robot, or a YAML file.
    """
    print(contract_to_text(load_robot(robot)), end="")


def layout(robot: str, /, *, out: Path) -> None:
    """Write a layout of RViz or Foxglove that shows this robot: its cameras, poses, joints and actions.

    Args:
        robot: name of an installed robot, or a YAML file.
        out: new file: .rviz for view.launch.py config:=FILE, .json for Foxglove or Lichtblick to import.
    """
    from substep_bringup.view_layouts import layout

    text = layout(load_robot(robot), out)
    out.write_text(text, encoding="utf-8")
