"""The backbone against independent building blocks with the same weights, in float64.

Vision is compared with transformers' DINOv2 and SigLIP; the language model with a Llama written out below; sequence,
reading positions and heads are put together once more from plain tensor operations.
"""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from substep_policy.backbones.openvla import backbone as backbone_module
from substep_policy.backbones.openvla.backbone import OpenVLABackbone
from substep_policy.backbones.openvla.config import PUBLISHED, OpenVLAConfig
from substep_policy.model import SubstepModel

TOLERANCE = {"rtol": 0.0, "atol": 1e-5}
PROMPT = [1, 3, 5, 7, 8, 10, 13]  # BOS, some words, the empty token


def reference_dinov2(config: OpenVLAConfig, timm_model: VisionTransformer) -> PreTrainedModel:
    size = config.dinov2
    model = Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            mlp_ratio=size.mlp_width // size.width,
            image_size=config.image_size,
            patch_size=config.patch_size,
            num_register_tokens=size.register_tokens,
        )
    )
    state = timm_model.state_dict()
    pos = state["pos_embed"]
    weights = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.register_tokens": state["reg_token"],
        "embeddings.position_embeddings": torch.cat([torch.zeros_like(pos[:, :1]), pos], dim=1),
        "embeddings.mask_token": model.state_dict()["embeddings.mask_token"],
        **same(state, "norm", "layernorm"),
        **same(state, "patch_embed.proj", "embeddings.patch_embeddings.projection"),
    }
    for i in range(size.layers):
        weights |= block_weights(state, i, f"encoder.layer.{i}", "norm", "attention", "o_proj")
        weights[f"encoder.layer.{i}.layer_scale1.lambda1"] = state[f"blocks.{i}.ls1.gamma"]
        weights[f"encoder.layer.{i}.layer_scale2.lambda1"] = state[f"blocks.{i}.ls2.gamma"]
    model.load_state_dict(weights)
    return model.double().eval()


def reference_siglip(config: OpenVLAConfig, timm_model: VisionTransformer) -> PreTrainedModel:
    size = config.siglip
    model = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=size.mlp_width,
            image_size=config.image_size,
            patch_size=config.patch_size,
            hidden_act="gelu",  # exact, as in timm, which the published policy was trained with
            vision_use_head=False,
        )
    )
    state = timm_model.state_dict()
    weights = {
        "embeddings.position_embedding.weight": state["pos_embed"][0],
        **same(state, "norm", "post_layernorm"),
        **same(state, "patch_embed.proj", "embeddings.patch_embedding"),
    }
    for i in range(size.layers):
        weights |= block_weights(state, i, f"encoder.layers.{i}", "layer_norm", "self_attn", "out_proj")
    model.load_state_dict(weights)
    return model.double().eval()


