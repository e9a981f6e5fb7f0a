"""Folders of checkpoints that are named by path or by hub id."""

from __future__ import annotations

import re
from pathlib import Path

CONFIG_FILE = "config.json"
HUB_ID_PATTERN = re.compile(r"[\w.-]+/[\w.-]+")


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
    if HUB_ID_PATTERN.fullmatch(name):
        return _download(name)
    raise HubError(f"{name!r} is no folder here, and no hub id such as organisation/model")


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise HubError(f"{hub_id!r} is no folder here and could not be had from the hub: {error}") from error
