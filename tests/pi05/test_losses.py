"""Words and actions of a toy π0.5: what is taught, by which tokens, and which weights a loss reaches."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from substep_policy.heads import ActionTargets
from substep_policy.heads.answer_loss import answer_loss
from substep_policy.models.pi05.backbone import PromptTokens
from substep_policy.models.pi05.config import Conditioning
from substep_policy.models.pi05.gemma import attend
from substep_policy.models.pi05.model import Pi05Model
from tests.pi05 import drawn as toy
from tests.pi05.toy import drawn_model, inputs, toy_config

LANGUAGE_AND_VISION = ("backbone.vision_tower.", "backbone.projector.", "backbone.language_model.")
ASKED, ANSWERS = 4, (5, 3)  # tokens of the prompts, and of their answers with the end of text
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def question_and_answer() -> dict[str, Tensor]:
    lengths = torch.tensor([ASKED + length for length in ANSWERS])
    ids = torch.randint(3, toy.VOCABULARY, (2, int(lengths.max())), generator=torch.Generator().manual_seed(1))
    return {
        "input_ids": ids,
        "attention_mask": torch.arange(ids.shape[1]) < lengths[:, None],
        "answer_start": torch.full((2,), ASKED),
    }


def batch(is_joint: bool = False) -> dict[str, Tensor]:
    taught = {"answer_counts": torch.ones(2, dtype=torch.bool)}
    if is_joint:
        return inputs() | question_and_answer() | taught
    return inputs() | {f"task_{name}": value for name, value in question_and_answer().items()} | taught


def targets() -> ActionTargets:
    actions, _ = toy.chunk_and_noise()
    mask = torch.tensor([[True] * toy.CHUNK, [True, True, False, False]])
    return ActionTargets(actions[..., : toy.ACTION], mask, torch.zeros(2, toy.CHUNK, 1))


def reached(model: Pi05Model, loss: Tensor) -> set[str]:
    """Names of the weights that have a gradient which is not zero."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}


@pytest.mark.parametrize("conditioning", list(Conditioning))
def test_the_actions_loss_reaches_no_weight_of_vision_and_language(conditioning):
    """Not by the embeddings and not by any layer's keys and values; all of the expert learns."""
    model = drawn_model(toy_config(conditioning=conditioning))
    text, action, _ = model.losses(batch(model.is_joint), targets())
    by_action, by_text = reached(model, action), reached(model, text)
    everything = {name for name, _ in model.named_parameters()}
    expected = {name for name in everything if name.startswith(LANGUAGE_AND_VISION)}
    assert by_action == everything - expected
    missing = expected - by_text
    assert by_text <= expected and missing <= {"backbone.vision_tower.embeddings.position_embedding.weight"}, missing
    assert reached(model, model.action_loss(batch(model.is_joint), targets())[0]) == by_action


def test_words_are_read_where_they_are_taught_alone():
    """The loss and its gradients are those of the taught sample by itself; where none is taught there is none."""
    model, whole = drawn_model(toy_config()), batch()
    alone = {name: value[1:] for name, value in whole.items()}
    gradients = []
    for shown in (whole | {"answer_counts": torch.tensor([False, True])}, alone):
        model.zero_grad()
        text = model.text_loss(shown)
        text.backward()
        gradients.append([text, model.backbone.language_model.layers[0].mlp.up_proj.weight.grad.clone()])
    torch.testing.assert_close(*gradients)
    model.zero_grad()
    nothing = model.text_loss(whole | {"answer_counts": torch.zeros(2, dtype=torch.bool)})
    nothing.backward()  # as a step of training does
    assert nothing == 0.0 and not any(
        grad.any() for grad in (weight.grad for weight in model.parameters()) if grad is not None
    )


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_written_out_is_the_fused_one(heads):
    """Also where several heads share keys and values, and a mask stands for all queries."""
    draw = torch.Generator().manual_seed(0)
    queries, keys, values = (
        torch.randn(2, count, tokens, 8, generator=draw, dtype=torch.float64)
        for count, tokens in ((4, 3), (heads, 5), (heads, 5))
    )
    for mask in (
        torch.rand(2, 1, 3, 5, generator=draw) > 0.3,
        torch.tensor([True, False, True, True, True]).expand(2, 1, 1, 5),
    ):
        mask = mask | (torch.arange(5) == 0)
        fused = attend(queries, keys, values, mask)
        torch.testing.assert_close(attend(queries.requires_grad_(), keys, values, mask), fused, rtol=1e-6, atol=1e-6)
        queries = queries.detach()


