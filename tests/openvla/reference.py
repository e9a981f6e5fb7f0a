"""OpenVLA-OFT put together once more: transformers' own DINOv2, SigLIP and Llama, the rest from plain operations.

Every weight is asked for by its published name, and nothing of the project's model is used. Source of the definition:
Kim, Finn, Liang 2025 (OpenVLA-OFT), and the published files' names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, relu
from transformers import (
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from tests.openvla.toy import DINOV2, LANGUAGE_MODEL, PROMPT, SIGLIP, WIDTH, drawn

PATCH, SIZE, GRID = 14, 56, 16
CHUNK, ACTION = 3, 7
EOS_TOKEN = 2
VISION = "vision_backbone"


def affine(name: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
    return drawn(f"{name}.weight", (outputs, inputs)), drawn(f"{name}.bias", (outputs,))


def norm_weights(name: str, width: int) -> dict[str, Tensor]:
    return {"weight": drawn(f"{name}.weight", (width,)), "bias": drawn(f"{name}.bias", (width,))}


# --- vision ---


def pixels(prepared: Sequence[np.ndarray]) -> Tensor:
    """Cameras' images (S, S, 3) uint8 -> (1, cameras, 6, S, S), normalised for DINOv2 and for SigLIP."""
    unit = torch.from_numpy(np.stack(prepared)).double().permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).double()[:, None, None] for values in (DINOV2.mean, DINOV2.std))
    return torch.cat([(unit - mean) / std, (unit - 0.5) / 0.5], dim=1)[None]


def dinov2() -> Dinov2WithRegistersModel:
    size, name = DINOV2, f"{VISION}.featurizer"
    model = Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            mlp_ratio=size.mlp_width // size.width,
            image_size=SIZE,
            patch_size=PATCH,
            num_register_tokens=size.register_tokens,
        )
    ).double()
    positions = drawn(f"{name}.pos_embed", (1, GRID, size.width))
    state = {
        "embeddings.cls_token": drawn(f"{name}.cls_token", (1, 1, size.width)),
        "embeddings.register_tokens": drawn(f"{name}.reg_token", (1, size.register_tokens, size.width)),
        "embeddings.position_embeddings": torch.cat([torch.zeros(1, 1, size.width), positions], dim=1),
        "embeddings.mask_token": torch.zeros(1, size.width),
        "embeddings.patch_embeddings.projection.weight": patch_weight(name, size.width),
        "embeddings.patch_embeddings.projection.bias": drawn(f"{name}.patch_embed.proj.bias", (size.width,)),
    }
    state |= {f"layernorm.{key}": value for key, value in norm_weights(f"{name}.norm", size.width).items()}
    for i in range(size.layers):
        target, source = f"encoder.layer.{i}", f"{name}.blocks.{i}"
        state |= block_weights(source, target, size.width, size.mlp_width, ("norm", "attention", "o_proj"))
        for number in (1, 2):
            scale = drawn(f"{source}.ls{number}.scale_factor", (size.width,))
            state[f"{target}.layer_scale{number}.lambda1"] = scale
    model.load_state_dict(state)
    return model.eval()


def siglip() -> SiglipVisionModel:
    size, name = SIGLIP, f"{VISION}.fused_featurizer"
    model = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=size.mlp_width,
            image_size=SIZE,
            patch_size=PATCH,
            hidden_act="gelu",  # exact, as in timm, which the published policy was trained with
            vision_use_head=False,
        )
    ).double()
    state = {
        "embeddings.position_embedding.weight": drawn(f"{name}.pos_embed", (1, GRID, size.width))[0],
        "embeddings.patch_embedding.weight": patch_weight(name, size.width),
        "embeddings.patch_embedding.bias": drawn(f"{name}.patch_embed.proj.bias", (size.width,)),
    }
    state |= {f"post_layernorm.{key}": value for key, value in norm_weights(f"{name}.norm", size.width).items()}
    for i in range(size.layers):
        source, target = f"{name}.blocks.{i}", f"encoder.layers.{i}"
        state |= block_weights(source, target, size.width, size.mlp_width, ("layer_norm", "self_attn", "out_proj"))
    model.load_state_dict(state)
    return model.eval()


def patch_weight(name: str, width: int) -> Tensor:
    return drawn(f"{name}.patch_embed.proj.weight", (width, 3, PATCH, PATCH))


def block_weights(source: str, target: str, width: int, mlp: int, names: tuple[str, str, str]) -> dict[str, Tensor]:
    """One block under the names of transformers, which keeps query, key and value apart."""
    norm, attention, output = names
    weights = {}
    for part, joined in zip(("weight", "bias"), affine(f"{source}.attn.qkv", 3 * width, width), strict=True):
        for name, value in zip("qkv", joined.chunk(3), strict=True):
            weights[f"{target}.{attention}.{name}_proj.{part}"] = value
    layers = {
        f"{attention}.{output}": affine(f"{source}.attn.proj", width, width),
        "mlp.fc1": affine(f"{source}.mlp.fc1", mlp, width),
        "mlp.fc2": affine(f"{source}.mlp.fc2", width, mlp),
    }
    for name, (weight, bias) in layers.items():
        weights |= {f"{target}.{name}.weight": weight, f"{target}.{name}.bias": bias}
    for number in (1, 2):
        for key, value in norm_weights(f"{source}.norm{number}", width).items():
            weights[f"{target}.{norm}{number}.{key}"] = value
    return weights


