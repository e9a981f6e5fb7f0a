"""Reads and writes robot contracts as YAML: shipped files, one's own, and the text on topic ``robot_contract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator

from substep_core.configuration import dump, parse
from substep_core.contract.robot import RobotContract
from substep_core.registry import Registry
from substep_core.yaml_mapping import mapping_of, read_text

ROBOTS: Registry[Path | RobotContract] = Registry("robot", "substep.robots")  # an entry: a YAML file, or a contract
LIBERO_PANDA = "libero_panda"
LONGEST_TEXT = 200_000  # characters; the contract that ships has a few thousand


def load_robot(robot: str | Path) -> RobotContract:
    """A robot's contract.

    Args:
        robot: name of an entry point in ``substep.robots``, or the path of a YAML file.

    Raises:
        ValueError: there is no such robot, or the file does not hold a contract; the message names key and value.
    """
    found = Path(robot).expanduser()
    if found.suffix not in (".yaml", ".yml"):
        if found.is_dir() and str(robot) not in ROBOTS:
            raise ValueError(f"robot {str(robot)!r} is a folder, expected a .yaml file or the name of a robot")
        found = ROBOTS.load(str(robot))
    if isinstance(found, RobotContract):
        return found
    if not found.is_file():
        raise ValueError(f"robot {str(robot)!r}: there is no file {found}")
    return contract_from_text(read_text(found), str(found))


def _named(robot: Any) -> Any:
    return load_robot(robot) if isinstance(robot, (str, Path)) else robot


NamedRobot = Annotated[
    RobotContract, BeforeValidator(_named)
]  # of a configuration: a contract, or what load_robot takes


def contract_from_text(text: str, source: str) -> RobotContract:
    """Raises: ValueError: the text is not YAML or no contract; the message names ``source``, key and value."""
    if len(text) > LONGEST_TEXT:  # it may come over the network, and is read while a node waits
        raise ValueError(f"{source} has {len(text)} characters, expected at most {LONGEST_TEXT}")
    return parse(RobotContract, mapping_of(text, source, "the mapping of a robot contract"), source)


def contract_to_text(contract: RobotContract) -> str:
    """The YAML that ``contract_from_text`` reads back to the same contract."""
    return yaml.safe_dump(dump(contract), sort_keys=False, allow_unicode=True)
