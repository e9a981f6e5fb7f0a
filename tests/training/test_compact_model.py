"""The model of ``training/configs/compact.yaml``: what its heads read, and its size."""

from __future__ import annotations

from pathlib import Path

import torch

from substep_policy.models.compact.model import build_compact
from training.train import finetune_substep
from training.train.config import read_config

COMPACT = Path(finetune_substep.__file__).parents[1] / "configs/compact.yaml"
B = 2


def test_the_shipped_configurations_model_gives_one_hidden_state_per_number_of_a_chunk_and_is_small():
    config = read_config(COMPACT).model
    model, preprocessing = build_compact(config).eval(), config.preprocessing
    size, length = preprocessing.image_size, preprocessing.max_instruction_tokens
    batch = {
        "images": torch.randint(0, 255, (B, len(config.cameras), size, size, 3), dtype=torch.uint8),
        "proprio": torch.randn(B, sum(config.proprio_widths.values())),
        "input_ids": torch.randint(0, config.backbone.vocabulary_size, (B, length)),
        "attention_mask": torch.ones(B, length, dtype=torch.bool),
    }
    with torch.no_grad():
        actions, actions_hidden_states = model.act(batch)
        eos = model.eos_head(actions_hidden_states)
    assert (config.chunk_length, config.robot.action_width, size) == (8, 7, 128)
    assert actions_hidden_states.shape == (B, 8 * 7, model.backbone.hidden_dim)
    assert (actions.shape, eos.shape) == ((B, 8, 7), (B, 8, 1))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters <= 12_000_000 and f"{parameters / 1e6:.1f}" == "11.1", "as docs/results/training.md says"
