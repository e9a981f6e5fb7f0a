"""π0.5 through the training loop at toy size: each mode trains its part, and its checkpoints run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from substep_cli.grammar import main
from substep_core.configuration import dump
from substep_core.named_substep import TASK_DONE
from substep_policy.benchmarks.random_models import random_observation
from substep_policy.heads import EOSHeadConfig
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer
from substep_policy.models.model import EosDetection
from substep_policy.models.pi05.config import Conditioning, GemmaTokens
from substep_policy.models.pi05.model import build_pi05
from substep_policy.models.pi05.vision import Convolution, ToldTokens
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.run_modes import Execution
from tests.pi05.toy import toy_config
from tests.training.checkpoints import assert_same, weights
from training.checkpoints.words import word_scores
from training.data.frame_cache import StoreError
from training.train import finetune_substep
from training.train.config import FinetuneConfig, read_config
from training.train.finetune_substep import finetune, start, train_step

WORDS_ALONE = [
    "objective={mode: words}",
    "eos={mode: none}",
    "model.eos_head=null",
    "model.eos={source: none, threshold: null}",
]
NO_EOS = WORDS_ALONE[1:]
VLM = ("backbone.vision_tower.", "backbone.projector.", "backbone.language_model.")


@pytest.fixture
def pi05_run(large_run) -> Callable[..., FinetuneConfig]:
    """``pi05_run("steps=3", …)``: the configuration of a run on four short demonstrations."""
    tokens = GemmaTokens(pad=0, eos=1, bos=1)  # of a tokenizer that is made of the plans' words
    config = toy_config(vocabulary_size=1024, tokens=tokens)
    config = dataclasses.replace(config, eos_head=EOSHeadConfig(hidden_dim=16), eos=EosDetection())
    data = {"rules": {"late_steps": 2}}
    return large_run(dump(config), data, objective={"mode": "hierarchical"}, steps=2, log_every=1, save_every=1)


def test_words_actions_and_eos_are_learned_and_the_checkpoint_runs(pi05_run, tmp_path, capsys):
    """Also exactly resumed: two steps at once are a step, a stop and a step."""
    whole = finetune(pi05_run())
    finetune(pi05_run("steps=1", f"out={tmp_path / 'parts'}"))
    assert_same(weights(finetune(pi05_run(f"out={tmp_path / 'parts'}"))), weights(whole))
    out = tmp_path / "shipped"
    assert main(["checkpoint", "export", str(whole), "--out", str(out)]) == 0
    assert main(["checkpoint", "inspect", str(out)]) == 0
    assert "complete: it can be loaded" in capsys.readouterr().out
    policy = POLICIES.load(str(out), PolicySettings(device="cpu"))
    seen = random_observation(policy.robot, policy.cameras, 40)
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    chunk = policy.predict(seen)
    assert np.isfinite(chunk.actions).all() and len(chunk.eos_probabilities) == policy.horizon
    assert 0.0 < policy.next_substep(seen, "put the bowl on the plate").probability <= 1.0


@pytest.mark.parametrize(
    ("overrides", "language", "expert"),
    [(["objective={mode: actions}"], False, True), (WORDS_ALONE, True, False), ([], True, True)],
    ids=["actions", "words", "hierarchical"],
)
def test_a_mode_trains_its_own_part(pi05_run, overrides, language, expert):
    run = start(pi05_run(*overrides))
    before = {name: weight.detach().clone() for name, weight in run.objective.model.named_parameters()}
    report = train_step(run, [run.stream.batch(0)])
    changed = {name for name, weight in run.objective.model.named_parameters() if not torch.equal(weight, before[name])}
    assert any(name.startswith(VLM) for name in changed) is language
    assert any(not name.startswith(VLM) for name in changed) is expert
    parts = report.losses.parts
    assert ("text" in parts, "action" in parts) == (language, expert)
    if language and expert:
        expected = parts["text"] + 10.0 * parts["action"] + run.config.eos.lambda_eos * parts["eos"]
        assert report.losses.total.item() == pytest.approx(expected, rel=1e-5)


def test_what_is_to_be_said_is_the_plans_next_substep(pi05_run):
    """Also where the ended one is shown with its EOS, and in the plan's own words whatever the other prompt says."""
    run = start(pi05_run())
    data, inputs = run.data.training, run.data.inputs
    samples = [data[number] for number in range(len(data))]
    late = [sample for sample in samples if not sample.mask.any()]
    assert late and all(sample.next_substep != sample.instruction for sample in late)
    batch = inputs.text(late)
    for row, sample in enumerate(late):
        said = batch["task_input_ids"][row][batch["task_attention_mask"][row]][batch["task_answer_start"][row] :]
        assert said[-1] == 1 and inputs.tokenizer.decode(said[:-1].tolist()).strip() == sample.next_substep
    silent = dataclasses.replace(late[0], next_substep="")
    assert inputs.text([silent, late[0]])["answer_counts"].tolist() == [False, True]


