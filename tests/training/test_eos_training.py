"""EOS losses, the balanced buffer, and where their gradients go."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from substep_core.configuration import parse
from substep_core.contract import LIBERO_PANDA
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from tests.training.conftest import TOY_MODEL
from training.train.config import BufferEos, DirectEos, NoEosHead
from training.train.eos_buffer import EOSBuffer, EOSBufferConfig
from training.train.losses import BatchRatioBCE, FocalLoss, WeightedBCE, eos_loss
from training.train.objective import Objective, eos_distribution, gradient_norm

B, C, A, D = 8, 4, 7, 5


def labels_with(positives: int, shape: tuple[int, ...] = (B, C, 1)) -> torch.Tensor:
    labels = torch.zeros(shape).flatten()
    labels[:positives] = 1
    return labels.reshape(shape)


@given(st.floats(0, 1), st.floats(0, 5), st.integers(0, B * C), st.integers(0, 100))
def test_focal_loss_is_torchvisions(alpha, gamma, positives, seed):
    torch.manual_seed(seed)
    logits, labels = torch.randn(B, C, 1) * 5, labels_with(positives)
    expected = sigmoid_focal_loss(logits, labels, alpha, gamma, reduction="mean")
    torch.testing.assert_close(eos_loss(FocalLoss(alpha=alpha, gamma=gamma), logits, labels), expected)


def test_losses_stay_finite_for_certain_and_wrong_predictions():
    for config in (FocalLoss(), WeightedBCE(), BatchRatioBCE()):
        logits = torch.tensor([-1e4, 1e4, 0.0], requires_grad=True)
        loss = eos_loss(config, logits, torch.tensor([1.0, 0.0, 1.0]))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_fixed_weight_counts_a_positive_that_many_times():
    logits = torch.randn(6)
    labels = torch.tensor([1.0, 0, 0, 0, 0, 0])
    terms = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    expected = (20 * terms[0] + terms[1:].sum()) / 6
    torch.testing.assert_close(eos_loss(WeightedBCE(), logits, labels), expected)


@pytest.mark.parametrize(("positives", "weight"), [(2, 15.0), (16, 1.0), (0, 1.0), (30, 1.0)])
def test_batch_ratio_balances_the_classes_of_the_batch(positives, weight):
    logits, labels = torch.randn(B, C, 1), labels_with(positives)
    expected = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=torch.tensor(weight))
    torch.testing.assert_close(eos_loss(BatchRatioBCE(), logits, labels), expected)


def test_distribution_counts_and_recommends_a_weight():
    found = eos_distribution([{"eos_labels": labels_with(2)}, {"eos_labels": labels_with(0)}])
    assert (found.positives, found.total, found.recommended_weight) == (2, 64, 31.0)
    assert "3.12%" in str(found) and "31.0" in str(found)
    assert "none of 32" in str(eos_distribution([{"eos_labels": labels_with(0)}]))


def test_defaults_are_those_of_the_method():
    config = EOSBufferConfig()
    assert (config.capacity, config.sample_negative, config.sample_positive) == (50, 20, 15)
    assert (config.min_negative, config.min_positive) == (20, 15)
    assert (EOSHeadConfig().hidden_dim, EOSHeadConfig().dropout) == (1024, 0.1)
    assert (BufferEos().lambda_eos, BufferEos.default_threshold) == (2.0, 0.5)
    assert (DirectEos().lambda_eos, DirectEos.default_threshold, DirectEos().loss) == (1.0, 0.03, FocalLoss())
    assert (FocalLoss().alpha, FocalLoss().gamma, WeightedBCE().pos_weight) == (0.25, 2.0, 20.0)


def filled(negatives: int, positives: int, config: EOSBufferConfig | None = None) -> EOSBuffer:
    """A buffer of entries that carry their number, negatives from 0 up, positives from 1000 up."""
    buffer = EOSBuffer(config or EOSBufferConfig())
    values = torch.tensor([*range(negatives), *(1000 + n for n in range(positives))], dtype=torch.float32)
    hidden = values.reshape(-1, 1, 1).expand(-1, A, D)
    labels = torch.tensor([0.0] * negatives + [1.0] * positives).reshape(-1, 1, 1)
    buffer.add(hidden, labels)
    return buffer


def test_buffer_keeps_the_newest_of_each_class():
    buffer = filled(70, 60)
    assert buffer.counts == (50, 50)
    drawn = torch.cat([buffer.draw()[0][:, 0, 0] for _ in range(50)])
    assert drawn[drawn < 1000].min() == 20 and drawn[drawn >= 1000].min() == 1010


@pytest.mark.parametrize(("counts", "ready"), [((20, 15), True), ((19, 50), False), ((50, 14), False)])
def test_updates_begin_as_soon_as_enough_are_held(counts, ready):
    assert filled(*counts).is_ready is ready


def test_a_draw_is_balanced_random_and_removes_nothing():
    buffer = filled(50, 50)
    entries, labels = buffer.draw()
    assert entries.shape == (35, A, D) and labels.shape == (35, 1, 1) and labels.sum() == 15
    assert ((entries[:, 0, 0] >= 1000).float() == labels.flatten()).all(), "labels stay with their entries"
    assert buffer.counts == (50, 50)
    assert not torch.equal(entries, buffer.draw()[0])
    order = labels.flatten().tolist()
    assert order != sorted(order) and order != sorted(order, reverse=True)


def test_too_few_entries_cannot_be_drawn():
    with pytest.raises(RuntimeError, match="\\(3, 2\\), too few"):
        filled(3, 2).draw()


def test_stored_states_hold_no_graph_and_do_not_change_with_their_source():
    buffer = EOSBuffer(EOSBufferConfig(min_negative=1, sample_negative=1, min_positive=1, sample_positive=1))
    hidden = torch.ones(1, 2 * A, D, requires_grad=True)
    buffer.add(hidden * 1, torch.tensor([[[1.0], [0.0]]]))
    with torch.no_grad():
        hidden.zero_()
    entries, _ = buffer.draw()
    assert not entries.requires_grad and (entries == 1).all()


def test_states_that_are_not_finite_are_left_out():
    buffer = EOSBuffer(EOSBufferConfig())
    hidden = torch.ones(2, A, D)
    hidden[0, 3, 2] = torch.nan
    buffer.add(hidden, torch.zeros(2, 1, 1))
    assert buffer.counts == (1, 0)


def test_impossible_buffer_sizes_are_refused():
    with pytest.raises(ValueError, match="sample_positive 60"):
        EOSBufferConfig(sample_positive=60)


def test_the_head_learns_from_the_buffer():
    torch.manual_seed(0)
    head = EOSClassificationHead(EOSHeadConfig(hidden_dim=32), D, A)
    buffer = EOSBuffer(EOSBufferConfig())
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        labels = (torch.rand(B, C, 1) < 0.1).float()
        hidden = torch.randn(B, C, A, D) + torch.linspace(0, 2, D) * labels.unsqueeze(-1)
        buffer.add(hidden.flatten(1, 2), labels)
        if buffer.is_ready:
            entries, drawn = buffer.draw()
            optimizer.zero_grad()
            eos_loss(WeightedBCE(pos_weight=1.0), head(entries), drawn).backward()
            optimizer.step()
    head.eval()
    entries, labels = buffer.draw()
    assert ((torch.sigmoid(head(entries)) > 0.5) == (labels > 0.5)).float().mean() > 0.95


def make_objective(eos) -> tuple[Objective, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    head = None if isinstance(eos, NoEosHead) else TOY_MODEL["eos_head"]
    source = {"source": "none"} if head is None else {"source": "head"}
    config = parse(CompactModelConfig, {**TOY_MODEL, "robot": LIBERO_PANDA, "eos_head": head, "eos": source}, "test")
    batch = {
        "images": torch.randint(0, 255, (B, 2, 16, 16, 3), dtype=torch.uint8),
        "proprio": torch.randn(B, 11),
        "input_ids": torch.randint(0, 600, (B, 48)),
        "attention_mask": torch.ones(B, 48, dtype=torch.bool),
        "actions": torch.rand(B, C, 7) * 2 - 1,
        "action_mask": torch.ones(B, C, dtype=torch.bool),
        "eos_labels": labels_with(3),
    }
    return Objective(build_compact(config), eos).train(), batch


SMALL_BUFFER = EOSBufferConfig(min_negative=4, sample_negative=4, min_positive=2, sample_positive=2)


def eos_gradients(eos) -> tuple[float, float, object]:
    """Norms of the EOS loss's gradient in the EOS head and in the backbone."""
    objective, batch = make_objective(eos)
    losses = objective(batch)
    losses.eos.backward()
    model = objective.model
    return gradient_norm(model.eos_head.parameters()), gradient_norm(model.backbone.parameters()), losses


