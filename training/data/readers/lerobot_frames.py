"""Frames of LeRobot v3 data sets: MP4 files that many episodes share, or images inside of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from imageio_ffmpeg import read_frames

from training.data.readers.demonstration import DemonstrationError, FromJpeg
from training.data.readers.encoded_images import decode_frames
from training.data.readers.lerobot_tables import EPISODE, LeRobotInfo, columns_of, read_table, whole_number
from training.data.readers.limits import check_array, check_image_size
from training.data.readers.orientation import ImageOrientation

SEEK_LEAD = 1_000_000  # µs decoded before the first frame that is wanted


def camera_frames(
    info: LeRobotInfo, row: Mapping[str, Any], key: str, orientation: ImageOrientation, where: str
) -> np.ndarray | FromJpeg:
    """(T, H, W, 3) uint8 of one feature, upright.

    Args:
        row: of ``meta/episodes``.
        orientation: of what is stored.

    Raises:
        DemonstrationError: they are missing or cannot be decoded.
    """
    if info.dtypes[key] == "video":
        return orientation.to_upright(_video_frames(info, row, key, where))
    where = f"{where}: {key}"
    return decode_frames(_encoded_frames(info.data_file(row), row[EPISODE], key, where), orientation, where)


def _video_frames(info: LeRobotInfo, row: Mapping[str, Any], key: str, where: str) -> np.ndarray:
    """The episode's part of the MP4 it shares with others."""
    path, length = info.video_file(row, key), whole_number(row, "length")
    if not path.is_file():
        raise DemonstrationError(f"{path} is missing")
    begin = row.get(f"videos/{key}/from_timestamp")
    if not isinstance(begin, (int, float)) or not 0 <= begin < 1e9:
        raise DemonstrationError(f"meta/episodes says videos/{key}/from_timestamp {begin!r}, expected seconds")
    first = round(begin * info.rate)
    video = read_frames(path, **_seek(first, info.rate))
    try:
        width, height = next(video)["size"]
        check_image_size(width, height, str(path))
        check_array((length, height, width, 3), 1, str(path))
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in islice(video, length)]
    except (OSError, RuntimeError, KeyError) as error:
        raise DemonstrationError(f"{where}: {path} cannot be decoded: {error}") from error
    finally:
        video.close()
    if len(frames) != length:
        raise DemonstrationError(f"{where}: {path} has {len(frames)} frames, expected {length} from frame {first} on")
    return np.stack(frames)


def _seek(frame: int, rate: float) -> dict[str, list[str]]:
    """Options of ffmpeg that start at a frame without decoding what lies far before it.

    To a key frame by the index first, then to the very frame by its time: right after a seek, frames that refer back
    over a key frame cannot be decoded. Rounded down to the microseconds that ffmpeg takes, so that the frame is in.

    The format is given: ffmpeg would else take a playlist under this name for one, and read what that names.
    """
    time = int(frame / rate * 1e6)
    early = max(0, time - SEEK_LEAD)
    return {
        "input_params": ["-f", "mp4", "-ss", f"{early}us"],
        "output_params": ["-ss", f"{time - early}us"],
    }


def _encoded_frames(path: Path, episode: int, key: str, where: str) -> list[bytes | None]:
    if key not in columns_of(path):
        raise DemonstrationError(f"{where}: {path} has no such column")
    cells = read_table(path, [key], episode)[key].to_pylist()
    if None in cells:
        raise DemonstrationError(f"{where}: {path} has rows without an image")
    return [cell["bytes"] for cell in cells]
