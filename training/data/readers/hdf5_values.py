"""Values of HDF5 files from anywhere: nothing outside of the file is read, and nothing larger than memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from training.data.readers.demonstration import DemonstrationError
from training.data.readers.limits import check_array, check_length

MAX_LINKS = 8  # that lead to each other


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Raises: DemonstrationError: the file is missing. OSError: it is no HDF5 file."""
    if not path.is_file():
        raise DemonstrationError(f"{path} is missing")
    with h5py.File(path, "r") as file:
        yield file


def has(group: h5py.Group, key: str) -> bool:
    return group.get(key, getlink=True) is not None


def group_at(parent: h5py.Group, key: str) -> h5py.Group:
    """Raises: DemonstrationError: there is none, or it lies in another file."""
    found = _item(parent, key)
    if not isinstance(found, h5py.Group):
        raise DemonstrationError(f"{_place(parent, key)} is no group")
    return found


def values_at(parent: h5py.Group, key: str) -> np.ndarray:
    """The numbers of a dataset.

    Raises:
        DemonstrationError: there is none, it holds no numbers, it is kept in another file, or it does not fit into
            memory.
    """
    found, place = _item(parent, key), _place(parent, key)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biuf" or found.shape is None:
        raise DemonstrationError(f"{place} holds no numbers")
    if found.is_virtual or found.external:
        raise DemonstrationError(f"{place} is kept in another file, which is not read")
    check_length(found.shape[0] if found.shape else 1, place)
    check_array(found.shape, found.dtype.itemsize, place)
    return found[()] if found.shape else found[()][None]


def _item(parent: h5py.Group, key: str, links: int = 0) -> h5py.Group | h5py.Dataset:
    found = parent.file if key.startswith("/") else parent
    for part in key.strip("/").split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise DemonstrationError(f"{_place(parent, key)} is missing")
        if isinstance(link, h5py.ExternalLink) or links > MAX_LINKS:
            raise DemonstrationError(f"{_place(parent, key)} is kept in another file, which is not read")
        found = _item(found, link.path, links + 1) if isinstance(link, h5py.SoftLink) else found[part]
    return found


def _place(parent: h5py.Group, key: str) -> str:
    return f"{parent.name}/{key}".lstrip("/")
