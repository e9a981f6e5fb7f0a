"""What a LIBERO-plus task's name says: which files it is made of, and what is changed in its world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Look = Literal["light", "table", "tb"]
MOST_ROBOTS, MOST_NOISES = 500, 50
_VIEW = re.compile(r"(?P<file>.+?)_view_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)_initstate_(\d+)(?:_noise_(\d+))?")
_LOOK = re.compile(r"(?P<base>.+)_(?P<look>light|table|tb)_\d+")
_LAYOUT = re.compile(r"(?P<base>.+?)_(?:add_\d+|(?:moved_)?level\d+_sample\d+)")
_LANGUAGE = re.compile(r"_language_\d+$")


@dataclass(frozen=True)
class CameraView:
    """Where the scene camera goes, in the whole numbers of the name.

    Attributes:
        horizontal, vertical: degrees that its pose is turned by about the world's z and about a line along y.
        scale: percent of its distance from the pivot.
        turned, tilted: degrees that it looks aside and up from where it stands.
    """

    horizontal: int = 0
    vertical: int = 0
    scale: int = 100
    turned: int = 0
    tilted: int = 0


@dataclass(frozen=True)
class PlusName:
    """A task's name, taken apart.

    Attributes:
        file: name of its BDDL file, without the ending.
        base: LIBERO's own task.
        view: None where the task is not a matter of the camera's, the robot's, the picture's or the language's.
        robot: which of 500 starts the arm has; 0: LIBERO's.
        noise: which of 50 the scene camera's pictures have; 0: none.
        look: light, table's texture, or table's and wall's.
        own_layout: objects stand elsewhere, or there are more of them, so that it has initial states of its own.
    """

    file: str
    base: str
    view: CameraView | None = None
    robot: int = 0
    noise: int = 0
    look: Look | None = None
    own_layout: bool = False


def parse_name(name: str) -> PlusName:
    """Raises: ValueError: it is no name of LIBERO-plus's."""
    if found := _VIEW.fullmatch(name):
        numbers = [int(number or 0) for number in found.groups()[1:]]
        *view, robot, noise = numbers
        if robot > MOST_ROBOTS or noise > MOST_NOISES:
            most = f"{MOST_ROBOTS} and {MOST_NOISES}"
            raise ValueError(f"task {name!r} has initstate {robot} and noise {noise}: expected at most {most}")
        return PlusName(found["file"], _LANGUAGE.sub("", found["file"]), CameraView(*view), robot, noise)
    if found := _LOOK.fullmatch(name):
        return PlusName(name, found["base"], look=found["look"])
    if found := _LAYOUT.fullmatch(name):
        return PlusName(name, found["base"], own_layout=True)
    raise ValueError(
        f"task {name!r} is not one of LIBERO-plus's: expected a name that ends in _view_…, _light_N, _table_N, _tb_N, "
        "_add_N or _levelL_sampleS"
    )