def test_without_insulation_it_reaches_every_layer():
    """So the test above can fail: detached embeddings alone would leave the layers' weights reached."""
    model = drawn_model(toy_config(knowledge_insulation=False))
    found = reached(model, model.losses(batch(), targets())[1])
    for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.up_proj"):
        assert f"backbone.language_model.layers.0.{part}.weight" in found


def test_insulation_changes_no_number():
    """Losses and the expert's gradients are those without it."""
    found = []
    for is_insulated in (True, False):
        model = drawn_model(toy_config(knowledge_insulation=is_insulated))
        torch.manual_seed(0)
        text, action, _ = model.losses(batch(), targets())
        action.backward()
        found.append([text, action, model.backbone.expert.layers[0].self_attn.q_proj.weight.grad])
    torch.testing.assert_close(*found)


def test_the_loss_counts_actions_that_are_there_and_the_robots_values():
    """What is masked, and what fills an action up to the expert's width, is of no account."""
    model, shown = drawn_model(toy_config()), targets()

    def loss(actions: Tensor) -> Tensor:
        torch.manual_seed(0)
        return model.action_loss(batch(), ActionTargets(actions, shown.mask, shown.eos_labels))[0]

    noisy = model.decoder.noised(shown.actions)
    assert noisy.x.shape[-1] == toy.PADDED_ACTION and not torch.equal(noisy.x[..., : toy.ACTION], shown.actions)
    torch.manual_seed(0)
    velocity = torch.zeros(2, toy.CHUNK, toy.PADDED_ACTION)
    expected = model.decoder.noised(shown.actions).velocity[..., : toy.ACTION].square()[shown.mask].mean()
    model.decoder.velocity = lambda *_: (velocity, velocity)
    torch.testing.assert_close(loss(shown.actions), expected)


def test_several_draws_of_a_chunk_are_as_many_samples_of_it():
    """Loss and gradients are those of a batch that has each sample thrice, hidden states the least noisy one's."""
    config, shown, draws = toy_config(knowledge_insulation=False), targets(), 3
    thrice = {name: value.repeat_interleave(draws, dim=0) for name, value in batch().items()}
    repeated = ActionTargets(*(part.repeat_interleave(draws, dim=0) for part in dataclasses.astuple(shown)))
    found = []
    for count, given, asked in ((draws, batch(), shown), (1, thrice, repeated)):
        model = drawn_model(
            dataclasses.replace(config, action_head=dataclasses.replace(config.action_head, draws=count))
        )
        torch.manual_seed(0)
        loss, hidden = model.action_loss(given, asked)
        loss.backward()
        gradient = model.backbone.language_model.layers[0].self_attn.k_proj.weight.grad
        found.append([loss, hidden, gradient])
    torch.manual_seed(0)
    least_noisy = model.decoder.noised(repeated.actions.float()).time.unflatten(0, (-1, draws)).argmin(dim=1)
    assert least_noisy.any()  # not the first draws
    found[1][1] = found[1][1].unflatten(0, (-1, draws))[range(len(least_noisy)), least_noisy]
    torch.testing.assert_close(*found)


