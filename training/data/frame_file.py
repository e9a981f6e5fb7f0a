"""Frames on disk, read one at a time in any order."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np


class FrameFile:
    """A file of N frames of one shape, uint8 unless said otherwise, as a sequence.

    Not memory-mapped: the system takes a page that is missing for the beginning of a long way, and reads megabytes
    after it that the next sample, drawn anywhere, has no use for.
    """

    def __init__(self, path: Path, frame_shape: tuple[int, ...], length: int, dtype: type = np.uint8) -> None:
        self._path, self._frame_shape, self._length, self._dtype = path, frame_shape, length, dtype
        self._frame_bytes = int(np.prod(frame_shape)) * np.dtype(dtype).itemsize
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> np.ndarray:
        """One frame, read-only. Raises: IndexError: there are fewer. OSError: the file has become shorter."""
        if not 0 <= number < self._length:
            raise IndexError(f"frame {number} of {self._path}, which has {self._length}")
        content = os.pread(self._file, self._frame_bytes, number * self._frame_bytes)
        if len(content) < self._frame_bytes:
            raise OSError(f"{self._path} ends in frame {number}, expected {self._length} frames")
        return np.frombuffer(content, self._dtype).reshape(self._frame_shape)
