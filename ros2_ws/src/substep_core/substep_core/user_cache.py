"""Where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SUBSTEP_CACHE"


def user_cache() -> Path:
    """``$SUBSTEP_CACHE``, or ``substep`` in ``$XDG_CACHE_HOME`` or in ``~/.cache``; it may not be there yet.

    Raises:
        OSError: none of them is set and the account has no home.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "substep"
    except RuntimeError as error:
        raise OSError(f"there is no folder for a cache: {error}; set {VARIABLE} to one") from error
