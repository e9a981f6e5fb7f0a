"""JPEG and PNG frames inside of files."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from substep_policy.models.openvla import jpeg
from training.data.readers.demonstration import DemonstrationError, FromJpeg, stack_images
from training.data.readers.limits import check_image_size
from training.data.readers.orientation import ImageOrientation


def decode_frames(encoded: Sequence[bytes | None], orientation: ImageOrientation, where: str) -> np.ndarray | FromJpeg:
    """T JPEG or PNG files -> (T, H, W, 3) uint8 RGB, upright.

    Raises:
        DemonstrationError: as ``decode_image``; there are none, they differ in size, or only some are JPEG.
    """
    frames = orientation.to_upright(stack_images([decode_image(data, where) for data in encoded], where))
    if not (count := sum(map(jpeg.is_jpeg, encoded))):
        return frames
    if count < len(encoded):
        raise DemonstrationError(f"{where}: {count} of {len(encoded)} frames are JPEG and the others PNG, expected one")
    return FromJpeg(frames)


def decode_image(data: bytes | None, where: str) -> np.ndarray:
    """JPEG or PNG bytes -> (H, W, 3) uint8 RGB; JPEG as TensorFlow decodes it.

    Raises:
        DemonstrationError: neither, or larger than any camera's.
    """
    check_image_size(*_stated_size(data or b"", where), where)
    if jpeg.is_jpeg(data):
        try:
            return jpeg.decode(data)
        except ValueError as error:
            raise DemonstrationError(f"{where}: a frame is a damaged JPEG image: {error}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DemonstrationError(f"{where}: a frame is no JPEG or PNG image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _stated_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height by the image's header; nothing is decoded."""
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DemonstrationError(f"{where}: {error}") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DemonstrationError(f"{where}: a frame is no JPEG or PNG image") from error
