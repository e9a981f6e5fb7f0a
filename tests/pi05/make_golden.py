"""Writes ``golden.npz``: what LeRobot's own π0.5 answers at toy size.

Not run in this project's environment, which has no LeRobot; in an environment with lerobot 0.6.1 and transformers 5.5:
``PYTHONPATH=. python -m tests.pi05.make_golden``.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.lerobot_types import TransitionKey
from lerobot.policies.common.vla_utils import make_att_2d_masks, prepare_attention_masks_4d
from lerobot.policies.pi05 import modeling_pi05
from lerobot.policies.pi05.configuration_pi05 import PI05Config
from lerobot.policies.pi05.processor_pi05 import Pi05PrepareStateTokenizerProcessorStep
from transformers.models.auto import CONFIG_MAPPING

from tests.pi05 import drawn as toy

FILE = Path(__file__).parent / "golden.npz"
STACK = "paligemma_with_expert."
GRADIENTS = (
    f"{STACK}paligemma.model.vision_tower.vision_model.embeddings.patch_embedding.weight",
    f"{STACK}paligemma.model.multi_modal_projector.linear.weight",
    f"{STACK}paligemma.model.language_model.layers.0.self_attn.q_proj.weight",
    f"{STACK}paligemma.model.language_model.layers.1.self_attn.k_proj.weight",
    f"{STACK}paligemma.model.language_model.layers.0.mlp.down_proj.weight",
    f"{STACK}gemma_expert.model.layers.0.self_attn.q_proj.weight",
    f"{STACK}gemma_expert.model.layers.1.mlp.up_proj.weight",
    f"{STACK}gemma_expert.model.layers.0.input_layernorm.dense.weight",
    f"{STACK}gemma_expert.model.norm.dense.bias",
    "action_in_proj.weight",
    "time_mlp_in.weight",
    "action_out_proj.bias",
)


class SmallMapping:
    """Configurations of transformers with a small vision tower, which LeRobot does not offer."""

    def __getitem__(self, name: str):
        make = CONFIG_MAPPING[name]
        if name != "paligemma":
            return make
        vision = {
            "model_type": "siglip_vision_model",
            "hidden_size": toy.VISION_WIDTH,
            "num_hidden_layers": toy.VISION_LAYERS,
            "num_attention_heads": toy.VISION_HEADS,
            "image_size": toy.IMAGE_SIZE,
            "patch_size": 14,
            "vision_use_head": False,
        }
        return lambda: make(vision_config=vision)


class SmallPaliGemma(modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma):
    """LeRobot sets two sizes of the vision tower to the published ones after the fact."""

    def __init__(self, config) -> None:
        config.vision_config.projection_dim = toy.WIDTH
        config.vision_config.intermediate_size = toy.VISION_MLP
        super().__init__(config)


def gemma(variant: str) -> modeling_pi05.GemmaConfig:
    width, mlp = (toy.WIDTH, toy.MLP) if variant == "gemma_2b" else (toy.EXPERT_WIDTH, toy.EXPERT_MLP)
    return modeling_pi05.GemmaConfig(width, toy.LAYERS, mlp, toy.HEADS, toy.KEY_VALUE_HEADS, toy.HEAD_DIM)


def policy() -> modeling_pi05.PI05Policy:
    modeling_pi05.get_gemma_config = gemma
    modeling_pi05.CONFIG_MAPPING = SmallMapping()
    modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma = SmallPaliGemma
    config = PI05Config(
        device="cpu",
        chunk_size=toy.CHUNK,
        n_action_steps=toy.CHUNK,
        max_action_dim=toy.PADDED_ACTION,
        num_inference_steps=toy.STEPS,
        image_resolution=(toy.IMAGE_SIZE, toy.IMAGE_SIZE),
    )
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=(3, toy.IMAGE_SIZE, toy.IMAGE_SIZE))
    # The last camera is never there: an empty one must change nothing.
    config.input_features = {f"observation.images.{i}": picture for i in range(toy.CAMERAS + 1)}
    config.output_features = {"action": PolicyFeature(type=FeatureType.ACTION, shape=(toy.ACTION,))}
    made = modeling_pi05.PI05Policy(config).eval()
    for name, weight in made.model.named_parameters():
        draw(name, weight)
    return made


@torch.no_grad()
def draw(name: str, weight: torch.Tensor) -> None:
    if weight.shape[0] > 1000:  # the vocabulary
        weight.zero_()
        weight[: toy.VOCABULARY] = toy.drawn(name, (toy.VOCABULARY, weight.shape[1]))
    else:
        weight.copy_(toy.drawn(name, tuple(weight.shape)))


def answers() -> dict[str, np.ndarray]:
    made = policy()
    model, stack = made.model, made.model.paligemma_with_expert
    ids, present = toy.words()
    actions, noise = toy.chunk_and_noise()
    batch = {f"observation.images.{i}": image for i, image in enumerate(toy.images())}
    batch |= {"observation.language.tokens": ids, "observation.language.attention_mask": present}
    images, masks = made._preprocess_images(batch)
    times = torch.full((len(ids),), toy.TIME)
    found = {}
    with torch.no_grad():
        found["patches"] = torch.cat([stack.embed_image(image) for image in images[: toy.CAMERAS]], dim=1)
        embedded, seen, flags = model.embed_prefix(images, masks, ids, present)
        mask = prepare_attention_masks_4d(make_att_2d_masks(seen, flags))
        stack.paligemma.model.language_model.config._attn_implementation = "eager"
        (prefix, _), cache = stack.forward(
            attention_mask=mask,
            position_ids=torch.cumsum(seen, dim=1) - 1,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        is_used = torch.ones(embedded.shape[1], dtype=torch.bool)
        patches = found["patches"].shape[1] // toy.CAMERAS
        is_used[toy.CAMERAS * patches : (toy.CAMERAS + 1) * patches] = False
        found["prefix"] = prefix[:, is_used]
        keys, values, *_ = list(cache)[-1]
        found["keys"], found["values"] = keys[:, :, is_used], values[:, :, is_used]
        states = {}
        hook = model.action_out_proj.register_forward_pre_hook(lambda _, inputs: states.update(expert=inputs[0]))
        found["velocity"] = model.denoise_step(seen, cache, noise, times)
        hook.remove()
        found["expert"] = states["expert"]
        found["chunk"] = made.predict_action_chunk(batch, noise=noise)
    losses = model.forward(images, masks, ids, present, actions, noise, times)[..., : toy.ACTION]
    losses.mean().backward()
    found["loss"] = losses.mean()
    parameters = dict(model.named_parameters())
    found |= {f"gradient {name}": parameters[name].grad for name in GRADIENTS}
    embedding = parameters[f"{STACK}paligemma.model.language_model.embed_tokens.weight"]
    found["gradient of words"] = embedding.grad[: toy.VOCABULARY]
    return {name: value.detach().numpy() for name, value in found.items()} | inputs(made)


def inputs(made: modeling_pi05.PI05Policy) -> dict[str, np.ndarray]:
    """What LeRobot makes of pictures and of proprioception."""
    picture = torch.from_numpy(toy.wide_image()).permute(2, 0, 1)[None].float() / 255
    pixels = made._preprocess_images({"observation.images.0": picture})[0][0][0]
    state = torch.from_numpy(toy.states())
    transition = {
        TransitionKey.OBSERVATION: {"observation.state": state},
        TransitionKey.COMPLEMENTARY_DATA: {"task": [" pick_up the\nbowl "] * len(state)},
    }
    prompts = Pi05PrepareStateTokenizerProcessorStep()(transition)[TransitionKey.COMPLEMENTARY_DATA]["task"]
    beta = modeling_pi05.sample_time_beta
    torch.manual_seed(0)
    drawn_times = beta(20_000, "cpu", alpha=1.5, beta=1.0, scale=0.999, offset=0.001)
    moments = SimpleNamespace(mean=drawn_times.mean(), std=drawn_times.std())
    return {
        "pixels": pixels.numpy(),
        "prompts": np.array(prompts),
        "times": np.array([moments.mean, moments.std, drawn_times.min(), drawn_times.max()]),
    }


if __name__ == "__main__":
    np.savez_compressed(FILE, **answers())
