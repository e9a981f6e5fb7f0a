"""Images in every encoding a camera may have, and of any size."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage, Image

from arm_bridge.images import CHANNELS, fitted, rgb

SCENE = np.random.default_rng(3).integers(0, 255, (5, 7, 3), dtype=np.uint8)
GREY = SCENE[:, :, :1]
ALPHA = np.full((5, 7, 1), 9, np.uint8)
STORED = {
    "rgb8": SCENE,
    "bgr8": SCENE[:, :, ::-1],
    "8UC3": SCENE[:, :, ::-1],
    "rgba8": np.concatenate([SCENE, ALPHA], axis=2),
    "bgra8": np.concatenate([SCENE[:, :, ::-1], ALPHA], axis=2),
    "mono8": GREY,
}


def message(encoding: str, padding: int = 0) -> Image:
    pixels = STORED[encoding]
    rows = np.pad(pixels.reshape(5, -1), ((0, 0), (0, padding)))
    return Image(height=5, width=7, encoding=encoding, step=rows.shape[1], data=rows.tobytes())


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", CHANNELS)
def test_every_encoding_becomes_rgb(encoding, padding):
    expected = np.repeat(GREY, 3, axis=2) if encoding == "mono8" else SCENE
    assert np.array_equal(rgb(message(encoding, padding)), expected)


OPENCV = {  # what cv_bridge calls for each encoding where "rgb8" is asked for
    "rgb8": None,
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}


@pytest.mark.parametrize("encoding", CHANNELS)
def test_opencv_converts_every_encoding_alike(encoding):
    pixels, conversion = np.ascontiguousarray(STORED[encoding]), OPENCV[encoding]
    assert np.array_equal(rgb(message(encoding)), pixels if conversion is None else cv2.cvtColor(pixels, conversion))


def test_a_compressed_image_is_read():
    file = io.BytesIO()
    Picture.fromarray(SCENE).save(file, "png")
    assert np.array_equal(rgb(CompressedImage(format="png", data=file.getvalue())), SCENE)
    with pytest.raises(ValueError, match="cannot be read"):
        rgb(CompressedImage(format="png", data=b"nothing"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "16UC1"}, "'16UC1', expected one of rgb8"),
        ({"step": 20}, "in rows of 20"),
        ({"height": 0}, "of 0 rows"),
    ],
)
def test_an_image_that_is_none_is_refused(changes, words):
    wrong = message("rgb8")
    for name, value in changes.items():
        setattr(wrong, name, value)
    with pytest.raises(ValueError, match=words):
        rgb(wrong)


def test_images_of_another_shape_are_cropped_stretched_or_padded():
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 200
    assert (fitted(wide, 20, 20, "crop") == 200).all()
    assert fitted(wide, 20, 20, "stretch")[:, :5].max() == 0
    padded = fitted(wide, 20, 20, "pad")
    assert padded[:5].max() == 0 and padded[10, 10, 0] == 200 and padded[10, 0, 0] == 0


def test_an_image_is_turned_upright_first():
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 5] = 255  # its top right corner
    assert fitted(image, 6, 4, "crop", turn=1)[0, 0, 0] == 255
