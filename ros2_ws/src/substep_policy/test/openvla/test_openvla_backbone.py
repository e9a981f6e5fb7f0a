"""What the backbone does with a batch, and its published size. Parity is tested in ``tests/openvla``."""

from __future__ import annotations

import timm
import torch
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks.random_models import published_model
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.backbone import OpenVLABackbone
from substep_policy.models.openvla.config import PUBLISHED
from substep_policy.models.openvla.model import OpenVLAModelConfig

ROBOT = load_robot(LIBERO_PANDA)
TOLERANCE = {"rtol": 0.0, "atol": 1e-5}
PROMPT = [1, 3, 5, 7, 8, 10, 13]  # BOS, some words, the empty token


def batch_of(config: OpenVLAModelConfig, prompts: list[list[int]]) -> dict[str, Tensor]:
    """Random pixels and proprioception, prompts with slots and </s>, padded on the right."""
    generator = torch.Generator().manual_seed(1)
    tokens = config.backbone.tokens
    ids = [prompt + [0] * config.action_slots + [tokens.eos] for prompt in prompts]
    length = max(map(len, ids))
    size = config.backbone.image_size
    return {
        "pixel_values": torch.randn(
            len(prompts), len(config.cameras), 6, size, size, generator=generator, dtype=torch.float64
        ),
        "proprio": torch.randn(len(prompts), 8, generator=generator, dtype=torch.float64),
        "input_ids": torch.tensor([row + [tokens.pad] * (length - len(row)) for row in ids]),
        "attention_mask": torch.tensor([[i < len(row) for i in range(length)] for row in ids]),
        "slot_start": torch.tensor([len(prompt) for prompt in prompts]),
    }


@torch.inference_mode()
def test_padding_and_company_do_not_change_a_sample(toy_config: OpenVLAModelConfig, toy_model: SubstepModel) -> None:
    prompts = [PROMPT, [1, 3, 13], [*PROMPT[:-1], 9, 10, 11, 12, 13]]
    batch = batch_of(toy_config, prompts)
    together = toy_model(batch)
    for i, prompt in enumerate(prompts):
        alone = batch_of(toy_config, [prompt]) | {key: batch[key][i : i + 1] for key in ("pixel_values", "proprio")}
        torch.testing.assert_close(together[i : i + 1], toy_model(alone), **TOLERANCE)


@torch.inference_mode()
def test_what_stands_in_a_slot_is_of_no_account(toy_config: OpenVLAModelConfig, toy_model: SubstepModel) -> None:
    batch = batch_of(toy_config, [PROMPT])
    hidden = toy_model(batch)
    batch["input_ids"][:, len(PROMPT) : -1] = 9
    assert torch.equal(toy_model(batch), hidden)


def test_the_published_size() -> None:
    """Parameters of the paper's 7.5 B, and transformers with exactly the weights of timm's own models."""
    with torch.device("meta"):
        backbone = OpenVLABackbone(PUBLISHED, published_model(ROBOT).action_slots)
        models = {
            "featurizer": timm.create_model("vit_large_patch14_reg4_dinov2", num_classes=0, img_size=224),
            "fused_featurizer": timm.create_model("vit_so400m_patch14_siglip_224", num_classes=0, img_size=224),
        }
    assert sum(weight.numel() for weight in backbone.parameters()) == 7_541_237_184
    assert published_model(ROBOT).patches == 512
    for name, model in models.items():
        ours = backbone.vision_backbone.get_submodule(name).state_dict()
        assert {key: value.shape for key, value in ours.items()} == {
            key: value.shape for key, value in model.state_dict().items()
        }
