"""What a policy's configuration says about EOS decides where its chunk is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from substep_core.chunk import Chunk
from substep_core.configuration import parse
from substep_core.contract import LIBERO_PANDA
from substep_core.protocol import ChunkRefused
from substep_policy.heads import TokenActionHead, TokenDecoder, TokenHeadConfig
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import Statistics

C, A, VOCABULARY = 8, 7, 257
EARLIER, LIKELIER = 2, 5  # actions with EOS probabilities of 0.6 and 0.9


class GivenTokens(TokenActionHead):
    """The hidden states are the logits."""

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


class GivenEos(nn.Module):
    """The log odds of EOS among an action's tokens, as ``GivenTokens`` reads them."""

    def forward(self, hidden: Tensor) -> Tensor:
        return eos_log_odds(hidden).unflatten(1, (C, A)).amax(2, keepdim=True)


def eos_log_odds(hidden: Tensor) -> Tensor:
    return given_tokens().eos_log_odds(hidden)


def given_tokens() -> GivenTokens:
    return GivenTokens(TokenHeadConfig().tokenizer(None), use_substep_eos=True, action_dim=A)


def two_ends() -> Tensor:
    """Hidden states (1, C·A, VOCABULARY) with two EOS above a threshold of one half."""
    hidden = torch.zeros(1, C * A, VOCABULARY)
    hidden[..., 0] = -10.0
    for action, probability in ((EARLIER, 0.6), (LIKELIER, 0.9)):
        others = np.log(VOCABULARY - 1)
        hidden[0, action * A + A - 1, 0] = others + np.log(probability / (1 - probability))
    return hidden


def decode(source: str, choice: str, threshold: float | None = 0.5) -> Chunk:
    eos = {"source": source, "threshold": threshold, "choice": choice}
    config = parse(CompactModelConfig, {"robot": LIBERO_PANDA, "action_head": {"type": "tokens"}, "eos": eos}, "test")
    model = SubstepModel(nn.Identity(), nn.Identity(), TokenDecoder(given_tokens()), GivenEos())
    statistics = Statistics.of(np.random.default_rng(0).uniform(-1, 1, (50, A)))
    hidden = two_ends()
    return ChunkBuilder.build(model, config, statistics).chunk(model.action_head.predict(hidden), hidden)


def test_tokens_of_hidden_states_that_are_not_finite_are_refused():
    model = SubstepModel(nn.Identity(), nn.Identity(), TokenDecoder(given_tokens()), GivenEos())
    config = parse(CompactModelConfig, {"robot": LIBERO_PANDA, "action_head": {"type": "tokens"}}, "test")
    statistics = Statistics.of(np.random.default_rng(0).uniform(-1, 1, (50, A)))
    hidden = two_ends()
    hidden[0, 3] = torch.nan
    with pytest.raises(ChunkRefused, match="actions or hidden states are not finite"):
        ChunkBuilder.build(model, config, statistics).chunk(model.action_head.predict(hidden), hidden)


@pytest.mark.parametrize(("source", "threshold"), [("head", 0.5), ("token", 0.5), ("token", None)])
def test_of_two_ends_in_a_chunk_the_first_or_the_likeliest_counts_as_configured(source, threshold):
    for choice, expected in (("first", EARLIER), ("most_probable", LIKELIER)):
        chunk = decode(source, choice, threshold)
        assert (chunk.eos_index, len(chunk.actions)) == (expected, expected + 1)
        np.testing.assert_allclose(chunk.eos_probabilities[[EARLIER, LIKELIER]], [0.6, 0.9], atol=1e-5)
