"""Has a program of the workspace run where the project's Python packages are.

``colcon build`` gives programs the Python that it runs in itself. On a machine with ROS that is the system's, whose
distribution does not have the packages in the versions that are needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("jsonschema", "pydantic_core")  # what substep_core imports and ROS does not bring
ENTERED = "SUBSTEP_ENVIRONMENT_ENTERED"  # environment variable: the search is over


def enter_environment(near: Path = Path(__file__)) -> None:
    """Go on here if the packages are here, else start over in a virtual environment that is to have them.

    That is the activated one (``VIRTUAL_ENV``), else the one that ``./substep setup`` has made in the checkout which
    ``near`` belongs to, be it by its source, by a link, or built below it.

    Raises:
        SystemExit: there is none, or it lacks the packages too; says what to do.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        return
    python = next(_pythons(near), None)
    if python is None or ENTERED in os.environ:
        raise SystemExit(
            f"{Path(sys.argv[0]).name}: substep's Python packages ({', '.join(missing)}, ...) are not in "
            f"{sys.executable}: run './substep setup' in the checkout, or activate a virtual environment into which "
            "requirements/stack.in was installed"
        )
    os.environ[ENTERED] = "1"
    os.execv(python, [str(python), *sys.argv])


def _pythons(near: Path) -> Iterator[Path]:
    environments = [Path(os.environ["VIRTUAL_ENV"])] if os.environ.get("VIRTUAL_ENV") else []
    for place in (near.absolute(), near.resolve()):
        environments += [folder / ".venv" for folder in place.parents if (folder / "setup" / "setup.sh").is_file()]
    for environment in environments:
        if (python := environment / "bin" / "python").exists():
            yield python
