"""Heads of residual codes: shapes, losses, EOS as a code, and speculative decoding that changes nothing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.action_tokenizers.rfsq import RfsqConfig, RfsqNetwork
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.eos import TokenEosRule, find_token_eos
from substep_policy.heads import ActionTargets, DecoderShape
from substep_policy.heads.residual_tokens.coarse_to_fine import CoarseToFineConfig, CoarseToFineHead
from substep_policy.heads.residual_tokens.decoder import ResidualTokenDecoder
from substep_policy.heads.residual_tokens.draft import DraftConfig, DraftHead
from substep_policy.heads.residual_tokens.parallel import ParallelTokensConfig
from substep_policy.heads.residual_tokens.speculative import greedy, sample, sample_speculatively
from substep_policy.models.normalization import ActionNormalizer, GripperConvention, Statistics

B, C, A, D = 3, 8, 7, 6
SHAPE = DecoderShape(D, C, A)
SPACE = ActionSpace(
    robot=load_robot(LIBERO_PANDA),
    chunk_length=C,
    gripper=GripperConvention.CLOSE_IS_ONE,
    low=(-1.0,) * A,
    high=(1.0,) * A,
)
TOKENIZER = RfsqConfig(space=SPACE, network=RfsqNetwork(width=16))
SMALL = {"action_tokenizer": TOKENIZER, "hidden_dim": 32, "blocks": 1, "chain_dim": 8}
FEW = {**SMALL, "action_tokenizer": RfsqConfig(space=SPACE, network=RfsqNetwork(width=16, latents=4, layers=3))}
CONFIGS = [ParallelTokensConfig(**SMALL), CoarseToFineConfig(**SMALL, chain_hidden_dim=16, draft=DraftConfig())]
MEDIAN = CoarseToFineConfig(**SMALL, chain_hidden_dim=16, choice="median")


def build(config, seed: int = 0) -> ResidualTokenDecoder:
    torch.manual_seed(seed)
    return config.build(SHAPE)


def targets(mask: Tensor | None = None, boundary: int | None = None) -> ActionTargets:
    eos_labels = torch.zeros(B, C, 1)
    if boundary is not None:
        eos_labels[:, boundary] = 1
    mask = torch.ones(B, C, dtype=torch.bool) if mask is None else mask
    return ActionTargets(torch.rand(B, C, A) * 2 - 1, mask, eos_labels)


@pytest.mark.parametrize("draft", [None, DraftConfig()])
def test_codes_are_drawn_at_a_temperature_alone(draft: DraftConfig | None):
    config = CoarseToFineConfig(**SMALL, draft=draft)
    assert not build(config).draws and build(dataclasses.replace(config, temperature=0.5)).draws
    assert not build(ParallelTokensConfig(**SMALL)).draws


class GivenBackbone:
    """Its hidden states are the prefix."""

    def attend(self, prefix: Tensor) -> Tensor:
        return prefix


def parameters(decoder: ResidualTokenDecoder) -> list[nn.Parameter]:
    return [parameter for part in decoder.parts.values() for parameter in part.parameters()]


def learn_by_heart(decoder: ResidualTokenDecoder, hidden: Tensor, goal: ActionTargets) -> None:
    optimizer = torch.optim.Adam(parameters(decoder), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        decoder.loss(GivenBackbone(), hidden, goal)[0].backward()
        optimizer.step()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_logits_have_a_row_for_every_code_and_actions_differ_within_a_chunk(config):
    decoder, hidden = build(config), torch.randn(B, C * A, D)
    codes = decoder.codes(hidden)
    assert codes.shape == (B, C, 16, 8)
    assert decoder.head.logits(hidden, codes).shape == (B, 8, C, 16, 7)
    assert decoder.token_logits(hidden).shape == (B, C * 16, 7 + 1)
    actions, _ = decoder.decode(GivenBackbone(), hidden)
    assert actions.shape == (B, C, A)
    assert all(len(torch.unique(chunk, dim=0)) == C for chunk in actions)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_greedy_codes_are_the_likeliest_given_the_codes_before_them(config):
    decoder, hidden = build(config), torch.randn(B, C * A, D)
    codes = decoder.codes(hidden)
    assert torch.equal(decoder.head.logits(hidden, codes).argmax(-1), codes.movedim(-1, 1))


def test_a_layer_sees_the_codes_before_it_and_no_others():
    head, hidden = build(CONFIGS[1]).head, torch.randn(B, C * A, D)
    codes = torch.randint(7, (B, C, 16, 8))
    changed = codes.clone()
    changed[..., 3] = (codes[..., 3] + 1) % 7
    moved = (head.logits(hidden, codes) != head.logits(hidden, changed)).flatten(2).any(-1).all(0)
    assert moved.tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.type)
def test_the_loss_reaches_everything_that_is_learned_and_nothing_of_masked_actions(config):
    decoder, hidden = build(config), torch.randn(B, C * A, D, requires_grad=True)
    mask = torch.arange(C).expand(B, C) <= 3
    goal = targets(mask, boundary=3)
    loss, _ = decoder.loss(GivenBackbone(), hidden, goal)
    loss.backward()
    assert hidden.grad.abs().sum() > 0
    unused = {"code"}  # of the last layer, which no layer sees
    for name, part in decoder.parts.items():
        for key, parameter in part.named_parameters():
            assert parameter.grad is not None and (key in unused or parameter.grad.abs().sum() > 0), (name, key)
    assert list(decoder.action_tokenizer.parameters()) == [], "the tokenizer is not learned"
    changed = goal.actions.clone()
    changed[:, 4:] = -changed[:, 4:]
    again, _ = decoder.loss(GivenBackbone(), hidden, ActionTargets(changed, mask, goal.eos_labels))
    assert torch.equal(loss, again)


LEARNED = [ParallelTokensConfig(**FEW), CoarseToFineConfig(**FEW, chain_hidden_dim=16, draft=DraftConfig())]


@pytest.mark.parametrize("config", LEARNED, ids=lambda config: config.type)
def test_learns_chunks_and_eos_as_one_more_code_by_heart(config):
    decoder, hidden, goal = build(config), torch.randn(B, C * A, D), targets(boundary=5)
    learn_by_heart(decoder, hidden, goal)
    with torch.no_grad():
        scores = decoder.scores(hidden, goal)
        assert [float(scores[f"accuracy_layer_{layer}"]) > 0.9 for layer in (1, 2)] == [True, True]
        logits = decoder.token_logits(hidden)
        found = find_token_eos(logits, TokenEosRule(decoder.tokenizer.eos_token_id, decoder.tokens_per_action))
        assert found.tolist() == [5] * B
        reached = decoder.action_tokenizer.decode(decoder.action_tokenizer.encode(goal.actions)[..., :3])
        assert (decoder.predict(hidden) - reached).abs().mean() < 0.05


@torch.no_grad()
def test_the_median_choice_takes_the_value_that_half_of_the_distribution_lies_below():
    """Against the whole distribution, every sequence of codes written out in the order of the values."""
    config = CoarseToFineConfig(**FEW, choice="median")
    decoder = build(config)
    decoder.head.fc2.weight.mul_(4)
    hidden, quantizer = torch.randn(B, C * A, D), TOKENIZER.quantizer
    features = decoder.head.chain_features(hidden).flatten(0, 2)
    sequences = torch.tensor(list(itertools.product(range(7), repeat=3)))
    values = quantizer.decode(sequences)
    assert torch.equal(values, values.sort().values)
    chosen = decoder.codes(hidden).flatten(0, 2)
    for chain, codes in zip(features, chosen, strict=True):
        logits = decoder.head.chain_logits(chain.expand(len(sequences), -1), sequences)
        each = logits.double().softmax(-1).gather(-1, sequences.T[..., None])[..., 0].prod(0)
        is_below, is_within = values < quantizer.decode(codes), values <= quantizer.decode(codes)
        assert each[is_below].sum() <= 0.5 + 1e-6 and each[is_within].sum() >= 0.5 - 1e-6
    assert not torch.equal(chosen, decoder.head.greedy(features))


def test_the_held_out_error_is_that_of_the_actions_as_they_are_chosen():
    hidden, goal = torch.randn(B, C * A, D), targets()
    errors = {}
    for choice in ("likeliest", "median"):
        decoder = build(CoarseToFineConfig(**FEW, choice=choice))
        errors[choice] = decoder.scores(hidden, goal)["l1"]
        torch.testing.assert_close(errors[choice], (decoder.predict(hidden) - goal.actions).abs().mean())
    assert errors["median"] != errors["likeliest"]


@pytest.mark.parametrize("other", [{"temperature": 0.5}, {"draft": DraftConfig()}])
def test_a_median_that_is_drawn_or_drafted_is_refused(other):
    with pytest.raises(ValueError, match="choice is 'median', with temperature .* expected temperature 0 and no draft"):
        CoarseToFineConfig(**SMALL, choice="median", **other)


def test_fewer_layers_are_kept_where_the_configuration_says_so():
    decoder = build(CoarseToFineConfig(**SMALL, layers=2))
    assert decoder.codes(torch.randn(B, C * A, D)).shape == (B, C, 16, 2)
    with pytest.raises(ValueError, match="layers is 9, the action tokenizer has 8"):
        CoarseToFineConfig(**SMALL, layers=9)


def test_a_tokenizer_for_other_chunks_is_refused():
    with pytest.raises(ValueError, match=r"is for chunks \(8, 7\), and the model's are \(4, 7\)"):
        CONFIGS[0].build(DecoderShape(D, 4, A))


def test_a_tokenizer_for_other_commands_is_refused():
    decoder = build(CONFIGS[0])
    statistics = SPACE.normalizer.statistics
    decoder.check_actions(ActionNormalizer(SPACE.robot, SPACE.gripper, statistics))
    other = Statistics.of(torch.randn(50, A).numpy())
    with pytest.raises(ValueError, match="whose low bound of value 0 is -1, the model's is -"):
        decoder.check_actions(ActionNormalizer(SPACE.robot, SPACE.gripper, other))
    with pytest.raises(ValueError, match="grippers as 'close_is_one', the model as 'open_is_one'"):
        decoder.check_actions(ActionNormalizer(SPACE.robot, GripperConvention.OPEN_IS_ONE, statistics))


@pytest.mark.parametrize("config", [*CONFIGS, MEDIAN], ids=["parallel", "likeliest", "median"])
def test_what_is_not_finite_does_not_become_a_motion(config):
    decoder, hidden = build(config), torch.randn(B, C * A, D)
    hidden[0, 3] = torch.nan
    assert decoder.predict(hidden).isnan().all()


# --- speculative decoding ---


def random_head(seed: int, layers: int = 8, spread: float = 1.0) -> tuple[CoarseToFineHead, DraftHead, Tensor]:
    """With an untrained draft, and the features of a chunk's chains; a small ``spread`` makes codes all but equal."""
    torch.manual_seed(seed)
    head = CoarseToFineHead(CoarseToFineConfig(**SMALL, layers=layers), SHAPE)
    with torch.no_grad():
        head.fc2.weight.mul_(spread)
    return head, DraftHead(DraftConfig(), 8, layers, 7), torch.randn(C * 16, 8)