def vision(pixels: Tensor) -> Tensor:
    """(1, cameras, 6, S, S) -> (1, patches, width), one camera at a time, by transformers' own forward passes."""
    geometry, meaning = dinov2(), siglip()
    views = []
    for view in pixels.unbind(1):
        first = geometry(view[:, :3], output_hidden_states=True).hidden_states[-2][:, 1 + DINOV2.register_tokens :]
        second = meaning(view[:, 3:], output_hidden_states=True).hidden_states[-2]
        views.append(torch.cat([first, second], dim=-1))
    return torch.cat(views, dim=1)


def vision_with_film(pixels: Tensor, language: Tensor) -> Tensor:
    """As ``vision``, with every block's tokens modulated between attention and feed-forward; language (1, D)."""
    geometry, meaning = dinov2(), siglip()
    views = []
    for view in pixels.unbind(1):
        first = geometry.embeddings(view[:, :3])
        for i, layer in enumerate(geometry.encoder.layer[:-1]):
            first = first + layer.layer_scale1(attended(layer.attention, layer.norm1(first)))
            first = modulated(f"{VISION}.featurizer.blocks.{i}", DINOV2.width, first, language)
            first = first + layer.layer_scale2(layer.mlp(layer.norm2(first)))
        second = meaning.embeddings(view[:, 3:])
        for i, layer in enumerate(meaning.encoder.layers[:-1]):
            second = second + attended(layer.self_attn, layer.layer_norm1(second))
            second = modulated(f"{VISION}.fused_featurizer.blocks.{i}", SIGLIP.width, second, language)
            second = second + layer.mlp(layer.layer_norm2(second))
        views.append(torch.cat([first[:, 1 + DINOV2.register_tokens :], second], dim=-1))
    return torch.cat(views, dim=1)


def attended(attention: nn.Module, tokens: Tensor) -> Tensor:
    result = attention(tokens)
    return result[0] if isinstance(result, tuple) else result


def modulated(name: str, width: int, tokens: Tensor, language: Tensor) -> Tensor:
    scale = linear(language, *affine(f"{name}.scale", width, WIDTH))
    shift = linear(language, *affine(f"{name}.shift", width, WIDTH))
    return (1 + scale)[:, None] * tokens + shift[:, None]


# --- projectors ---


def projected(patches: Tensor) -> Tensor:
    width = DINOV2.width + SIGLIP.width
    hidden = gelu(linear(patches, *affine("projector.fc1", 4 * width, width)))
    hidden = gelu(linear(hidden, *affine("projector.fc2", WIDTH, 4 * width)))
    return linear(hidden, *affine("projector.fc3", WIDTH, WIDTH))


def proprio_token(proprio: Tensor) -> Tensor:
    hidden = gelu(linear(proprio, *affine("proprio_projector.fc1", WIDTH, 8)))
    return linear(hidden, *affine("proprio_projector.fc2", WIDTH, WIDTH))


def noisy_tokens(noisy: Tensor) -> Tensor:
    """(1, C, A) -> (1, C·A, D)."""
    hidden = gelu(linear(noisy.reshape(1, -1, 1), *affine("noisy_action_projector.fc1", WIDTH, 1)))
    return linear(hidden, *affine("noisy_action_projector.fc2", WIDTH, WIDTH))


# --- language model ---


def embedding() -> Tensor:
    return drawn("language_model.model.embed_tokens.weight", (LANGUAGE_MODEL.vocabulary_size, WIDTH))


def llama(sequence: Tensor, causal: bool = False) -> Tensor:
    """Embeddings (1, T, D) -> last hidden states; every token sees every other one unless ``causal``."""
    size = LANGUAGE_MODEL
    model = LlamaModel(
        LlamaConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_value_heads,
            intermediate_size=size.mlp_width,
            vocab_size=size.vocabulary_size,
            rms_norm_eps=size.norm_epsilon,
            attn_implementation="eager",
        )
    ).double()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: drawn(f"language_model.model.{key}", shape) for key, shape in shapes.items()})
    length = sequence.shape[1]
    mask = torch.zeros(1, 1, length, length, dtype=sequence.dtype)
    if causal:
        mask = mask.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), torch.finfo(sequence.dtype).min)
    return model.eval()(inputs_embeds=sequence, attention_mask=mask, use_cache=False).last_hidden_state


