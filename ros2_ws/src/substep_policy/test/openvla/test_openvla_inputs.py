"""Prompts and images of OpenVLA-OFT."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from substep_policy.models.compact.instruction_tokens import TextTooLong
from substep_policy.models.openvla import jpeg
from substep_policy.models.openvla.images import OpenVLAImages, centre_crop, fit, mirror
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder, prompt_text


def test_the_prompt_asks_in_lower_case() -> None:
    assert prompt_text("Pick up the Bowl") == "In: What action should the robot take to pick up the bowl?\nOut:"


def test_a_prompt_is_followed_by_the_empty_token_slots_and_end(
    toy_config: OpenVLAModelConfig, toy_tokenizer: Tokenizer
) -> None:
    prompts = OpenVLAPromptBuilder(toy_tokenizer, toy_config).build(["pick up the bowl", "bowl"])
    tokens, slots = toy_config.backbone.tokens, toy_config.action_slots
    assert prompts.attention_mask.sum(1).tolist() == (prompts.slot_start + slots + 1).tolist()
    for ids, present, start in zip(prompts.input_ids, prompts.attention_mask, prompts.slot_start, strict=True):
        assert ids[0] == tokens.bos
        assert ids[start - 1] == tokens.empty
        assert ids[start - 2] != tokens.empty
        assert ids[start + slots] == tokens.eos
        assert (ids[~present] == tokens.pad).all()


def test_an_empty_token_the_tokenizer_has_put_is_not_doubled(
    toy_config: OpenVLAModelConfig, toy_tokenizer: Tokenizer
) -> None:
    words = toy_tokenizer.get_vocab() | {"Out": toy_config.backbone.tokens.empty, ":": toy_config.backbone.tokens.empty}
    closing = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    closing.pre_tokenizer, closing.post_processor = pre_tokenizers.Whitespace(), toy_tokenizer.post_processor
    prompts = OpenVLAPromptBuilder(closing, toy_config).build(["bowl"])
    plain = OpenVLAPromptBuilder(toy_tokenizer, toy_config).build(["bowl"])
    assert prompts.slot_start[0] == plain.slot_start[0] - 1


def test_a_tokenizer_without_bos_is_refused(toy_config: OpenVLAModelConfig, toy_tokenizer: Tokenizer) -> None:
    bare = Tokenizer(models.WordLevel(toy_tokenizer.get_vocab(), unk_token="<unk>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match="not with BOS 1"):
        OpenVLAPromptBuilder(bare, toy_config)
    with pytest.raises(ValueError, match="no instructions"):
        OpenVLAPromptBuilder(toy_tokenizer, toy_config).build([])


def test_what_a_tokenizer_file_says_of_padding_and_cutting_does_not_count(
    toy_config: OpenVLAModelConfig, toy_tokenizer: Tokenizer
) -> None:
    plain = OpenVLAPromptBuilder(Tokenizer.from_str(toy_tokenizer.to_str()), toy_config).build(["pick up the bowl"])
    toy_tokenizer.enable_padding(length=64)
    toy_tokenizer.enable_truncation(5)
    prompts = OpenVLAPromptBuilder(toy_tokenizer, toy_config).build(["pick up the bowl"])
    np.testing.assert_array_equal(prompts.input_ids, plain.input_ids)
    assert prompts.slot_start == plain.slot_start


def test_an_instruction_beyond_the_models_positions_is_refused(
    toy_config: OpenVLAModelConfig, toy_tokenizer: Tokenizer
) -> None:
    builder = OpenVLAPromptBuilder(toy_tokenizer, toy_config)
    builder.build(["pick up the bowl"])
    with pytest.raises(TextTooLong, match="tokens and the model takes"):
        builder.build(["bowl " * toy_config.backbone.language_model.max_positions])


def smooth_image(size: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    ramp = np.linspace(20, 235, size)
    image = np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 90.0)], -1)
    return image.astype(np.uint8)


def test_upright_images_reach_the_model_mirrored() -> None:
    """LIBERO renders upside down; the policy was trained on that turned by 180°."""
    rendered = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    upright = rendered[::-1]
    np.testing.assert_array_equal(mirror(upright), np.rot90(rendered, 2))


def test_every_image_passes_through_jpeg_whatever_its_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(fit(noise, 64), mirror(jpeg.decode(jpeg.encode(mirror(noise)))))
    np.testing.assert_array_equal(fit(noise, 64, is_from_jpeg=True), noise)
    assert (fit(noise, 64) != noise).any()
    enlarged = fit(smooth_image(64), 128)
    assert enlarged.shape == (128, 128, 3)
    np.testing.assert_allclose(enlarged, smooth_image(128), atol=6)


@pytest.mark.parametrize("size", [56, 64])
def test_the_policy_sees_what_training_makes_of_a_stored_frame(toy_config: OpenVLAModelConfig, size: int) -> None:
    """A camera of the model's own size goes through JPEG as well, and a frame that was stored does not go again."""
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    pipeline = OpenVLAImages(toy_config)
    seen = pipeline({"agentview": image, "eye_in_hand": image})
    np.testing.assert_array_equal(seen[0], pipeline.pixels(fit(image, 56)))
    assert (seen[0] != pipeline.pixels(image[:56, :56])).any()


def test_an_image_that_was_not_made_to_fit_is_refused(toy_config: OpenVLAModelConfig) -> None:
    with pytest.raises(ValueError, match=r"an image is \(64, 64, 3\), expected \(56, 56, 3\)"):
        OpenVLAImages(toy_config).pixels(np.zeros((64, 64, 3), np.uint8))


def test_the_crop_keeps_nine_tenths_of_the_area() -> None:
    size, side = 65, 0.9**0.5
    image = smooth_image(size)
    cropped = centre_crop(image, 0.9)
    margin = (1 - side) / 2
    expected = 20 + 215 * np.linspace(margin, 1 - margin, size)
    np.testing.assert_allclose(cropped[size // 2, :, 0], expected, atol=2)
    np.testing.assert_allclose(cropped[:, size // 2, 1], expected, atol=2)
    assert (cropped[..., 2] == 90).all()


def test_pixels_are_normalised_for_both_transformers(toy_config: OpenVLAModelConfig) -> None:
    grey = np.full((32, 48, 3), 128, np.uint8)
    pixels = OpenVLAImages(toy_config)({"agentview": grey, "eye_in_hand": grey})
    assert pixels.shape == (2, 6, 56, 56)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0, 0], (128 / 255 - 0.485) / 0.229, atol=1e-5)
    np.testing.assert_allclose(pixels[0, 3:], (128 / 255 - 0.5) / 0.5, atol=1e-5)


def test_cameras_enter_in_the_configured_order(toy_config: OpenVLAModelConfig) -> None:
    dark, bright = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    pixels = OpenVLAImages(toy_config)({"eye_in_hand": bright, "agentview": dark})
    assert pixels[0].max() < pixels[1].min()
    with pytest.raises(ValueError, match="eye_in_hand"):
        OpenVLAImages(toy_config)({"agentview": dark})