@pytest.mark.parametrize("conditioning", list(Conditioning))
def test_words_that_a_policy_would_be_cut_off_in_are_not_taught(pi05_run, conditioning):
    run = start(pi05_run("model.backbone.prompt.max_answer_tokens=3", f"model.backbone.conditioning={conditioning}"))
    data = run.data.training
    samples = [data[number] for number in range(len(data))]
    with pytest.raises(
        ValueError, match=r"the words '.*' have \d+ tokens with their end, and a policy says at most 3: "
    ):
        run.data.inputs.text(samples)


def test_a_joint_prompt_teaches_only_words_that_come_next(pi05_run):
    run = start(pi05_run(f"model.backbone.conditioning={Conditioning.JOINT.value}"))
    data = run.data.training
    samples = [data[number] for number in range(len(data))]
    batch = run.data.inputs.text(samples)
    taught = [sample.next_substep in (sample.instruction, TASK_DONE) for sample in samples]
    assert batch["answer_counts"].tolist() == taught and not all(taught)
    assert "task_input_ids" not in batch
    assert train_step(run, [run.stream.batch(0)]).losses.text is not None


def fast_tokens(pi05_run, tmp_path) -> str:
    """Fit FAST tokens to the run's data; -> the folder."""
    pi05_run()
    out = tmp_path / "tokens"
    if not out.exists():
        command = ["train", "action-tokenizer", str(tmp_path / "large.yaml"), "--type", "fast", "--out", str(out)]
        assert main([*command, "--scale", "3", "--vocabulary-size", "100"]) == 0
    return str(out)


