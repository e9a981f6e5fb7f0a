"""Images, proprioception and text on their way into the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from substep_policy.instruction_tokens import InstructionTokenizer, train_tokenizer
from substep_policy.normalization import Statistics
from substep_policy.preprocessing import PreprocessingConfig, Preprocessor, ProprioEncoding, resize, rotation_matrix

TEXTS = ["pick up the black bowl", "place the black bowl on the plate", "open the top drawer"]


@pytest.fixture(scope="module")
def tokenizer() -> InstructionTokenizer:
    return InstructionTokenizer(train_tokenizer(TEXTS, 320), max_length=12)


@given(arrays(np.float64, (4, 3), elements=st.floats(-7, 7)))
def test_rotation_matrices_agree_with_scipy(axis_angle):
    np.testing.assert_allclose(rotation_matrix(axis_angle), Rotation.from_rotvec(axis_angle).as_matrix(), atol=1e-9)


def test_orientation_is_continuous_where_the_axis_angle_vector_jumps():
    here, there = np.zeros(8), np.zeros(8)
    here[3:6], there[3:6] = [np.pi - 1e-4, 0, 0], [-np.pi + 1e-4, 0, 0]
    near = np.abs(ProprioEncoding.ROTATION_6D.apply(here) - ProprioEncoding.ROTATION_6D.apply(there)).max()
    far = np.abs(ProprioEncoding.AXIS_ANGLE.apply(here) - ProprioEncoding.AXIS_ANGLE.apply(there)).max()
    assert near < 1e-3 and far > 6


def test_images_are_stacked_in_the_models_order_and_resized(tokenizer):
    config = PreprocessingConfig(cameras=("eye_in_hand", "agentview"), image_size=32)
    preprocessor = Preprocessor(config, Statistics.of(np.random.rand(5, 11)), tokenizer)
    views = {"agentview": np.full((128, 96, 3), 10, np.uint8), "eye_in_hand": np.full((16, 16, 3), 200, np.uint8)}
    stacked = preprocessor.images(views)
    assert stacked.shape == (2, 32, 32, 3) and stacked.dtype == np.uint8
    assert stacked[0].min() == 200 and stacked[1].max() == 10


def test_a_missing_camera_is_named(tokenizer):
    preprocessor = Preprocessor(PreprocessingConfig(), Statistics.of(np.random.rand(5, 11)), tokenizer)
    with pytest.raises(ValueError, match="needs camera eye_in_hand.*agentview"):
        preprocessor.images({"agentview": np.zeros((128, 128, 3), np.uint8)})


def test_statistics_of_another_encoding_are_refused(tokenizer):
    with pytest.raises(ValueError, match="describe 8 proprioception values.*has 11"):
        Preprocessor(PreprocessingConfig(), Statistics.of(np.random.rand(5, 8)), tokenizer)


def test_an_image_that_fits_is_not_touched():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert resize(image, 32) is image


def test_case_punctuation_and_spaces_of_an_instruction_do_not_matter(tokenizer):
    ids, mask = tokenizer.encode(["pick up the black bowl", " Pick up the  black_bowl. "])
    assert ids[0].tolist() == ids[1].tolist() and mask[0].tolist() == mask[1].tolist()


@given(st.text(max_size=200))
def test_any_text_becomes_tokens_of_fixed_length(tokenizer, text):
    ids, mask = tokenizer.encode([text])
    assert ids.shape == mask.shape == (1, 12)
    assert mask.any(), "even an empty instruction has a token, so that attention has something to look at"
    assert ids.max() < tokenizer.vocabulary_size


def test_different_words_give_different_tokens(tokenizer):
    ids, _ = tokenizer.encode(["pick up the zucchini", "pick up the xylophone"])
    assert ids[0].tolist() != ids[1].tolist()


def test_a_tokenizer_is_the_same_after_its_file_and_after_training_again(tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = InstructionTokenizer.load(tmp_path / "tokenizer.json", 12)
    retrained = InstructionTokenizer(train_tokenizer(reversed(TEXTS), 320), 12)
    for text in ("open the drawer", "an unseen ünicode word"):
        assert tokenizer.encode([text])[0].tolist() == again.encode([text])[0].tolist()
        assert tokenizer.encode([text])[0].tolist() == retrained.encode([text])[0].tolist()


def test_a_damaged_tokenizer_file_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer.json is not a tokenizer"):
        InstructionTokenizer.load(tmp_path / "tokenizer.json", 12)
