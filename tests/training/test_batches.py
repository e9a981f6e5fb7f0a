"""From samples to batches: order, tensors, augmentation, other wordings."""

from __future__ import annotations

import timeit

import numpy as np
import pytest
import torch

from substep_core.language.motions import MOTIONS, Use
from training.data.augmentation import Augmentation
from training.data.build import prepare_data
from training.data.paraphrases import Paraphrases, held_out_wordings, made_up_wording, training_wordings
from training.data.transform import BatchStream


def make_stream(toy_run, **changes) -> tuple[BatchStream, object]:
    config = toy_run()
    data = prepare_data(config)
    options = {"batch_size": 8, "seed": 3, "augmentation": Augmentation(shift=1), "paraphrases": Paraphrases(0.5)}
    return BatchStream(data.training, data.transform, **(options | changes)), data


def test_a_batch_has_the_tensors_of_the_method(toy_run):
    stream, _ = make_stream(toy_run)
    shapes = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in stream.batch(0).items()}
    assert shapes == {
        "images": ((8, 2, 16, 16, 3), torch.uint8),
        "proprio": ((8, 11), torch.float32),
        "input_ids": ((8, 48), torch.int64),
        "attention_mask": ((8, 48), torch.bool),
        "actions": ((8, 4, 7), torch.float32),
        "action_mask": ((8, 4), torch.bool),
        "eos_labels": ((8, 4, 1), torch.float32),
        "way": ((8, 3), torch.float32),
        "has_way": ((8,), torch.bool),
    }


def test_a_batch_depends_on_its_number_alone(toy_run):
    one, other = make_stream(toy_run)[0], make_stream(toy_run)[0]
    other.batch(7)
    for number in (0, 3, 50):
        first, second = one.batch(number), other.batch(number)
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(one.batch(0)["images"], one.batch(1)["images"])


def test_a_pass_shows_every_sample_once_and_processes_share_it(toy_run):
    stream, data = make_stream(toy_run)
    per_pass = len(data.training) // 8
    seen = np.concatenate([stream._indices(number) for number in range(per_pass)])
    assert len(set(seen)) == per_pass * 8
    shares = [make_stream(toy_run, rank=rank, world=2)[0] for rank in range(2)]
    both = [share._indices(number * 2 + share.rank) for number in range(per_pass // 2) for share in shares]
    assert set(np.concatenate(both)) == set(seen[: len(both) * 8])


def test_the_order_of_many_samples_is_drawn_once_a_pass():
    class Million:
        def __len__(self) -> int:
            return 1_000_000

    stream = BatchStream(Million(), None, batch_size=100, seed=3)
    first = timeit.timeit(lambda: stream._indices(0), number=1)
    assert timeit.timeit(lambda: stream._indices(1), number=1) < first / 10
    expected = np.random.default_rng((3, 1)).permutation(1_000_000)[500:600]
    np.testing.assert_array_equal(stream._indices(10_005), expected, "the sixth batch of the second pass")


def test_a_batch_larger_than_the_data_is_refused(toy_run):
    with pytest.raises(ValueError, match="batch_size is 100000, but there are only"):
        make_stream(toy_run, batch_size=100_000)


def test_augmentation_moves_and_relights_every_image_on_its_own():
    images = torch.zeros(2, 2, 16, 16, 3, dtype=torch.uint8)
    images[..., 8, 8, :] = 200
    changed = Augmentation(shift=3, brightness=0, contrast=0).apply(images, torch.Generator().manual_seed(0))
    places = [tuple(view.max(-1).values.nonzero()[0].tolist()) for view in changed.flatten(0, 1)]
    assert len(set(places)) > 1 and all(abs(y - 8) <= 3 and abs(x - 8) <= 3 for y, x in places)
    unchanged = Augmentation(shift=0, brightness=0, contrast=0).apply(images, torch.Generator().manual_seed(0))
    assert torch.equal(unchanged, images)


@pytest.mark.parametrize(
    "instruction",
    [
        "pick up the black bowl",
        "place the cream cheese box in the basket",
        "place the mug to the right of the plate",
        "push the plate to the front of the stove",
        "open the top drawer of the cabinet",
        "close the microwave",
        "turn on the stove",
    ],
)
def test_paraphrases_keep_the_objects_and_differ_between_training_and_held_out(instruction):
    training, held_out = training_wordings(instruction), held_out_wordings(instruction)
    assert training[0] == instruction and len(training) >= 3 and len(held_out) >= 3
    assert not set(training) & set(held_out)
    nouns = [word for word in ("bowl", "basket", "plate", "drawer", "microwave", "stove", "mug") if word in instruction]
    assert all(noun in wording for wording in training + held_out for noun in nouns)


def test_the_verbs_of_held_out_wordings_are_never_heard_in_training():
    heard = {word for motion in MOTIONS for wording in motion.wordings(Use.TRAINING) for word in wording.split()}
    assert not heard & {"raise", "lay", "release", "shift", "draw", "power"}


def test_a_made_up_verb_keeps_the_thing_and_the_place():
    wordings = {made_up_wording("place the mug to the right of the plate", np.random.default_rng(n)) for n in range(9)}
    assert len(wordings) == 9
    assert {wording.split(" ", 1)[1] for wording in wordings} == {"the mug to the right of the plate"}
    assert made_up_wording("sing a song", np.random.default_rng(0)) == "sing a song"


def test_every_shipped_subgoal_can_be_said_in_other_words():
    from substep_planner.decomposers.library import shipped_library

    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    subgoals = {step.instruction for plan in plans for step in plan.substeps}
    assert [subgoal for subgoal in subgoals if not held_out_wordings(subgoal)] == []


def test_an_instruction_without_a_known_motion_is_left_alone():
    assert training_wordings("sing a song") == ["sing a song"] and held_out_wordings("sing a song") == []