def hidden_states(
    batch: dict[str, Tensor],
    causal: bool = False,
    film: bool = False,
    slots: Tensor | None = None,
    time: Tensor | None = None,
) -> Tensor:
    """``actions_hidden_states`` (1, C·A, D). BOS, patches, proprioception, [time], prompt, slots, ``</s>``."""
    words = embedding()
    prompt, end = words[list(PROMPT)][None], words[[EOS_TOKEN]][None]
    pixels = batch["pixel_values"]
    language = torch.cat([prompt, end], dim=1).mean(dim=1)
    patches = projected(vision_with_film(pixels, language) if film else vision(pixels))
    prefix = [patches, proprio_token(batch["proprio"])[:, None]] + ([] if time is None else [time[:, None]])
    content = torch.zeros(1, CHUNK * ACTION, WIDTH, dtype=torch.float64) if slots is None else slots
    hidden = llama(torch.cat([prompt[:, :1], *prefix, prompt[:, 1:], content, end], dim=1), causal)
    return hidden[:, -(CHUNK * ACTION + 2) : -2]  # each slot is read one position early


# --- heads ---


def residual_mlp(name: str, values: Tensor) -> Tensor:
    """(1, C, A·D) -> (1, C, A)."""

    def norm(part: str, x: Tensor) -> Tensor:
        weights = norm_weights(f"{name}.{part}", x.shape[-1])
        return layer_norm(x, x.shape[-1:], weights["weight"], weights["bias"])

    inputs = ACTION * WIDTH
    values = relu(linear(norm("layer_norm1", values), *affine(f"{name}.fc1", WIDTH, inputs)))
    for i in range(2):
        block = f"mlp_resnet_blocks.{i}.ffn"
        values = values + relu(linear(norm(f"{block}.0", values), *affine(f"{name}.{block}.1", WIDTH, WIDTH)))
    return linear(norm("layer_norm2", values), *affine(f"{name}.fc2", ACTION, WIDTH))


def l1_actions(hidden: Tensor) -> Tensor:
    return residual_mlp("action_head.model", hidden.reshape(1, CHUNK, -1))


def token_logits(hidden: Tensor) -> Tensor:
    return hidden @ drawn("language_model.lm_head.weight", (LANGUAGE_MODEL.vocabulary_size, WIDTH)).T


def token_actions(logits: Tensor) -> Tensor:
    """Centres of 255 intervals between 256 edges; the last id before the padding is the lowest action."""
    last = LANGUAGE_MODEL.vocabulary_size - LANGUAGE_MODEL.padding_rows
    edges = torch.linspace(-1, 1, 256, dtype=torch.float64)
    interval = (255 - logits[..., last - 256 : last].argmax(-1)).clamp(0, 254)
    return ((edges[:-1] + edges[1:]) / 2)[interval].reshape(1, CHUNK, ACTION)


def diffusion_actions(batch: dict[str, Tensor], noise: Tensor, train_steps: int, sampling_steps: int) -> Tensor:
    """DDIM without randomness (Song et al. 2021), squared-cosine schedule, clean actions clipped to [−1, 1]."""
    signal = alpha_bars(train_steps)
    stride = train_steps // sampling_steps
    noisy = noise
    for step in reversed(range(0, sampling_steps * stride, stride)):
        here, there = signal(step), signal(step - stride) if step >= stride else 1.0
        hidden = hidden_states(batch, slots=noisy_tokens(noisy), time=time_token(step))
        predicted = residual_mlp("action_head.noise_predictor.mlp_resnet", hidden.reshape(1, CHUNK, -1))
        clean = ((noisy - math.sqrt(1 - here) * predicted) / math.sqrt(here)).clamp(-1, 1)
        noisy = math.sqrt(there) * clean + math.sqrt(1 - there) * predicted
    return noisy


def alpha_bars(train_steps: int) -> Callable[[int], float]:
    def level(position: float) -> float:
        return math.cos((position + 0.008) / 1.008 * math.pi / 2) ** 2

    def signal(step: int) -> float:
        ratios = (level((i + 1) / train_steps) / level(i / train_steps) for i in range(step + 1))
        return math.prod(max(ratio, 0.001) for ratio in ratios)

    return signal


def time_token(step: int) -> Tensor:
    half = WIDTH // 2
    angles = step * torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / (half - 1))
    return torch.cat([angles.sin(), angles.cos()])[None]


def eos_probabilities(hidden: Tensor) -> Tensor:
    """(1, C·A, D) -> (1, C), the head of this project."""
    inputs = ACTION * WIDTH
    first, last = affine("eos_head.model.1", 20, inputs), affine("eos_head.model.4", 1, 20)
    weights = norm_weights("eos_head.model.0", inputs)
    values = layer_norm(hidden.reshape(1, CHUNK, -1), (inputs,), weights["weight"], weights["bias"])
    return linear(relu(linear(values, *first)), *last).sigmoid()[..., 0]


def libero_actions(normalized: Tensor, q01: Tensor, q99: Tensor) -> Tensor:
    """(1, C, A) -> (C, A): six values from quantiles to their range; the gripper from 1 open to −1 open."""
    motion = 0.5 * (normalized[0, :, :6] + 1) * (q99 - q01)[:6] + q01[:6]
    gripper = -torch.sign(2 * normalized[0, :, 6:] - 1)
    return torch.cat([motion, gripper], dim=-1)