def test_words_are_read_from_what_is_before_them():
    """A token that comes later changes neither what is said before it nor what images and prompt mean."""
    model, shown = drawn_model(toy_config()), question_and_answer()
    pixels = inputs()["pixel_values"]

    def read(ids: Tensor):
        words = PromptTokens(ids, shown["attention_mask"], shown["answer_start"])
        prefix = model.backbone.read(model.backbone.look({"pixel_values": pixels}), words)
        return prefix, *model.backbone.answer_logits(prefix, words)

    with torch.no_grad():
        before, logits, ids, counts = read(shown["input_ids"])
        changed = shown["input_ids"].clone()
        changed[:, ASKED + 1] = 3
        after, others, _, _ = read(changed)
    assert counts.sum(dim=1).tolist() == list(ANSWERS)
    assert torch.equal(ids[0], shown["input_ids"][0, ASKED : ASKED + ANSWERS[0]])
    torch.testing.assert_close(logits[:, :2], others[:, :2], **TOLERANCE)
    assert (logits[:, 2:3] - others[:, 2:3]).abs().max() > 1e-3
    asked = before.hidden.shape[1] - shown["input_ids"].shape[1] + ASKED
    torch.testing.assert_close(before.hidden[:, :asked], after.hidden[:, :asked], **TOLERANCE)


@torch.no_grad()
def test_said_words_are_the_likeliest_of_the_taught_ones():
    """Token by token with kept keys and values, as if all were read at once."""
    model = drawn_model(toy_config())
    patches = model.backbone.look({"pixel_values": inputs()["pixel_values"][:1]})
    ids = question_and_answer()["input_ids"][:1, :ASKED]
    asked = PromptTokens(ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([ASKED]))
    said = model.backbone.say(model.backbone.read(patches, asked), 6)
    assert len(said.ids) == 6 or said.is_complete
    ids = torch.cat([ids, torch.tensor([said.ids + (1,) * said.is_complete])], dim=1)
    words = PromptTokens(ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([ASKED]))
    logits, ids, _ = model.backbone.answer_logits(model.backbone.read(patches, words), words)
    assert torch.equal(logits.argmax(dim=-1), ids)
    chosen = logits.log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1))
    torch.testing.assert_close(chosen.mean().item(), said.log_probability, rtol=1e-4, atol=1e-5)


def test_answers_count_by_their_own_tokens():
    """A short answer as much as a long one; the original's mean over padding is another number."""
    logits = torch.zeros(3, 4, 8)
    logits[0, :, 2] = 5.0
    ids = torch.full((3, 4), 2)
    counts = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    sure, unsure = -logits[0, 0].log_softmax(-1)[2], torch.tensor(8.0).log()
    torch.testing.assert_close(answer_loss(logits, ids, counts, False), (sure + unsure) / 2)
    torch.testing.assert_close(answer_loss(logits, ids, counts, True), (4 * sure + unsure) / 12)
    assert answer_loss(logits, ids, torch.zeros_like(counts), False) == 0.0
    assert answer_loss(logits[:, :0], ids[:, :0], counts[:, :0], True) == 0.0


@torch.no_grad()
def test_padding_and_the_others_in_a_batch_change_nothing():
    model, both = drawn_model(toy_config()), inputs()
    length = toy.LENGTHS[1]
    alone = {name: value[1:] for name, value in both.items()}
    alone |= {name: alone[name][:, :length] for name in ("input_ids", "attention_mask")}
    _, noise = toy.chunk_and_noise()
    times = torch.full((2,), toy.TIME)
    prefixes = model.backbone.encode(both), model.backbone.encode(alone)
    together, _ = model.decoder.velocity(model.backbone, prefixes[0], noise, times)
    single, _ = model.decoder.velocity(model.backbone, prefixes[1], noise[1:], times[1:])
    torch.testing.assert_close(together[1:], single, **TOLERANCE)


@torch.no_grad()
def test_a_jointly_conditioned_expert_sees_the_words_that_were_said():
    model = drawn_model(toy_config(conditioning=Conditioning.JOINT))
    shown = batch(is_joint=True)
    other = shown | {"input_ids": shown["input_ids"].clone()}
    other["input_ids"][:, ASKED + 1] = 3
    torch.manual_seed(0)
    first, _ = model.act(shown)
    torch.manual_seed(0)
    second, _ = model.act(other)
    assert (first - second).abs().max() > 1e-3