def same(state: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    return {f"{target}.{part}": state[f"{source}.{part}"] for part in ("weight", "bias")}


def block_weights(
    state: dict[str, Tensor], index: int, target: str, norm: str, attention: str, output: str
) -> dict[str, Tensor]:
    """One block of timm under the names of transformers, which keeps query, key and value apart."""
    block = f"blocks.{index}"
    weights = {}
    for part in ("weight", "bias"):
        for name, value in zip("qkv", state[f"{block}.attn.qkv.{part}"].chunk(3), strict=True):
            weights[f"{target}.{attention}.{name}_proj.{part}"] = value
    weights |= same(state, f"{block}.attn.proj", f"{target}.{attention}.{output}")
    for number in (1, 2):
        weights |= same(state, f"{block}.norm{number}", f"{target}.{norm}{number}")
        weights |= same(state, f"{block}.mlp.fc{number}", f"{target}.mlp.fc{number}")
    return weights


def reference_vision(config: OpenVLAConfig, backbone: OpenVLABackbone, pixels: Tensor) -> Tensor:
    """Pixels (B, cameras, 6, S, S) -> (B, patches, width), one camera at a time."""
    vision = backbone.vision_backbone
    dinov2 = reference_dinov2(config, vision.featurizer)
    siglip = reference_siglip(config, vision.fused_featurizer)
    views = []
    for view in pixels.unbind(1):
        geometry = dinov2(view[:, :3], output_hidden_states=True).hidden_states[-2][:, 1 + 4 :]
        meaning = siglip(view[:, 3:], output_hidden_states=True).hidden_states[-2]
        views.append(torch.cat([geometry, meaning], dim=-1))
    return torch.cat(views, dim=1)


def reference_llama(model: nn.Module, x: Tensor, causal: bool = False) -> Tensor:
    """A Llama written out: embeddings (B, T, D) -> last hidden states (B, T, D)."""
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    frequencies = config.rope_parameters["rope_theta"] ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = torch.outer(torch.arange(x.shape[1], dtype=x.dtype), frequencies).repeat(1, 2)

    def norm(weight: Tensor, values: Tensor) -> Tensor:
        return weight * values / (values.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps).sqrt()

    def heads(values: Tensor) -> Tensor:
        return values.unflatten(-1, (-1, width)).transpose(1, 2)

    def rotate(values: Tensor) -> Tensor:
        first, second = values.chunk(2, dim=-1)
        return values * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()

    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        normed = norm(layer.input_layernorm.weight, x)
        query, key = (rotate(heads(normed @ part.weight.T)) for part in (attention.q_proj, attention.k_proj))
        value = heads(normed @ attention.v_proj.weight.T)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        x = x + mixed.transpose(1, 2).flatten(2) @ attention.o_proj.weight.T
        normed = norm(layer.post_attention_layernorm.weight, x)
        gated = functional.silu(normed @ mlp.gate_proj.weight.T) * (normed @ mlp.up_proj.weight.T)
        x = x + gated @ mlp.down_proj.weight.T
    return norm(model.model.norm.weight, x)


def reference_hidden(config: OpenVLAConfig, model: SubstepModel, batch: dict[str, Tensor], causal: bool) -> Tensor:
    """``actions_hidden_states`` for prompts of one length, put together step by step."""
    backbone, samples = model.backbone, len(batch["input_ids"])
    patches = reference_vision(config, backbone, batch["pixel_values"])
    projector = backbone.projector
    for layer in (projector.fc1, projector.fc2):
        patches = functional.gelu(functional.linear(patches, layer.weight, layer.bias))
    patches = functional.linear(patches, projector.fc3.weight, projector.fc3.bias)

    first, second = model.proprio_projector.fc1, model.proprio_projector.fc2
    proprio = functional.gelu(batch["proprio"] @ first.weight.T + first.bias) @ second.weight.T + second.bias

    words = backbone.language_model.model.embed_tokens.weight
    prompt = words[torch.tensor(PROMPT)].expand(samples, -1, -1)
    slots = torch.zeros(samples, config.action_slots, words.shape[1], dtype=words.dtype)
    end = words[config.tokens.eos].expand(samples, 1, -1)
    sequence = torch.cat([prompt[:, :1], patches, proprio[:, None], prompt[:, 1:], slots, end], dim=1)
    hidden = reference_llama(backbone.language_model, sequence, causal)
    # Slots lie before </s>; each is read one position early.
    return hidden[:, -(config.action_slots + 2) : -2]


def batch_of(config: OpenVLAConfig, prompts: list[list[int]]) -> dict[str, Tensor]:
    """Random pixels and proprioception, prompts with slots and </s>, padded on the right."""
    generator = torch.Generator().manual_seed(1)
    ids = [prompt + [0] * config.action_slots + [config.tokens.eos] for prompt in prompts]
    length = max(map(len, ids))
    size = config.image_size
    return {
        "pixel_values": torch.randn(
            len(prompts), len(config.cameras), 6, size, size, generator=generator, dtype=torch.float64
        ),
        "proprio": torch.randn(len(prompts), 8, generator=generator, dtype=torch.float64),
        "input_ids": torch.tensor([row + [config.tokens.pad] * (length - len(row)) for row in ids]),
        "attention_mask": torch.tensor([[i < len(row) for i in range(length)] for row in ids]),
        "slot_start": torch.tensor([len(prompt) for prompt in prompts]),
    }


@torch.inference_mode()
def test_vision_trunk_equals_transformers(toy_openvla: OpenVLAConfig, toy_model: SubstepModel) -> None:
    pixels = batch_of(toy_openvla, [PROMPT, PROMPT])["pixel_values"]
    features = toy_model.backbone.vision_backbone(pixels, torch.zeros(2, 32, dtype=torch.float64))
    assert features.shape == (2, toy_openvla.patches, 16 + 24)
    torch.testing.assert_close(features, reference_vision(toy_openvla, toy_model.backbone, pixels), **TOLERANCE)


@torch.inference_mode()
def test_hidden_states_equal_the_definition(toy_openvla: OpenVLAConfig, toy_model: SubstepModel) -> None:
    batch = batch_of(toy_openvla, [PROMPT, PROMPT])
    hidden = toy_model(batch)
    assert hidden.shape == (2, toy_openvla.action_slots, 32)
    torch.testing.assert_close(hidden, reference_hidden(toy_openvla, toy_model, batch, causal=False), **TOLERANCE)


@torch.inference_mode()
def test_actions_equal_the_definition(toy_openvla: OpenVLAConfig, toy_model: SubstepModel) -> None:
    batch = batch_of(toy_openvla, [PROMPT])
    mlp = toy_model.action_head.model
    x = reference_hidden(toy_openvla, toy_model, batch, causal=False).reshape(1, toy_openvla.chunk_length, -1)
    x = functional.relu(mlp.fc1(functional.layer_norm(x, x.shape[-1:], mlp.layer_norm1.weight, mlp.layer_norm1.bias)))
    for block in mlp.mlp_resnet_blocks:
        x = x + functional.relu(block.ffn[1](block.ffn[0](x)))
    expected = mlp.fc2(mlp.layer_norm2(x))
    torch.testing.assert_close(toy_model.action_head.predict(toy_model(batch)), expected, **TOLERANCE)


@torch.inference_mode()
def test_a_causal_mask_breaks_parity(
    toy_openvla: OpenVLAConfig, toy_model: SubstepModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a Llama does when it is left alone is the causal definition, and far from the trained one."""
    batch = batch_of(toy_openvla, [PROMPT])
    full = reference_hidden(toy_openvla, toy_model, batch, causal=False)
    monkeypatch.setattr(
        backbone_module,
        "contextualise",
        lambda model, embeddings, present: model.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state,
    )
    causal = toy_model(batch)
    torch.testing.assert_close(causal, reference_hidden(toy_openvla, toy_model, batch, causal=True), **TOLERANCE)
    assert (causal - full).abs().max() > 0.1


@torch.inference_mode()
def test_padding_and_company_do_not_change_a_sample(toy_openvla: OpenVLAConfig, toy_model: SubstepModel) -> None:
    prompts = [PROMPT, [1, 3, 13], [*PROMPT[:-1], 9, 10, 11, 12, 13]]
    batch = batch_of(toy_openvla, prompts)
    together = toy_model(batch)
    for i, prompt in enumerate(prompts):
        alone = batch_of(toy_openvla, [prompt]) | {key: batch[key][i : i + 1] for key in ("pixel_values", "proprio")}
        torch.testing.assert_close(together[i : i + 1], toy_model(alone), **TOLERANCE)


@torch.inference_mode()
def test_what_stands_in_a_slot_is_of_no_account(toy_openvla: OpenVLAConfig, toy_model: SubstepModel) -> None:
    batch = batch_of(toy_openvla, [PROMPT])
    hidden = toy_model(batch)
    batch["input_ids"][:, len(PROMPT) : -1] = 9
    assert torch.equal(toy_model(batch), hidden)


def test_the_published_size() -> None:
    """Parameters of the paper's 7.5 B, and transformers with exactly the weights of timm's own models."""
    with torch.device("meta"):
        backbone = OpenVLABackbone(PUBLISHED)
        models = {
            "featurizer": timm.create_model("vit_large_patch14_reg4_dinov2", num_classes=0, img_size=224),
            "fused_featurizer": timm.create_model("vit_so400m_patch14_siglip_224", num_classes=0, img_size=224),
        }
    assert sum(weight.numel() for weight in backbone.parameters()) == 7_541_237_184
    assert PUBLISHED.patches == 512
    for name, model in models.items():
        ours = backbone.vision_backbone.get_submodule(name).state_dict()
        assert {key: value.shape for key, value in ours.items()} == {
            key: value.shape for key, value in model.state_dict().items()
        }
