"""JPEG as TensorFlow writes and reads it: every image that the published checkpoints saw went through it.

TensorFlow decodes with libjpeg's fast integer transform and smooth chroma upsampling. Other libraries take the
accurate transform, and their pixels differ by up to several levels.
"""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image

QUALITY = 95
START = b"\xff\xd8\xff"


def is_jpeg(data: bytes) -> bool:
    """Whether an encoded image begins as JPEG files do."""
    return data.startswith(START)


def encode(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB -> the image data that ``tf.io.encode_jpeg`` writes: chroma at half the resolution.

    Pillow writes it, since simplejpeg's encoder takes another transform.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """JPEG -> (H, W, 3) uint8 RGB, pixel for pixel what ``tf.io.decode_jpeg`` returns.

    Raises:
        ValueError: the data are damaged.
    """
    return simplejpeg.decode_jpeg(data, colorspace="RGB", fastdct=True, fastupsample=False)
