"""The model of ``training/configs/compact.yaml``: what its heads read, and its size."""

from __future__ import annotations

from pathlib import Path

import torch

from substep_policy.model import build_model
from substep_policy.observation import ACTION_DIM
from training import finetune_substep
from training.config import read_config

COMPACT = Path(finetune_substep.__file__).parent / "configs/compact.yaml"
B = 2


def test_the_shipped_configurations_model_gives_one_hidden_state_per_number_of_a_chunk_and_is_small():
    config = read_config(COMPACT).model
    model, preprocessing = build_model(config).eval(), config.preprocessing
    size, length = preprocessing.image_size, preprocessing.max_instruction_tokens
    batch = {
        "images": torch.randint(0, 255, (B, len(preprocessing.cameras), size, size, 3), dtype=torch.uint8),
        "proprio": torch.randn(B, preprocessing.proprio_encoding.width),
        "input_ids": torch.randint(0, config.backbone.vocabulary_size, (B, length)),
        "attention_mask": torch.ones(B, length, dtype=torch.bool),
    }
    with torch.no_grad():
        actions, actions_hidden_states = model.act(batch)
        eos = model.eos_head(actions_hidden_states)
    assert (config.chunk_length, ACTION_DIM, size) == (8, 7, 128)
    assert actions_hidden_states.shape == (B, 8 * 7, model.backbone.hidden_dim)
    assert (actions.shape, eos.shape) == ((B, 8, 7), (B, 8, 1))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters <= 12_000_000 and f"{parameters / 1e6:.1f}" == "11.1", "as docs/training.md says"
