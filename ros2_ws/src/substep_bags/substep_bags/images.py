"""Camera images of a bag as JPEG: sensor_msgs/Image -> sensor_msgs/CompressedImage, both serialised, and back."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import simplejpeg
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"  # of the topic, as image_transport has it
COLOURS = {"rgb8": "RGB", "bgr8": "BGR"}
FORMAT = "{}; jpeg compressed bgr8"  # as image_transport writes it


def decode_jpeg(data: bytes) -> bytes:
    """A serialised CompressedImage -> a serialised Image, rgb8. Raises: ValueError: it is no JPEG."""
    types = _types()
    message: Any = types.deserialize_cdr(data, COMPRESSED)
    try:
        pixels = simplejpeg.decode_jpeg(message.data.tobytes(), "RGB")
    except ValueError as error:
        raise ValueError(f"an image of format {message.format!r} is no JPEG: {error}") from error
    height, width, _ = pixels.shape
    made = types.types[IMAGE](message.header, height, width, "rgb8", 0, 3 * width, pixels.reshape(-1))
    return bytes(types.serialize_cdr(made, IMAGE))


@cache
def _types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


class JpegEncoder:
    """Makes JPEG of colour images; a message of another encoding is an error.

    Args:
        quality: 1 to 100.
    """

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._types = _types()

    def __call__(self, data: bytes) -> bytes:
        """A serialised Image -> a serialised CompressedImage with its header. Raises: ValueError."""
        message: Any = self._types.deserialize_cdr(data, IMAGE)
        if message.encoding not in COLOURS:
            raise ValueError(f"an image has encoding {message.encoding!r}, expected one of {', '.join(COLOURS)}")
        rows = message.data[: message.step * message.height].reshape(message.height, message.step)
        pixels = np.ascontiguousarray(rows[:, : 3 * message.width]).reshape(message.height, message.width, 3)
        jpeg = simplejpeg.encode_jpeg(pixels, self._quality, COLOURS[message.encoding], "444")
        kind = self._types.types[COMPRESSED]
        made = kind(message.header, FORMAT.format(message.encoding), np.frombuffer(jpeg, np.uint8))
        return bytes(self._types.serialize_cdr(made, COMPRESSED))
