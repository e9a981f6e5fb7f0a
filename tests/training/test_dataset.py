"""From stored demonstrations to batches: instructions, EOS labels, masks, order."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from substep_policy.action_tokens import ActionTokenizer
from tests.training.toy import INSTRUCTION, TASK, ToyDemo, true_labels, write_hdf5
from training.augmentation import Augmentation
from training.config import DataConfig
from training.data import load_labels, open_store, prepare_data
from training.dataset import SampleRules, SubstepDataset, split_episodes
from training.demonstrations import (
    DemonstrationError,
    LiberoHdf5Source,
    ReadReport,
    libero_hdf5,
    read_demonstrations,
)
from training.demonstrations.orientation import ImageOrientation
from training.frame_file import FrameFile
from training.labels import SubstepLabels
from training.paraphrases import MOTIONS, Paraphrases, held_out_wordings, training_wordings
from training.store import DemonstrationStore, StoredEpisode, StoreError, StoreFormat
from training.transform import BatchStream, action_token_sequences

DEMOS = [ToyDemo(20, seed=1), ToyDemo(12, seed=2)]
FORMAT = StoreFormat(("agentview", "eye_in_hand"), 16)
C = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> DemonstrationStore:
    folder = tmp_path_factory.mktemp("store")
    write_hdf5(folder / "demos/libero_goal", DEMOS)
    store = DemonstrationStore(folder / "cache", FORMAT)
    report = ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=folder / "demos")], report), report)
    return store


def dataset(store: DemonstrationStore, labels: SubstepLabels | None = None, **rules) -> SubstepDataset:
    labels = true_labels(DEMOS) if labels is None else labels
    return SubstepDataset(store, {"": labels}, SampleRules(**rules), store.episodes, C)


def test_the_same_demonstration_from_two_sources_is_refused_unless_they_are_told_apart(tmp_path: Path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, demo in zip(folders, DEMOS, strict=True):
        write_hdf5(folder / "libero_goal", [demo])
    with pytest.raises(DemonstrationError, match="episode_0 is in .*one.* and in .*other.*`collection`"):
        list(read_demonstrations([LiberoHdf5Source(path=folder) for folder in folders], ReadReport()))
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
    data = SubstepDataset(store, labels, SampleRules(), store.episodes, C)
    assert data.label_use.labelled_episodes == 1
    assert data.label_use.unlabelled_episodes == [f"novice:libero_goal/{TASK}/episode_0"]
    with pytest.raises(ValueError, match="'novice' and has no labels, and data.labels.*give it labels"):
        load_labels(DataConfig(sources=sources, cache=tmp_path, labels=tmp_path / "labels.json"))
    with pytest.raises(ValueError, match="collection '' has labels"):
        load_labels(DataConfig(sources=(sources[0], LiberoHdf5Source(path=folders[1])), cache=tmp_path))


def test_the_store_holds_what_the_demonstrations_hold(store):
    actions, proprio, taught = store.steps()
    np.testing.assert_allclose(actions, np.concatenate([demo.actions for demo in DEMOS]), atol=1e-6)
    np.testing.assert_allclose(proprio, np.concatenate([demo.proprio for demo in DEMOS]))
    expected = np.concatenate([np.stack([d.frames[c] for c in FORMAT.cameras], axis=1) for d in DEMOS])
    assert taught.all() and np.array_equal(store.frames(), expected)


def test_a_file_of_frames_that_was_cut_short_is_noticed(tmp_path: Path):
    path = tmp_path / "frames.bin"
    path.write_bytes(bytes(range(24)))
    frames = FrameFile(path, (2, 3), 4)
    assert frames[3].tolist() == [[18, 19, 20], [21, 22, 23]]
    with pytest.raises(IndexError, match="frame 4 of .*frames.bin, which has 4"):
        frames[4]
    path.write_bytes(bytes(20))
    with pytest.raises(OSError, match="ends in frame 3, expected 4 frames"):
        frames[3]


def test_a_store_is_extended_and_not_built_again(store):
    before = store.length
    report = ReadReport()
    again = DemonstrationStore(store.folder, FORMAT)
    again.extend(read_demonstrations([LiberoHdf5Source(path=store.folder.parent / "demos")], report), report)
    assert again.length == before


@pytest.mark.parametrize("file", ["frames.bin", "steps.bin", "index.jsonl"])
def test_an_interrupted_store_goes_on_after_the_last_whole_demonstration(tmp_path: Path, file: str):
    write_hdf5(tmp_path / "demos/libero_goal", DEMOS)

    def build() -> DemonstrationStore:
        opened, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
        opened.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], report), report)
        return opened

    whole = build()
    frames = np.array(whole.frames())
    with (tmp_path / "cache" / file).open("ab") as unfinished:
        unfinished.write(b'{"suite": "li')
    resumed = build()
    assert resumed.length == whole.length and np.array_equal(resumed.frames(), frames)


def test_a_cache_of_other_demonstrations_of_the_same_names_is_refused(store, tmp_path: Path):
    write_hdf5(tmp_path / "libero_goal", [ToyDemo(20, seed=7)])
    report = ReadReport()
    with pytest.raises(StoreError, match="holds another libero_goal/.*/episode_0 than .*data/demo_0, with .*: delete"):
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path)], report), report)


@pytest.mark.parametrize(
    ("changed", "named"),
    [("instruction", "'put the bowl on the stove'"), ("proprioception", "proprioception"), ("taught", "taught steps")],
)
def test_a_cache_of_demonstrations_that_differ_in_more_than_actions_is_refused(
    store, tmp_path: Path, changed: str, named: str
):
    path = write_hdf5(tmp_path / "libero_goal", DEMOS[:1])
    with h5py.File(path, "a") as file:
        if changed == "instruction":
            file["data"].attrs["problem_info"] = json.dumps({"language_instruction": "put the bowl on the stove"})
        elif changed == "proprioception":
            file["data/demo_0/obs/ee_pos"][3] += 0.01
        else:
            file["data/demo_0/taught"] = np.arange(20) != 3
    report = ReadReport()
    with pytest.raises(StoreError, match=f"holds another .*, with .*{named}.*: delete"):
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path)], report), report)


def test_frames_of_another_orientation_are_not_taken_for_these(store):
    demos, report = store.folder.parent / "demos", ReadReport()
    source = LiberoHdf5Source(path=demos, orientation=ImageOrientation.UPRIGHT)
    with pytest.raises(StoreError, match="frames of orientation opengl, there they are of orientation upright: "):
        store.extend(read_demonstrations([source], report), report)
    # They are in the file and not rendered, so at which size they would be changes nothing.
    store.extend(read_demonstrations([LiberoHdf5Source(path=demos, render_size=64)], report), report)


def test_frames_rendered_at_another_size_are_not_taken_for_these(tmp_path: Path, monkeypatch):
    with h5py.File(write_hdf5(tmp_path / "demos/libero_goal", DEMOS[:1]), "a") as file:
        for camera in FORMAT.cameras:
            del file[f"data/demo_0/obs/{camera}_rgb"]
    monkeypatch.setattr(libero_hdf5, "_render_frames", lambda *call: DEMOS[0].frames)
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    for size in (16, 16):  # the second time from the cache
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos", render_size=size)], report), report)
    with pytest.raises(StoreError, match="frames of render_size 16, there they are of render_size 32: "):
        store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos", render_size=32)], report), report)


def test_an_index_that_says_nothing_of_the_frames_is_still_read(store, tmp_path: Path):
    cache = shutil.copytree(store.folder, tmp_path / "cache")
    header, *lines = [json.loads(line) for line in (cache / "index.jsonl").read_text().splitlines()]
    for line in lines:
        del line["frame_origin"]
    (cache / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    source = LiberoHdf5Source(path=store.folder.parent / "demos", orientation=ImageOrientation.UPRIGHT)
    opened, report = DemonstrationStore(cache, FORMAT), ReadReport()
    assert len(opened.extend(read_demonstrations([source], report), report)) == len(DEMOS)


def test_a_store_of_another_size_is_refused(store):
    with pytest.raises(StoreError, match='built with.*"image_size": 16.*"image_size": 32'):
        DemonstrationStore(store.folder, StoreFormat(FORMAT.cameras, 32))


def test_damaged_frames_are_counted(tmp_path: Path):
    broken = ToyDemo(6)
    broken.frames = {"agentview": broken.frames["agentview"][:3], "eye_in_hand": broken.frames["eye_in_hand"]}
    write_hdf5(tmp_path / "demos/libero_goal", [broken, DEMOS[1]])
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], report), report)
    assert [episode.episode for episode in store.episodes] == ["episode_1"]
    assert "3 frames for 6 actions" in report.skipped[0]


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
        from training.labels import labels_from_boundaries

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
    np.testing.assert_allclose(data[18].actions[1:], np.tile(DEMOS[0].actions[19], (3, 1)), atol=1e-6)


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


def test_disturbances_are_no_samples_and_mask_what_comes_after_them(tmp_path: Path):
    path = write_hdf5(tmp_path / "demos/libero_goal", DEMOS[:1])
    with h5py.File(path, "a") as file:
        file["data/demo_0/taught"] = np.arange(20) // 2 != 3  # timesteps 6 and 7 are disturbed
        file["data/demo_0/taught_actions"] = DEMOS[0].actions / 2
    store, report = DemonstrationStore(tmp_path / "cache", FORMAT), ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=tmp_path / "demos")], report), report)
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
        "input_ids": ((8, 10), torch.int64),
        "attention_mask": ((8, 10), torch.bool),
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


def test_a_batch_larger_than_the_data_is_refused(toy_run):
    with pytest.raises(ValueError, match="batch_size is 100000, but there are only"):
        make_stream(toy_run, batch_size=100_000)


def test_a_chunk_with_a_boundary_is_closed_by_the_tokenizers_eos(toy_run):
    stream, _ = make_stream(toy_run)
    batch = stream.batch(0)
    tokenizer = ActionTokenizer(vocabulary_size=257, eos_token_id=0)
    boundaries = [labels.nonzero().flatten().tolist() for labels in batch["eos_labels"][..., 0]]
    assert any(boundaries) and not all(boundaries)
    for keep, length in ((False, lambda end: 7 * (end + 1) + 1), (True, lambda end: 7 * 4 + 1)):
        sequences = action_token_sequences(batch, tokenizer, use_substep_eos=True, keep_after_boundary=keep)
        for sequence, ends in zip(sequences, boundaries, strict=True):
            assert len(sequence) == (length(ends[0]) if ends else 28)
            assert (sequence == 0).tolist() == [False] * (len(sequence) - 1) + [bool(ends)]
    plain = action_token_sequences(batch, tokenizer, use_substep_eos=False)
    assert all(len(sequence) == 28 and (sequence > 0).all() for sequence in plain)


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


def test_every_shipped_subgoal_can_be_said_in_other_words():
    from substep_planner.decomposers.library import shipped_library

    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    subgoals = {step.instruction for plan in plans for step in plan.substeps}
    assert [subgoal for subgoal in subgoals if not held_out_wordings(subgoal)] == []
    assert len(MOTIONS) == 7


def test_an_instruction_without_a_known_motion_is_left_alone():
    assert training_wordings("sing a song") == ["sing a song"] and held_out_wordings("sing a song") == []
