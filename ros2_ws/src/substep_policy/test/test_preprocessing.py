"""Images, proprioception and text on their way into the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation
from tokenizers import Tokenizer

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.rotation import rotation_matrix
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer, TextTooLong, train_tokenizer
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.compact.preprocessing import (
    PreprocessingConfig,
    Preprocessor,
    ProprioEncoding,
    resize,
)
from substep_policy.models.normalization import DatasetStatistics, Statistics, check_widths

ROBOT = load_robot(LIBERO_PANDA)
LENGTH = 32  # tokens
TEXTS = ["pick up the black bowl", "place the black bowl on the plate", "open the top drawer"]


@pytest.fixture(scope="module")
def tokenizer() -> InstructionTokenizer:
    return InstructionTokenizer(train_tokenizer(TEXTS, 320), max_length=LENGTH)


@given(arrays(np.float64, (4, 3), elements=st.floats(-7, 7)))
def test_rotation_matrices_agree_with_scipy(axis_angle):
    np.testing.assert_allclose(rotation_matrix(axis_angle), Rotation.from_rotvec(axis_angle).as_matrix(), atol=1e-9)


def test_orientation_is_continuous_where_the_axis_angle_vector_jumps():
    here, there = np.zeros(8), np.zeros(8)
    here[3:6], there[3:6] = [np.pi - 1e-4, 0, 0], [-np.pi + 1e-4, 0, 0]

    def change(encoding: ProprioEncoding) -> float:
        return np.abs(encoding.apply(here, ROBOT) - encoding.apply(there, ROBOT)).max()

    assert change(ProprioEncoding.ROTATION_6D) < 1e-3 and change(ProprioEncoding.AXIS_ANGLE) > 6


def test_every_rotation_of_a_robot_is_encoded_in_its_place():
    position, rotation, fingers = ROBOT.state
    other = replace(rotation, name="other_rotation")
    robot = replace(ROBOT, state=(other, position, rotation, fingers))
    assert ProprioEncoding.ROTATION_6D.widths(robot) == {
        "other_rotation": 6,
        "eef_position": 3,
        "eef_rotation": 6,
        "fingers": 2,
    }
    proprio = np.random.default_rng(0).normal(size=(5, 11))
    encoded = ProprioEncoding.ROTATION_6D.apply(proprio, robot)
    assert encoded.shape == (5, 17)
    np.testing.assert_allclose(encoded[:, 6:9], proprio[:, 3:6], atol=1e-6)
    np.testing.assert_allclose(encoded[:, 15:], proprio[:, 9:], atol=1e-6)
    for columns, turned in ((encoded[:, :6], proprio[:, :3]), (encoded[:, 9:15], proprio[:, 6:9])):
        matrices = Rotation.from_rotvec(turned).as_matrix()
        np.testing.assert_allclose(columns, np.hstack([matrices[..., 0], matrices[..., 1]]), atol=1e-6)
    np.testing.assert_array_equal(ProprioEncoding.AXIS_ANGLE.apply(proprio, robot), proprio.astype(np.float32))


def test_images_are_stacked_in_the_models_order_and_resized(tokenizer):
    preprocessing = PreprocessingConfig(cameras=("eye_in_hand", "agentview"), image_size=32)
    config = CompactModelConfig(robot=ROBOT, preprocessing=preprocessing)
    preprocessor = Preprocessor(config, Statistics.of(np.random.rand(5, 11)), tokenizer)
    views = {"agentview": np.full((128, 96, 3), 10, np.uint8), "eye_in_hand": np.full((16, 16, 3), 200, np.uint8)}
    stacked = preprocessor.images(views)
    assert stacked.shape == (2, 32, 32, 3) and stacked.dtype == np.uint8
    assert stacked[0].min() == 200 and stacked[1].max() == 10


def test_a_missing_camera_is_named(tokenizer):
    preprocessor = Preprocessor(CompactModelConfig(robot=ROBOT), Statistics.of(np.random.rand(5, 11)), tokenizer)
    with pytest.raises(ValueError, match="needs camera eye_in_hand.*agentview"):
        preprocessor.images({"agentview": np.zeros((128, 128, 3), np.uint8)})


def test_a_camera_that_the_robot_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no camera of robot libero_panda is called 'overhead': expected one of"):
        CompactModelConfig(robot=ROBOT, preprocessing=PreprocessingConfig(cameras=("overhead",)))


def test_statistics_of_another_encoding_are_refused():
    config, values = CompactModelConfig(robot=ROBOT), np.random.rand(5, 8)
    statistics = DatasetStatistics(Statistics.of(values[:, :7]), Statistics.of(values), 5, 1)
    with pytest.raises(ValueError, match="here describes 8 proprio values, expected 11 .*eef_rotation 6, fingers 2"):
        check_widths(statistics, config.robot, config.proprio_widths, "here")


def test_an_image_that_fits_is_not_touched():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert resize(image, 32) is image


def test_case_punctuation_and_spaces_of_an_instruction_do_not_matter(tokenizer):
    ids, mask = tokenizer.encode(["pick up the black bowl", " Pick up the  black_bowl. "])
    assert ids[0].tolist() == ids[1].tolist() and mask[0].tolist() == mask[1].tolist()


@given(st.text(max_size=200))
def test_any_text_becomes_tokens_of_fixed_length_or_is_refused(tokenizer, text):
    if not tokenizer.fits(text):
        with pytest.raises(TextTooLong, match=f"and the model takes {LENGTH}: say it in fewer words"):
            tokenizer.encode([text])
        return
    ids, mask = tokenizer.encode([text])
    assert ids.shape == mask.shape == (1, LENGTH)
    assert mask.any(), "even an empty instruction has a token, so that attention has something to look at"
    assert ids.max() < tokenizer.vocabulary_size


def test_different_words_give_different_tokens(tokenizer):
    ids, _ = tokenizer.encode(["pick up the zucchini", "pick up the xylophone"])
    assert ids[0].tolist() != ids[1].tolist()


def test_a_tokenizer_is_the_same_after_its_file_and_after_training_again(tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = InstructionTokenizer.load(tmp_path / "tokenizer.json", LENGTH)
    retrained = InstructionTokenizer(train_tokenizer(reversed(TEXTS), 320), LENGTH)
    for text in ("open the drawer", "an unseen ünicode word"):
        assert tokenizer.encode([text])[0].tolist() == again.encode([text])[0].tolist()
        assert tokenizer.encode([text])[0].tolist() == retrained.encode([text])[0].tolist()


def test_what_a_file_says_of_padding_and_cutting_does_not_count(tokenizer, tmp_path: Path):
    other = Tokenizer.from_str(tokenizer.tokenizer.to_str())
    other.enable_truncation(3)
    other.enable_padding(length=64)
    other.save(str(tmp_path / "tokenizer.json"))
    read = InstructionTokenizer.load(tmp_path / "tokenizer.json", LENGTH)
    assert read.encode(["open the drawer"])[0].tolist() == tokenizer.encode(["open the drawer"])[0].tolist()


def test_a_damaged_tokenizer_file_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer.json is not a tokenizer"):
        InstructionTokenizer.load(tmp_path / "tokenizer.json", LENGTH)
