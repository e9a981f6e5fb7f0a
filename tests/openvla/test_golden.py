"""OpenVLA-OFT at toy size against ``golden.npz``, which ``make_golden`` wrote from independent building blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.eos import EosSource
from substep_policy.heads import EOSHeadConfig, InSequenceDiffusionConfig, L1HeadConfig, TokenHeadConfig
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.model import EosDetection, SubstepModel
from substep_policy.models.normalization import ActionNormalizer, GripperConvention, Statistics
from substep_policy.models.openvla import backbone as backbone_module
from substep_policy.models.openvla.images import OpenVLAImages
from tests.openvla import make_image_golden
from tests.openvla.make_golden import FILE, SAMPLING_STEPS, TRAIN_STEPS, quantiles
from tests.openvla.reference import libero_actions
from tests.openvla.toy import WIDTH, drawn, drawn_model, inputs, toy_config

TOLERANCE = {"rtol": 0.0, "atol": 1e-5}
L1 = L1HeadConfig(hidden_dim=WIDTH)


@pytest.fixture(scope="module")
def golden() -> Mapping[str, Tensor]:
    with np.load(FILE) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    return inputs()


@pytest.fixture(scope="module")
def model() -> SubstepModel:
    return drawn_model(toy_config(L1, eos_head=EOSHeadConfig(hidden_dim=20)))


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def test_vision_trunk_and_projector(golden, batch, model):
    silence = torch.zeros(1, WIDTH, dtype=torch.float64)
    patches = model.backbone.vision_backbone(batch["pixel_values"], silence)
    torch.testing.assert_close(patches, golden["vision"], **TOLERANCE)
    torch.testing.assert_close(model.backbone.projector(patches), golden["projector"], **TOLERANCE)


def test_proprioception(golden, batch, model):
    torch.testing.assert_close(model.proprio_projector(batch["proprio"]), golden["proprio"], **TOLERANCE)


def test_the_language_model_attends_to_everything(golden, batch, model):
    torch.testing.assert_close(model(batch), golden["hidden"], **TOLERANCE)


def test_a_causal_mask_is_far_off(golden, batch, model, monkeypatch):
    """What a Llama does when it is left alone is the causal definition, and not the trained one."""
    monkeypatch.setattr(
        backbone_module,
        "contextualise",
        lambda llama, embeddings, present: llama.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state,
    )
    causal = model(batch)
    torch.testing.assert_close(causal, golden["hidden_causal"], **TOLERANCE)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(causal, golden["hidden"], rtol=0.0, atol=0.1)


def test_l1_head_and_eos_head(golden, model):
    torch.testing.assert_close(model.action_head.predict(golden["hidden"]), golden["l1"], **TOLERANCE)
    eos = model.eos_head(golden["hidden"]).sigmoid()[..., 0]
    torch.testing.assert_close(eos, golden["eos"], **TOLERANCE)


def test_a_whole_chunk(golden, batch, model):
    """From pixels to actions in LIBERO's convention; beyond ±1 the arm takes nothing, and the reference clips later."""
    q01, q99 = (part.numpy() for part in quantiles())
    statistics = Statistics(q01, q99, q01, q99, q01, q99, np.array([True] * 6 + [False]))
    normalizer = ActionNormalizer(load_robot(LIBERO_PANDA), GripperConvention.OPEN_IS_ONE, statistics)
    eos = EosDetection(source=EosSource.NONE, threshold=None)
    chunks = ChunkBuilder(model.decoder, None, eos, normalizer)
    chunk = chunks.chunk(*model.act(batch))
    np.testing.assert_allclose(chunk.actions, golden["predict_action"].clamp(-1, 1), rtol=0, atol=1e-5)


def test_from_camera_images_to_actions(golden, batch, model):
    """The published pipeline's own images into the reference network, against the project's from the cameras on."""
    images = {camera: image[:, ::-1] for camera, image in make_image_golden.images().items()}
    pixels = torch.from_numpy(OpenVLAImages(toy_config(L1))(images)[None]).double()
    normalized, _ = model.act(batch | {"pixel_values": pixels})
    q01, q99 = quantiles()
    difference = libero_actions(normalized, q01, q99) - golden["image_to_action"]
    assert difference.abs().max() < 0.02


def test_film(golden, batch, model):
    filmed = drawn_model(toy_config(L1, film=True))
    torch.testing.assert_close(filmed(batch), golden["hidden_film"], **TOLERANCE)
    assert (golden["hidden_film"] - golden["hidden"]).abs().max() > 0.1
    for layer in filmed.backbone.vision_backbone.film.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.zero_(), layer.bias.zero_()
    torch.testing.assert_close(filmed(batch), golden["hidden"], **TOLERANCE)


def test_discrete_tokens(golden, batch):
    """Reading the last 256 ids before the padding, by the language model's own output layer."""
    model = drawn_model(toy_config(TokenHeadConfig()))
    actions, hidden = model.act(batch)
    torch.testing.assert_close(model.action_head.logits(hidden), golden["token_logits"], **TOLERANCE)
    torch.testing.assert_close(actions.double(), golden["token_actions"], **TOLERANCE)


def test_diffusion(golden, batch, monkeypatch):
    """From the same noise; every step goes through the language model."""
    config = InSequenceDiffusionConfig(hidden_dim=WIDTH, train_steps=TRAIN_STEPS, sampling_steps=SAMPLING_STEPS)
    model = drawn_model(toy_config(config))
    noise = 3 * drawn("noise", (1, 3, 7))
    monkeypatch.setattr(torch, "randn", lambda shape, **options: noise.reshape(shape))
    actions, hidden = model.act(batch)
    torch.testing.assert_close(actions, golden["diffusion"], **TOLERANCE)
    assert hidden.shape == (1, 21, WIDTH)
