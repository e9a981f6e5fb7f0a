"""Options that several commands have: one name, one type and one text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from substep_core.tasks import TASKS_FROM_HELP


def _different(_: type, values: tuple[object, ...] | None) -> None:
    """Two processes would work on what stands there twice, and it would count twice."""
    if values and len(set(values)) < len(values):
        raise ValueError(f"{' '.join(map(str, values))} names one of them twice: expected different ones")


def _in_a_folder(_: type, file: Path | None) -> None:
    """Noticed before hours of work whose result is to go there."""
    if file is not None and not file.parent.is_dir():
        raise ValueError(f"{file} cannot be written: there is no folder {file.parent}")


Flat = Parameter(name="*")  # the fields of a configuration class become options without its name before them

Suite = Annotated[str, Parameter(help="task suite")]
TasksFrom = Annotated[str, Parameter(help=TASKS_FROM_HELP)]
Suites = Annotated[tuple[str, ...], Parameter(help="task suites; none: the task source's", validator=_different)]
Task = Annotated[int, Parameter(help="task within the suite, from 0")]
Tasks = Annotated[
    tuple[int, ...] | None, Parameter(help="tasks of each suite, from 0; none: all", validator=_different)
]
Assets = Annotated[str, Parameter(help="meshes and textures: embedded, libero (LIBERO's own), or a folder")]
Robot = Annotated[str, Parameter(help="an installed robot's name, or a YAML file of its contract")]
Device = Annotated[str, Parameter(help="auto (a GPU where there is one), cpu, cuda or cuda:N")]
Dataset = Annotated[
    str | None,
    Parameter(help="whose statistics the checkpoint works with, by name; none: the suite's, or those of its only one"),
]
Workers = Annotated[int, Parameter(help="processes", validator=Number(gte=1, lte=256))]
Domain = Annotated[
    int | None,
    Parameter(help="ROS domain; none: ROS_DOMAIN_ID, or a free one", validator=Number(gte=0, lte=232)),
]
RunningDomain = Annotated[
    int | None,
    Parameter(
        help="ROS domain of the running graph, which prints it; none: ROS_DOMAIN_ID, or 0",
        validator=Number(gte=0, lte=232),
    ),
]
Network = Annotated[
    Literal["local", "open"],
    Parameter(
        help="who can reach the graph, unless discovery is configured by ROS's own variables: programs on this machine "
        "(local), or on the network (open)"
    ),
]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Members = Parameter(name_transform=str.lower)  # of an enumeration, spelled as in messages and files
Pixels = Annotated[int, Parameter(validator=Number(gte=16, lte=2048))]
ImageSize = Annotated[tuple[Pixels, Pixels], Parameter(help="height and width of each camera in pixels")]
SourceType = Annotated[
    str, Parameter(help="format that demonstrations have: libero_hdf5, rlds, lerobot, or an installed one")
]
Json = Annotated[
    Path | None, Parameter(help="also write what is printed to this file, for programs", validator=_in_a_folder)
]
Table = Annotated[
    Path | None, Parameter(help="also write success as a Markdown table to this file", validator=_in_a_folder)
]
CommandLine = Annotated[str, Parameter(parse=False)]  # what was typed; no option: the grammar fills it in