def test_words_and_action_tokens_are_taught_to_vision_and_language_alone(pi05_run, tmp_path):
    """The checkpoint is a π0.5 as any other, whose expert is then taught to act."""
    folder = fast_tokens(pi05_run, tmp_path)
    mode = f"objective={{mode: words_and_action_tokens, tokens: {{action_tokenizer: {folder}, skipped: 0}}}}"
    run = start(pi05_run(mode, *NO_EOS))
    before = {name: weight.detach().clone() for name, weight in run.objective.model.named_parameters()}
    parts = train_step(run, [run.stream.batch(0)]).losses.parts
    changed = {name for name, weight in run.objective.model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed and all(name.startswith(VLM) for name in changed)
    assert parts["text"] > 0 and parts["action"] > 0
    assert run.data.inputs.tokenizer.size <= 1024 - 100, "words leave room for actions"
    last = finetune(pi05_run(mode, *NO_EOS))
    policy = POLICIES.load(str(last), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    assert np.isfinite(policy.predict(random_observation(policy.robot, policy.cameras, 40)).actions).all()
    with pytest.raises(ValueError, match="objective mode is 'words_and_action_tokens', which has no states of actions"):
        pi05_run(mode)


def test_action_tokens_act_alone(pi05_run, tmp_path):
    """Trained two steps, kept whole in the checkpoint, and said by the policy; without the folder they came from."""
    folder = fast_tokens(pi05_run, tmp_path)
    head = f"model.action_head={{type: fast, action_tokenizer: {folder}, skipped: 0}}"
    last = finetune(pi05_run(head, "objective={mode: hierarchical, alpha: 1}", *NO_EOS))
    (tmp_path / "tokens").rename(tmp_path / "gone")
    policy = POLICIES.load(str(last), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    chunk = policy.predict(random_observation(policy.robot, policy.cameras, 40))
    assert chunk.actions.shape == (policy.horizon, 7) and chunk.eos_index == -1
    with pytest.raises(ValueError, match="execution is 'compiled'"):
        POLICIES.load(str(last), PolicySettings(device="cpu", execution=Execution.COMPILED))


def test_action_tokens_find_the_end_of_a_substep(pi05_run, tmp_path):
    """By an EOS head that is trained beside them, kept, and asked by the policy."""
    head = f"model.action_head={{type: fast, action_tokenizer: {fast_tokens(pi05_run, tmp_path)}, skipped: 0}}"
    config = pi05_run(head, "objective={mode: hierarchical, alpha: 1}")
    run = start(config)
    assert train_step(run, [run.stream.batch(0)]).losses.parts["eos"] > 0
    policy = POLICIES.load(str(finetune(config)), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    chunk = policy.predict(random_observation(policy.robot, policy.cameras, 40))
    assert len(chunk.eos_probabilities) == policy.horizon and (chunk.eos_probabilities > 0).all()


def test_a_checkpoint_is_measured_by_the_words_it_names(pi05_run, tmp_path, capsys, monkeypatch):
    """All frames just after an end and the last ones count; the log of the training says the same shares."""
    folder = finetune(pi05_run("data.held_out_every=2", "validation_batches=7"))
    scores = word_scores(folder, every=1)
    assert [score.suite for score in scores] == ["libero_goal", "all"]
    whole = scores[-1]
    assert (whole.frames, whole.frames_done) == (24, 2), "two demonstrations of twelve timesteps"
    assert whole.frames_after_end == 2 * 5, "what is left after a substep of seven timesteps"
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    assert main(["checkpoint", "words", str(folder), "--every", "6", "--json", str(tmp_path / "words.json")]) == 0
    assert main(["checkpoint", "calibrate", str(folder), "--threads", "2"]) == 0
    assert threads == [1, 2]
    assert "just after an end" in capsys.readouterr().out
    assert json.loads((tmp_path / "words.json").read_text())[-1]["frames_after_end"] == 10
    assert "held_out/words_right_after_end" in (tmp_path / "run/train.log").read_text()


def test_the_last_timestep_says_that_the_task_is_done(pi05_run):
    run = start(pi05_run("data.rules.done_copies=3"))
    data, inputs = run.data.training, run.data.inputs
    done = [data[number] for number in range(len(data)) if data[number].next_substep == TASK_DONE]
    assert len(done) == 4 * (1 + 3), "the last timestep of each demonstration, and its copies"
    assert all(sample.instruction == "place the bowl on the plate" for sample in done)
    ids = inputs.text(done[:1])
    row = ids["task_input_ids"][0][ids["task_attention_mask"][0]][ids["task_answer_start"][0] :]
    assert inputs.tokenizer.decode(row[:-1].tolist()).strip() == TASK_DONE


def test_the_small_configuration_is_small():
    file = Path(finetune_substep.__file__).parents[1] / "configs/pi05_small.yaml"
    config = read_config(file)
    with torch.device("meta"):
        model = build_pi05(config.checkpoint_model())
    parameters = sum(weight.numel() for weight in model.parameters())
    assert f"({parameters / 1e6:.0f} M parameters)" in file.read_text() and parameters < 25e6


CONVOLUTION = [  # of the compact policy that ships
    "model.backbone.vision={type: convolution}",
    "model.backbone.image_size=128",
    "model.backbone.render_size=128",
]


def test_a_convolution_starts_from_a_compact_policys_and_learns(pi05_run, caplog):
    run = start(pi05_run(*CONVOLUTION, "initial_vision=compact"))
    assert "vision starts from compact" in caplog.text
    tower, model = run.objective.model.backbone.vision_tower, run.objective.model
    _, compact = CHECKPOINTS.load(POLICIES.folder("compact"))
    pixels = torch.rand(1, 2, 3, 128, 128) * 2 - 1
    points, patches = compact.backbone.image_tokens(pixels, torch.zeros(1, 256))
    tokens = tower.tokens(pixels, None)
    assert tokens.shape == (1, 2 * (1 + 16), 256)
    torch.testing.assert_close(tokens[:, :2], points)
    corner = patches.unflatten(2, (8, 8))[0, 1, :2, :2].mean(dim=(0, 1))  # the second camera's first patch
    torch.testing.assert_close(tokens[0, 2 + 16], corner)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train_step(run, [run.stream.batch(0)])
    unchanged = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert not any("vision_tower" in name for name in unchanged - {"backbone.vision_tower.keypoints.score.bias"})


TOLD = [
    *CONVOLUTION[1:],
    "initial_vision=compact",
    "model.backbone.vision={type: convolution, folding: stack, told: {}}",
]
FROZEN = [*TOLD, "freeze_vision=true", "data.augmentation=null", "data.paraphrase_probability=0"]


def test_a_convolution_told_words_sees_what_the_compact_policy_sees(pi05_run):
    """Its tokenizer reads the plans' words as the compact policy's, and every number as one token."""
    run = start(pi05_run(*TOLD, "data.paraphrase_probability=0"))
    backbone, inputs, data = run.objective.model.backbone, run.data.inputs, run.data.training
    _, compact = CHECKPOINTS.load(POLICIES.folder("compact"))
    reader = InstructionTokenizer.load(POLICIES.folder("compact") / "tokenizer.json", 32)
    samples = [data[0], data[11]]
    batch = run.data.transform(samples)
    texts = {"": [sample.instruction for sample in samples], "task_": [sample.task for sample in samples]}
    for level, said in texts.items():
        ids, mask = (torch.from_numpy(array) for array in reader.encode(said))
        assert torch.equal(batch[f"{level}told_ids"], ids) and torch.equal(batch[f"{level}told_mask"], mask)
        points, patches = compact.backbone.image_tokens(
            batch["pixel_values"], compact.backbone.text_encoder(ids, mask).summary
        )
        tokens = backbone.vision_tower.tokens(batch["pixel_values"], ToldTokens(ids, mask))
        torch.testing.assert_close(tokens[:, :2], points)
        corner = patches.unflatten(2, (8, 8))[:, 1, :2, :2].mean(dim=(1, 2))  # a new fold begins as the mean
        torch.testing.assert_close(tokens[:, 2 + 16], corner)
    assert not torch.equal(batch["told_ids"], batch["task_told_ids"])
    number, *rest = inputs.tokenizer.encode("132")
    assert not rest and inputs.tokenizer.tokenizer.id_to_token(number) == "Ġ132"
    assert inputs.tokenizer.decode(inputs.tokenizer.encode(TASK_DONE)).strip() == TASK_DONE


def test_near_numbers_of_the_proprioception_begin_alike_where_each_is_a_token(pi05_run):
    run = start(pi05_run(*TOLD, "data.paraphrase_probability=0"))
    language_model, tokenizer = run.objective.model.backbone.language_model, run.data.inputs.tokenizer
    numbers = torch.tensor([tokenizer.encode(str(number)) for number in range(256)])
    embedded = language_model.embed(numbers).squeeze(1)
    torch.testing.assert_close(embedded.square().mean(dim=1), torch.ones(256))  # of unit size, as words
    alike = torch.cosine_similarity(embedded[:-1], embedded[1:])
    assert alike.min() > 0.8 and torch.cosine_similarity(embedded[:1], embedded[128:]).max() < alike.min()


def test_what_a_frozen_vision_sees_is_computed_once(pi05_run, monkeypatch):
    """Losses are those with images, the image network is left alone, and the next run looks at no frame again."""
    run = start(pi05_run(*FROZEN, "data.rules.words_every=3"))
    model, data = run.objective.model, run.data.training
    numbers = run.stream._indices(0)
    seen, with_frames = run.stream.batch(0), start(pi05_run(*TOLD, *FROZEN[-2:], "data.rules.words_every=3")).data
    assert all(data[number].frame is None for number in numbers)
    shown = with_frames.transform([with_frames.training[number] for number in numbers])
    assert "pixel_values" not in seen and 0 < int(seen["answer_counts"].sum()) < len(numbers)
    losses = []
    for batch in (seen, shown):
        torch.manual_seed(0)
        losses.append(run.objective(batch).total)
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train_step(run, [seen])
    unchanged = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    tower = {name for name in before if name.startswith("backbone.vision_tower.")}
    looking = ("vision_encoder.", "text_encoder.", "keypoints.", "camera_embedding")
    assert unchanged & tower == {name for name in tower if name.split(".", 2)[2].startswith(looking)}
    monkeypatch.setattr(Convolution, "features", None)
    torch.testing.assert_close(start(pi05_run(*FROZEN, "data.rules.words_every=3")).stream.batch(0), seen)


def test_a_run_with_frozen_vision_goes_on_and_its_policy_looks_for_what_it_is_told(pi05_run, tmp_path):
    """Exactly as if it had not been stopped; the same scene and noise under another substep is another chunk."""
    whole = finetune(pi05_run(*FROZEN, f"out={tmp_path / 'whole'}"))
    finetune(pi05_run(*FROZEN, "steps=1"))
    parts = finetune(pi05_run(*FROZEN))
    assert_same(weights(parts), weights(whole))
    policy = POLICIES.load(str(parts), PolicySettings(device="cpu"))
    seen = random_observation(policy.robot, policy.cameras, 128)
    chunks = []
    for substep in ("pick up the bowl", "place the bowl on the plate"):
        torch.manual_seed(0)
        policy.start_substep(substep, "put the bowl on the plate")
        chunks.append(policy.predict(seen).actions)
    assert np.isfinite(chunks).all() and not np.array_equal(*chunks)
    assert 0.0 < policy.next_substep(seen, "put the bowl on the plate").probability <= 1.0


def test_features_of_another_vision_or_of_other_words_are_refused(pi05_run, tmp_path):
    start(pi05_run(*FROZEN))
    file = tmp_path / "cache/image_features/features.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2 + 1])
    start(pi05_run(*FROZEN))
    assert file.read_bytes() == whole, "what an interruption left out is added"
    with pytest.raises(StoreError, match="holds features of other looks: delete it"):
        start(pi05_run(*FROZEN, "data.rules.words_every=3"))
    with pytest.raises(StoreError, match="holds features of other image network"):
        start(pi05_run(*(override for override in FROZEN if override != "initial_vision=compact")))
    origin = json.loads((file.parent / "origin.json").read_text())
    assert origin["precision"] == "no"
    for name in ("precision", "tokenizer"):
        (file.parent / "origin.json").write_text(json.dumps({**origin, name: "another"}))
        with pytest.raises(StoreError, match=f"holds features of other {name}: delete it"):
            start(pi05_run(*FROZEN))
    (file.parent / "origin.json").write_text(json.dumps(origin))
    with pytest.raises(ValueError, match="set data.augmentation to null"):
        pi05_run(*TOLD, "freeze_vision=true")
    with pytest.raises(ValueError, match="set data.paraphrase_probability to 0, it is 0.5"):
        pi05_run(*FROZEN[:-1])
    with pytest.raises(ValueError, match="is for model.backbone.vision of type convolution"):
        pi05_run("freeze_vision=true")
    with pytest.raises(ValueError, match="expected conditioning 'subtask'"):
        pi05_run(*TOLD, "model.backbone.conditioning=joint")


def test_a_vision_that_cannot_be_taken_over_is_refused(pi05_run, toy_run):
    with pytest.raises(ValueError, match="vision is a siglip: expected a convolution"):
        pi05_run("initial_vision=compact")
    with pytest.raises(ValueError, match="it is for the convolution of a π0.5, and model is compact"):
        toy_run("initial_vision=compact")
    with pytest.raises(ValueError, match="a vision of its own: one of them"):
        pi05_run(*CONVOLUTION, "initial_vision=compact", "initial_checkpoint=compact")
    with pytest.raises(ValueError, match=r"whose .* is \(.*\) and the model's \(.*\): give model.backbone.vision"):
        start(
            pi05_run(*CONVOLUTION[1:], "model.backbone.vision={type: convolution, width: 64}", "initial_vision=compact")
        )
    with pytest.raises(ValueError, match="image_size 72 is no multiple of 32"):
        pi05_run(*CONVOLUTION, "model.backbone.image_size=72")


def test_frames_of_another_size_than_the_policy_sees_are_refused(pi05_run, tmp_path):
    source = f"data.sources=[{{type: libero_hdf5, path: {tmp_path / 'demos'}, render_size: 128}}]"
    with pytest.raises(ValueError, match="set render_size of the source to 256"):
        pi05_run(source)
    pi05_run(source, *CONVOLUTION)


@pytest.mark.parametrize("mode", [[], WORDS_ALONE], ids=["hierarchical", "words"])
def test_words_are_not_taught_by_demonstrations_that_have_none(pi05_run, mode):
    with pytest.raises(ValueError, match="mode is '.*', and none of 4 demonstrations has substep labels to take words"):
        start(pi05_run(*mode, "data.labels=null"))


def test_what_a_model_cannot_be_taught_is_refused(pi05_run, toy_run):
    with pytest.raises(ValueError, match="objective mode is 'hierarchical', and compact says no words"):
        toy_run("objective={mode: hierarchical}")
    with pytest.raises(ValueError, match="eos mode must be 'none' and is 'direct'"):
        pi05_run("objective={mode: words}")
    with pytest.raises(ValueError, match="lora is for the openvla backbone"):
        pi05_run("lora={rank: 4}")
