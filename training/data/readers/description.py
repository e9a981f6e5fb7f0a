"""The JSON files in which data sets describe themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from substep_core.json_files import read_object
from training.data.readers.demonstration import DemonstrationError


def read_description(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises: DemonstrationError: it is missing, or holds none."""
    try:
        return read_object(path)
    except FileNotFoundError as error:
        raise DemonstrationError(f"{path} is missing") from error
    except ValueError as error:
        raise DemonstrationError(str(error)) from error
