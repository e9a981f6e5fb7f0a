"""JSON files that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class JsonFileError(ValueError):
    """A file that does not hold a JSON object; the message names it."""


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        JsonFileError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, RecursionError) as error:  # no JSON, no text, or a number of too many digits
        raise JsonFileError(f"{path} is not JSON: {error}") from error
    except OSError as error:
        raise JsonFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise JsonFileError(f"{path} holds a JSON {type(content).__name__}, expected an object")
    return content
