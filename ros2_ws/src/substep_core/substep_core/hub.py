"""Folders of checkpoints that are named by path or by hub id."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

CONFIG_FILE = "config.json"
HUB_ID_PATTERN = re.compile(r"[a-zA-Z0-9][\w.-]*/[a-zA-Z0-9][\w.-]*")


class HubError(ValueError):
    """A checkpoint that is neither here nor to be had from the hub."""


def checkpoint_folder(name: str) -> Path:
    """An existing folder, or the download of a hub id such as "organisation/model".

    Raises:
        HubError: there is no such folder, and the hub does not have it or cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    check_name(name)
    return _download(name)


def check_name(name: str) -> None:
    """Whether a name may be a checkpoint's; asks no hub.

    Raises:
        HubError: it is no folder, and can be no hub id: it is written as a path, or begins with a folder that is here.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return
    begins_here = folder.parent != Path() and folder.parent.is_dir()
    if HUB_ID_PATTERN.fullmatch(name) and not begins_here:
        return
    if not begins_here:
        raise HubError(f"{name!r} is no folder here, and no hub id such as organisation/model")
    there = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    meant = difflib.get_close_matches(folder.name, there, n=1, cutoff=0.8)
    hint = f": {folder.parent / meant[0]} is" if meant else f", {folder.parent} has none of that name"
    raise HubError(f"{name!r} is no folder{hint}")


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise HubError(f"{hub_id!r} is no folder here and could not be had from the hub: {error}") from error