@pytest.mark.parametrize("spread", [1.0, 1e-6])
@torch.no_grad()
def test_speculative_decoding_gives_the_codes_of_decoding_layer_by_layer_bit_for_bit(spread: float):
    flips = 0
    for seed, layers in itertools.product(range(4), (1, 2, 8)):
        head, draft, features = random_head(seed, layers, spread)
        decoded = greedy(head, draft, features)
        flips += int((decoded.codes != head.greedy(features)).sum())
        assert decoded.passes <= layers
    assert flips == 0


@torch.no_grad()
def test_the_logits_of_a_chain_have_the_same_bits_whatever_is_read_with_it():
    head, _, features = random_head(0)
    codes = torch.randint(7, (len(features), 8))
    states = head.states(features, codes)
    together = head.read(states)
    for layer in range(8):
        assert torch.equal(together[layer], head.read(states[layer]))
    for count in range(16, 128, 7):
        assert torch.equal(head.read(states[3, -count:]), together[3, -count:])


class GivenDraft(nn.Module):
    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.one_hot(self.codes, 7).float()


@torch.no_grad()
def test_a_draft_that_is_right_takes_one_pass_and_each_chain_is_accepted_for_itself():
    head, _, features = random_head(1)
    right = head.greedy(features)
    decoded = greedy(head, GivenDraft(right), features)
    assert (decoded.passes, decoded.rows) == (1, 8 * len(features))
    wrong = right.clone()
    wrong[5, 2] = (wrong[5, 2] + 1) % 7
    decoded = greedy(head, GivenDraft(wrong), features)
    assert torch.equal(decoded.codes, right)
    assert decoded.passes > 1 and decoded.rows <= 8 * len(features) + 16 * decoded.passes, "one chain is read again"
    wrong = right.clone()
    wrong[:, -1] = (wrong[:, -1] + 1) % 7
    assert greedy(head, GivenDraft(wrong), features).passes == 1, "nothing depends on the last code"


