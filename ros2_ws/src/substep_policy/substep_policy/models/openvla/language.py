"""The language model, with every token attending to every other one.

OpenVLA-OFT predicts all actions of a chunk in one pass, and was trained with full attention. Left causal, the
same weights lose about 40 points of success on LIBERO and nothing complains, so the mask is always explicit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from substep_policy.models.openvla.config import LanguageModelConfig, LlamaTokens


def build_language_model(config: LanguageModelConfig, tokens: LlamaTokens) -> LlamaForCausalLM:
    """A Llama of transformers with random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_value_heads,
            intermediate_size=config.mlp_width,
            vocab_size=config.vocabulary_size,
            rms_norm_eps=config.norm_epsilon,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            max_position_embeddings=config.max_positions,
            bos_token_id=tokens.bos,
            eos_token_id=tokens.eos,
            pad_token_id=tokens.pad,
            attn_implementation="sdpa",
        )
    )


def full_attention_mask(present: Tensor, dtype: torch.dtype) -> Tensor:
    """Which tokens are there (B, T) bool -> additive mask (B, 1, T, T): 0 towards them, the least number elsewhere.

    transformers takes a mask of four dimensions as it is and adds no causal one.
    """
    batch, length = present.shape
    hidden = torch.zeros(present.shape, dtype=dtype, device=present.device)
    hidden = hidden.masked_fill(~present, torch.finfo(dtype).min)
    return hidden[:, None, None, :].expand(batch, 1, length, length)


def contextualise(model: LlamaForCausalLM, embeddings: Tensor, present: Tensor) -> Tensor:
    """Embeddings (B, T, D), present (B, T) bool -> last hidden states (B, T, D), after the final norm."""
    mask = full_attention_mask(present, embeddings.dtype)
    return model.model(inputs_embeds=embeddings, attention_mask=mask, use_cache=False).last_hidden_state
