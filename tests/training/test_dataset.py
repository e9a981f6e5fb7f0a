"""From stored demonstrations to samples: instructions, EOS labels, masks, how often each is shown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.toy import DEMOS, FORMAT, INSTRUCTION, ROBOT, TASK, ToyDemo, true_labels, write_hdf5
from training.data.build import open_store, prepare_data
from training.data.dataset import SampleRules, SubstepDataset, split_episodes
from training.data.frame_cache import DemonstrationStore, StoredEpisode
from training.data.label_files import load_labels
from training.data.readers import (
    DemonstrationError,
    LiberoHdf5Source,
    ReadReport,
    read_demonstrations,
)
from training.labels.file import SubstepLabels, labels_from_boundaries
from training.train.config import DataConfig

C = 4


def dataset(store: DemonstrationStore, labels: SubstepLabels | None = None, **rules) -> SubstepDataset:
    labels = true_labels(DEMOS) if labels is None else labels
    return SubstepDataset(store, {"": labels}, SampleRules(**rules), store.episodes, C)


def test_the_same_demonstration_from_two_sources_is_refused_unless_they_are_told_apart(tmp_path: Path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, demo in zip(folders, DEMOS, strict=True):
        write_hdf5(folder / "libero_goal", [demo])
    with pytest.raises(DemonstrationError, match="episode_0 is in .*one.* and in .*other.*`collection`"):
        list(read_demonstrations([LiberoHdf5Source(path=folder) for folder in folders], ROBOT, ReadReport()))
    true_labels(DEMOS[:1]).save(tmp_path / "labels.json")
    sources = (
        LiberoHdf5Source(path=folders[0], labels=tmp_path / "labels.json"),
        LiberoHdf5Source(path=folders[1], collection="novice"),
    )
    open_store(DataConfig(sources=sources, cache=tmp_path / "cache", workers=0), FORMAT)
    store, episodes = open_store(DataConfig(sources=sources[1:], cache=tmp_path / "cache"), FORMAT)
    assert [episode.length for episode in store.episodes] == [20, 12]
    assert [episode.length for episode in episodes] == [12], "what the cache holds of other sources is left out"
    labels = load_labels(DataConfig(sources=sources, cache=tmp_path))
    data = SubstepDataset(store, labels.by_collection, SampleRules(), store.episodes, C)
    assert data.label_use.labelled_episodes == 1
    assert data.label_use.unlabelled_episodes == [f"novice:libero_goal/{TASK}/episode_0"]
    with pytest.raises(ValueError, match="'novice' and has no labels, and data.labels.*give it labels"):
        load_labels(DataConfig(sources=sources, cache=tmp_path, labels=tmp_path / "labels.json"))
    true_labels(DEMOS[1:]).save(folders[1] / "substep_labels.json")
    with pytest.raises(ValueError, match="collection '' has labels of .*episode_0 in .*labels.json and in .*other"):
        load_labels(DataConfig(sources=(sources[0], LiberoHdf5Source(path=folders[1])), cache=tmp_path))
    both = DataConfig(sources=sources, cache=tmp_path, labels=tmp_path / "labels.json")
    assert {name: len(found) for name, found in load_labels(both).by_collection.items()} == {"": 1, "novice": 1}


def test_every_timestep_has_the_instruction_of_its_substep(store):
    data = dataset(store)
    assert len(data) == 32
    expected = ["pick up the bowl"] * 11 + ["place the bowl on the plate"] * 9
    assert [data[i].instruction for i in range(20)] == expected
    assert data[0].task == INSTRUCTION


def test_only_the_first_boundary_of_a_chunk_is_marked_and_masks_what_follows(store):
    data = dataset(store)  # boundaries at 10 and 19
    sample = data[8]
    assert sample.eos_labels[:, 0].tolist() == [0, 0, 1, 0]
    assert sample.mask.tolist() == [True, True, True, False]
    assert data[5].eos_labels.sum() == 0 and data[5].mask.all()
    last = data[19]
    assert last.eos_labels[:, 0].tolist() == [1, 0, 0, 0] and last.mask.tolist() == [True, False, False, False]


def test_two_boundaries_in_one_chunk_give_one_label(store):
    labels = SubstepLabels()
    for number, demo in enumerate(DEMOS):
        steps = true_labels(DEMOS).find("libero_goal", TASK, "episode_0").substeps
        ends = [3, 5, demo.length - 1]
        entry = labels_from_boundaries(INSTRUCTION, (*steps, steps[0]), ends, np.zeros(demo.length, int))
        labels.add("libero_goal", TASK, f"episode_{number}", entry)
    assert dataset(store, labels)[2].eos_labels[:, 0].tolist() == [0, 1, 0, 0]


def test_the_seeds_behaviour_keeps_the_next_substeps_actions(store):
    data = dataset(store, mask_after_boundary=False)
    sample = data[8]
    assert sample.mask.all() and sample.eos_labels[:, 0].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(sample.actions, DEMOS[0].actions[8:12], atol=1e-6)
    assert data[18].mask.tolist() == [True, True, False, False], "what repeats the last action is no example"


def test_without_decomposition_the_task_speaks_throughout(store):
    data = dataset(store, use_substep_decomposition=False)
    assert {data[i].instruction for i in range(32)} == {INSTRUCTION}
    assert data[8].eos_labels.sum() == 0 and data[17].eos_labels[:, 0].tolist() == [0, 0, 1, 0]
    assert data.label_use.labelled_episodes == 0 and not data.label_use.unlabelled_episodes


def test_missing_labels_fall_back_to_the_task_and_are_counted(store):
    data = dataset(store, true_labels(DEMOS[:1]))
    assert data[25].instruction == INSTRUCTION
    assert data.label_use.labelled_episodes == 1
    assert data.label_use.unlabelled_episodes == [f"libero_goal/{TASK}/episode_1"]
    assert "1 episodes without labels" in str(data.label_use)


def test_labels_of_another_length_are_counted_and_not_used(store):
    data = dataset(store, true_labels([DEMOS[0], ToyDemo(13)]))
    assert data[25].instruction == INSTRUCTION
    assert data.label_use.unequal_lengths == [f"libero_goal/{TASK}/episode_1: 13 labels for 12 timesteps"]


def test_late_samples_say_that_the_substep_is_over(store):
    data = dataset(store, late_steps=2)
    assert len(data) == 32 + 2 * 2
    late = [data[i] for i in range(len(data)) if not data[i].mask.any()]
    assert len(late) == 4
    assert {sample.instruction for sample in late} == {"pick up the bowl"}
    assert all(sample.eos_labels[:, 0].tolist() == [1, 0, 0, 0] for sample in late)


def test_timesteps_around_the_gripper_moves_are_shown_more_often(store):
    once, thrice = dataset(store), dataset(store, gripper_copies=3, gripper_steps=2)
    for number, demo in enumerate(DEMOS):
        moves = np.flatnonzero(np.diff(np.sign(demo.actions[:, -1]))) + 1
        near = {step for move in moves for step in range(move - 2, move + 2)}
        shown = Counter(int(step) for episode, step, _ in thrice._index if episode == number)
        assert near and shown == {step: 3 if step in near else 1 for step in range(len(demo.actions))}
    assert len(once) == 32


def test_a_suite_can_be_shown_more_often(store):
    once, twice = dataset(store), dataset(store, suite_copies={"libero_goal": 2})
    assert Counter(map(tuple, twice._index)) == {tuple(row): 2 for row in once._index}
    np.testing.assert_array_equal(twice.training_actions(), once.training_actions())  # statistics stay as they are


def test_a_collection_can_be_shown_more_often(tmp_path: Path):
    for name, demo in zip(("plain", "novice"), DEMOS, strict=True):
        write_hdf5(tmp_path / name / "libero_goal", [demo])
    sources = (
        LiberoHdf5Source(path=tmp_path / "plain"),
        LiberoHdf5Source(path=tmp_path / "novice", collection="novice"),
    )
    store, episodes = open_store(DataConfig(sources=sources, cache=tmp_path / "cache"), FORMAT)
    labels = {"": true_labels(DEMOS[:1]), "novice": true_labels(DEMOS[1:])}
    once = SubstepDataset(store, labels, SampleRules(), episodes, C)
    rules = SampleRules(suite_copies={"libero_goal": 2}, collection_copies={"novice": 3})
    often = SubstepDataset(store, labels, rules, episodes, C)
    assert Counter(map(tuple, often._index)) == {tuple(row): 6 if row[0] else 2 for row in once._index}


def test_something_unknown_to_show_more_often_is_an_error(store):
    with pytest.raises(ValueError, match=r"suite_copies names \['libero_ten'\].*\['libero_goal'\]"):
        dataset(store, suite_copies={"libero_ten": 2})
    with pytest.raises(ValueError, match="suite_copies.libero_goal is 0, must be 1 or more"):
        SampleRules(suite_copies={"libero_goal": 0})
    with pytest.raises(ValueError, match=r"collection_copies names \['novice'\], the demonstrations are of \[''\]"):
        dataset(store, collection_copies={"novice": 3})


def test_shares_say_how_much_of_the_samples_a_suite_and_its_tasks_are(tmp_path: Path):
    for suite, lengths in {"libero_goal": (10, 20), "libero_10": (5, 5)}.items():
        for number, length in enumerate(lengths):
            write_hdf5(tmp_path / "demos" / suite, [ToyDemo(length)], task=f"task_{number}")
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], ROBOT, report), report)
    rules = SampleRules(suite_copies={"libero_10": 2}, use_substep_decomposition=False)
    shares = SubstepDataset(store, {"": SubstepLabels()}, rules, store.episodes, C).shares()
    assert shares == {
        "libero_10": pytest.approx((0.4, 0.2, 0.2)),
        "libero_goal": pytest.approx((0.6, 0.2, 0.4)),
    }


def test_disturbances_are_no_samples_and_mask_what_comes_after_them(tmp_path: Path):
    path = write_hdf5(tmp_path / "demos/libero_goal", DEMOS[:1])
    with h5py.File(path, "a") as file:
        file["data/demo_0/taught"] = np.arange(20) // 2 != 3  # timesteps 6 and 7 are disturbed
        file["data/demo_0/taught_actions"] = DEMOS[0].actions / 2
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], ROBOT, report), report)
    data = SubstepDataset(store, {"": true_labels(DEMOS)}, SampleRules(), store.episodes, C)
    assert len(data) == 18
    assert data[4].mask.tolist() == [True, True, False, False] and data[6].mask.tolist() == [True, True, True, False]
    np.testing.assert_allclose(data[0].actions, DEMOS[0].actions[:4] / 2, atol=1e-6)


@given(st.integers(2, 6), st.permutations(range(12)))
def test_held_out_episodes_are_the_same_in_any_order(every, order):
    episodes = [StoredEpisode("s", f"t{n % 3}", f"episode_{n}", "i", 0, 1) for n in range(12)]
    training, held_out = split_episodes([episodes[i] for i in order], every)
    again = split_episodes(episodes, every)[1]
    assert {e.key for e in held_out} == {e.key for e in again}
    assert len(training) + len(held_out) == 12 and len(held_out) == 3 * (4 // every)


@pytest.mark.parametrize(("every", "held_out"), [(3, "2 episodes of 1 of 1 tasks"), (7, "0 episodes of 0 of 1 tasks")])
def test_tasks_of_which_nothing_is_held_out_are_counted(toy_run, caplog, every: int, held_out: str):
    caplog.set_level("INFO", "training")
    prepare_data(toy_run(f"data.held_out_every={every}"))
    assert f"held out: {held_out}" in caplog.text
    assert ("no demonstration of 1 tasks is held out" in caplog.text) == (every == 7)
