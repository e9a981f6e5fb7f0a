"""Images against TensorFlow's own answers, ``golden_images.npz``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from substep_policy.models.openvla import jpeg
from substep_policy.models.openvla.images import CROP_AREA, centre_crop, fit, lanczos, mirror
from tests.openvla.make_image_golden import FILE, PUBLISHED, TOY, images
from training.data.frame_cache import Resizing
from training.data.readers.encoded_images import decode_frames
from training.data.readers.orientation import ImageOrientation

IMAGES = images()


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(FILE) as file:
        return dict(file)


def assert_same_but_for_few(found: np.ndarray, expected: np.ndarray) -> None:
    """One level, in one pixel of a thousand: where a sum lies between two levels."""
    difference = np.abs(found.astype(int) - expected)
    assert found.shape == expected.shape and difference.max() <= 1 and difference.mean() < 1e-3


@pytest.mark.parametrize("name", IMAGES)
def test_jpeg_is_tensorflows_in_every_pixel(golden, name: str):
    decoded = golden[f"{name}/decoded"]
    np.testing.assert_array_equal(jpeg.decode(golden[f"{name}/jpeg"].tobytes()), decoded)
    np.testing.assert_array_equal(jpeg.decode(jpeg.encode(IMAGES[name])), decoded)


@pytest.mark.parametrize(("name", "size"), [*((name, TOY) for name in IMAGES), ("agentview", PUBLISHED)])
def test_resizing_is_tensorflows(golden, name: str, size: int):
    expected = golden[f"{name}/resized/{size}"]
    assert_same_but_for_few(lanczos(golden[f"{name}/decoded"], size), expected)
    assert_same_but_for_few(mirror(fit(mirror(IMAGES[name]), size)), expected)


@pytest.mark.parametrize("name", IMAGES)
def test_the_middle_crop_is_tensorflows(golden, name: str):
    assert_same_but_for_few(centre_crop(golden[f"{name}/resized/{TOY}"], CROP_AREA), golden[f"{name}/prepared/{TOY}"])


@pytest.mark.parametrize("name", IMAGES)
def test_frames_stored_as_jpeg_do_not_go_through_it_again(golden, name: str):
    """The published training decodes them and resizes them, and the policy sees the same of the same camera."""
    data = golden[f"{name}/jpeg"].tobytes()
    frames = decode_frames([data], ImageOrientation.HALF_TURN_OF_OPENGL, "here")
    (stored,) = Resizing.OPENVLA.stack(frames, TOY)
    assert_same_but_for_few(mirror(stored), golden[f"{name}/resized/{TOY}"])
    np.testing.assert_array_equal(stored, fit(mirror(IMAGES[name]), TOY))
