"""Images as cameras give them -> (H, W, 3) uint8 RGB of the contract's size.

cv_bridge is not used: it comes with ROS alone, and as a binary for the system's numpy. It calls OpenCV's conversions,
and a test holds this code to them.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage, Image

Fit = Literal["crop", "stretch", "pad"]
CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0), "mono8": (0, 0, 0)}
CHANNELS["8UC3"] = CHANNELS["bgr8"]  # OpenCV's order, as cv_bridge takes it
WIDTHS = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
LARGEST = 64_000_000  # pixels
RESAMPLING = Picture.Resampling.BOX, Picture.Resampling.BILINEAR  # smaller, larger


def rgb(message: Image | CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8. Raises: ValueError: an unknown encoding, or sizes that contradict each other."""
    return _decompressed(message) if isinstance(message, CompressedImage) else _raw(message)


def _raw(message: Image) -> np.ndarray:
    if message.encoding not in CHANNELS:
        raise ValueError(f"an image has encoding {message.encoding!r}, expected one of {', '.join(CHANNELS)}")
    height, width, step, depth = message.height, message.width, message.step, WIDTHS[message.encoding]
    if not height or not width or step < depth * width or len(message.data) != step * height:
        raise ValueError(
            f"an image of {height} rows, {width} columns and {message.encoding} has {len(message.data)} bytes in rows "
            f"of {step}, expected {depth * width} or more a row"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)
    pixels = rows[:, : depth * width].reshape(height, width, depth)
    return np.ascontiguousarray(pixels[:, :, CHANNELS[message.encoding]])


def _decompressed(message: CompressedImage) -> np.ndarray:
    try:
        with Picture.open(io.BytesIO(bytes(message.data))) as picture:
            if picture.width * picture.height > LARGEST:
                raise ValueError(f"a compressed image has {picture.width} x {picture.height} pixels")
            return np.asarray(picture.convert("RGB"))
    except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
        raise ValueError(f"a compressed image ({message.format}) cannot be read: {error}") from error


def fitted(image: np.ndarray, height: int, width: int, fit: Fit, turn: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 -> (height, width, 3).

    Args:
        fit: "crop" the middle of the wanted shape; "stretch" to it; "pad" with black.
        turn: quarter turns anticlockwise, first of all.
    """
    image = np.rot90(image, turn) if turn else image
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if fit == "crop":
        image = _cropped(image, height, width)
    if fit == "pad":
        return _padded(image, height, width)
    return _resized(image, height, width)


def _cropped(image: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    tall, wide = min(rows, max(1, round(columns * height / width))), min(columns, max(1, round(rows * width / height)))
    top, left = (rows - tall) // 2, (columns - wide) // 2
    return image[top : top + tall, left : left + wide]


def _padded(image: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    scale = min(height / rows, width / columns)
    tall, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - tall) // 2, (width - wide) // 2
    canvas[top : top + tall, left : left + wide] = _resized(image, tall, wide)
    return canvas


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    smaller, larger = RESAMPLING
    method = smaller if image.shape[0] > height else larger
    picture = Picture.fromarray(np.ascontiguousarray(image)).resize((width, height), method)
    return np.asarray(picture)
