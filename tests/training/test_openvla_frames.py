"""What OpenVLA-OFT is shown in training is what the policy will see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from substep_core.configuration import parse
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks.random_models import toy_model
from substep_policy.models.openvla.images import CROP_AREA, OpenVLAImages, centre_crop
from training.data.augmentation import CropAndColour
from training.data.frame_cache import Resizing

ROBOT = load_robot(LIBERO_PANDA)
SIZE = toy_model(ROBOT).backbone.image_size


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE])
def test_a_stored_frame_is_what_the_policy_makes_of_the_camera(size: int):
    frame = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    (stored,), pipeline = Resizing.OPENVLA.stack(frame[None], SIZE), OpenVLAImages(toy_model(ROBOT))
    seen = pipeline({"agentview": frame, "eye_in_hand": frame})
    np.testing.assert_array_equal(pipeline.pixels(stored), seen[0])


def test_augmentation_crops_as_much_as_the_policy_does():
    ramp = np.tile(np.linspace(0, 255, 100).astype(np.uint8)[None, :, None], (100, 1, 3))
    colourless = CropAndColour(brightness=0, contrast=0, saturation=0, hue=0)
    (cropped,) = colourless.apply(torch.from_numpy(ramp)[None, None], torch.Generator().manual_seed(0)).numpy()[0]
    seen = centre_crop(ramp, CROP_AREA)
    assert np.ptp(cropped[50, :, 0]) == pytest.approx(np.ptp(seen[50, :, 0]), abs=2)
    with pytest.raises(ValueError, match="area is not a known key"):
        parse(CropAndColour, {"type": "crop_and_colour", "area": 0.5}, "training.yaml")