def test_a_trained_head_with_a_trained_draft_is_decoded_the_same_too_and_in_fewer_passes():
    decoder, hidden, goal = build(LEARNED[1]), torch.randn(B, C * A, D), targets()
    learn_by_heart(decoder, hidden, goal)
    with torch.no_grad():
        features = decoder.head.chain_features(hidden).flatten(0, 2)
        decoded = greedy(decoder.head, decoder.draft, features)
        assert torch.equal(decoded.codes, decoder.head.greedy(features))
        assert torch.equal(decoder.codes(hidden).flatten(0, 2), decoded.codes)
        untrained = greedy(decoder.head, DraftHead(DraftConfig(), 8, 3, 7), features)
    assert decoded.rows < untrained.rows


@pytest.mark.parametrize("draft_temperature", [0.3, 1.0, 3.0])
@torch.no_grad()
def test_speculative_sampling_has_the_distribution_of_sampling_layer_by_layer(draft_temperature: float):
    """Every sequence of three codes of two levels; the draft is another distribution altogether."""
    torch.manual_seed(0)
    network = RfsqNetwork(width=4, levels=3)
    config = CoarseToFineConfig(**{**SMALL, "action_tokenizer": RfsqConfig(space=SPACE, network=network)}, layers=3)
    head, count = CoarseToFineHead(config, SHAPE), 40_000
    head.fc2.weight.mul_(6)
    draft = DraftHead(DraftConfig(), 8, 3, 3)
    draft.model[-1].weight.mul_(8 / draft_temperature)
    features = torch.randn(1, 8).expand(count, 8)
    sequences = torch.tensor(list(itertools.product(range(3), repeat=3)))
    logits = head.chain_logits(features[:1].expand(len(sequences), 8), sequences) / 0.8
    chosen = logits.softmax(-1).gather(-1, sequences.T[..., None])[..., 0]
    expected = count * chosen.prod(0).double()
    assert float(expected.sum()) == pytest.approx(count, rel=1e-4)
    speculative = sample_speculatively(head, draft, features, 0.8)
    assert speculative.passes > 1, "some guesses are turned away"
    for codes in (sample(head, features, 0.8), speculative.codes):
        observed = torch.bincount(codes @ torch.tensor([9, 3, 1]), minlength=27).double()
        seen = expected > 5
        chi_square = ((observed - expected) ** 2 / expected)[seen].sum()
        assert chi_square < 2 * int(seen.sum()) + 10, (observed, expected)


@torch.no_grad()
def test_temperature_draws_and_repeats_from_the_seed():
    hidden = torch.randn(B, C * A, D)
    for draft in (None, DraftConfig()):
        decoder = build(CoarseToFineConfig(**SMALL, temperature=1.0, draft=draft))
        torch.manual_seed(1)
        first, second = decoder.codes(hidden), decoder.codes(hidden)
        torch.manual_seed(1)
        assert torch.equal(first, decoder.codes(hidden)) and not torch.equal(first, second)
