"""Where the end effector is on its way to, and that learning it reaches the backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.test_eos_training import make_objective
from training.data.dataset import SubstepDataset
from training.data.keyframes import is_shown, keyframe_of
from training.train.config import DirectEos
from training.train.finetune_substep import start
from training.train.keyframe_head import UNIT, KeyframeHead
from training.train.objective import Objective, gradient_norm


def test_keyframes_are_where_the_gripper_is_about_to_change_or_a_substep_ends():
    gripper = np.array([[-1, -1, 1, 1, 1, 1, -1, -1]]).T
    is_end = np.array([0, 0, 0, 0, 1, 0, 0, 0], bool)
    assert keyframe_of(gripper, is_end).tolist() == [1, 1, 4, 4, 4, 5, 7, 7]
    other = np.where(np.arange(8) < 3, -1, 1)[:, None]
    assert keyframe_of(np.hstack([gripper, other]), is_end).tolist() == [1, 1, 2, 4, 4, 5, 7, 7], "of any gripper"


@given(st.lists(st.tuples(st.sampled_from([-1.0, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_every_timestep_has_the_next_keyframe_and_a_keyframe_is_its_own(steps):
    gripper, is_end = (np.array(part) for part in zip(*steps, strict=True))
    found = keyframe_of(gripper[:, None], is_end)
    assert (found >= np.arange(len(steps))).all() and (np.diff(found) >= 0).all()
    assert (found[found] == found).all() and (found[is_end] == np.flatnonzero(is_end)).all()


def test_a_way_that_a_disturbance_interrupts_is_not_shown():
    gripper, is_end = np.array([[-1, -1, -1, 1, -1, -1, 1, 1]]).T, np.zeros(8, bool)
    taught = np.array([1, 1, 0, 0, 1, 1, 1, 1], bool)  # a novice closes the gripper too soon
    found = keyframe_of(gripper, is_end)
    assert is_shown(found, taught).tolist() == [False, False, False, False, True, True, True, True]
    assert is_shown(found, np.ones(8, bool)).all()


def test_a_sample_says_how_far_the_hand_has_to_go(toy_run):
    data: SubstepDataset = start(toy_run()).data.training
    first, ends = data.sample(0, 0), np.flatnonzero(data.truths[0].is_end)
    # The toy's gripper closes at timestep 6, after a third of the way to its first end.
    closing = data.sample(0, 5)
    np.testing.assert_allclose(first.way, closing.proprio[:3] - first.proprio[:3], atol=1e-6)
    np.testing.assert_allclose(closing.way, 0, atol=1e-6)
    assert first.has_way and ends[0] > 5
    assert not data.sample(0, int(ends[0]) + 1, int(ends[0])).has_way, "the substep shown is over"


def test_the_loss_is_the_distance_and_leaves_out_what_has_no_way():
    head = KeyframeHead(5)
    torch.nn.init.zeros_(head.way.weight)
    torch.nn.init.zeros_(head.way.bias)
    way = torch.tensor([[0.3, 0.0, 0.0], [9.0, 9.0, 9.0]])
    loss = head.loss(torch.randn(2, 7, 5), way, torch.tensor([True, False]))
    assert loss.item() == pytest.approx(0.3 / UNIT / 3)
    assert head.loss(torch.randn(2, 7, 5), way, torch.tensor([False, False])).item() == 0


def test_keyframes_teach_the_backbone():
    plain, batch = make_objective(DirectEos())
    objective = Objective(plain.model, DirectEos(), keyframe_weight=0.5).train()
    batch |= {"way": torch.randn(len(batch["proprio"]), 3), "has_way": torch.ones(len(batch["proprio"]), dtype=bool)}
    losses = objective(batch)
    torch.testing.assert_close(losses.total, losses.action + losses.eos + 0.5 * losses.keyframe)
    losses.keyframe.backward()
    assert gradient_norm(objective.model.backbone.parameters()) > 0
    assert objective.model.action_head.state_dict().keys() == plain.model.action_head.state_dict().keys()