@pytest.mark.parametrize("loss", [FocalLoss(), WeightedBCE(), BatchRatioBCE()], ids=lambda loss: loss.type)
def test_direct_mode_sends_the_eos_gradient_to_head_and_backbone(loss):
    head, backbone, losses = eos_gradients(DirectEos(loss=loss))
    assert head > 0 and backbone > 0
    assert (losses.positives, losses.negatives) == (3, 29)
    torch.testing.assert_close(losses.total, losses.action + losses.eos)


def test_buffer_mode_sends_the_eos_gradient_to_the_head_alone():
    head, backbone, losses = eos_gradients(BufferEos(buffer=SMALL_BUFFER))
    assert head > 0 and backbone == 0
    assert (losses.positives, losses.negatives) == (2, 4)
    torch.testing.assert_close(losses.total, losses.action + 2.0 * losses.eos)


def test_buffer_mode_has_no_eos_loss_before_the_buffer_is_ready():
    objective, batch = make_objective(BufferEos())
    losses = objective(batch)
    assert losses.eos is None and torch.equal(losses.total, losses.action)
    for _ in range(7):
        losses = objective(batch)
    assert losses.eos is not None and (losses.positives, losses.negatives) == (15, 20)


def test_without_an_eos_head_the_actions_are_all_there_is():
    objective, batch = make_objective(NoEosHead())
    losses = objective(batch)
    assert losses.eos is None and torch.isfinite(losses.total)


def test_validation_neither_fills_nor_needs_the_buffer():
    objective, batch = make_objective(BufferEos())
    losses = objective.eval()(batch)
    assert losses.eos is not None and len(objective.buffer) == 0
