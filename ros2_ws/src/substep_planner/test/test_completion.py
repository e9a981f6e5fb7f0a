"""Scorers on small models made here, debouncing, and the worker that feeds them."""

from __future__ import annotations

import io
import json
import queue
import shutil
import threading

import numpy as np
import open_clip
import pytest
import torch
from sentencepiece import SentencePieceTrainer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoModel,
    AutoProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
)
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from substep_core.errors import ErrorCode, PlanningError
from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_planner.completion.compact_model import load_completion_model
from substep_planner.completion.compact_scorer import shipped_model
from substep_planner.completion.debounce import Debounce
from substep_planner.completion.frame_scorer import FrameScorer, WatchSettings
from substep_planner.completion.registry import DEFAULT_SCORER, CompletionSettings, load_scorer
from substep_planner.completion.watcher import CompletionWatcher
from substep_planner.manager.events import FrameScored
from substep_policy.checkpoints.folder import CheckpointError

PATIENCE = 20.0
PLAN = (
    Substep("pick up the milk", "the gripper holds the milk in the air"),
    Substep("place the milk in the basket", "the milk is in the basket"),
)
IMAGES = [{"scene": np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)} for seed in range(2)]


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]", "[EOS]"])
    tokenizer.train_from_iterator([substep.expected_effect for substep in PLAN], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", model_max_length=16
    )


def make_sentencepiece(folder) -> SiglipTokenizer:
    """The kind of tokenizer that published SigLIP models have; it does not say how long texts may be."""
    model = io.BytesIO()
    texts = [substep.expected_effect for substep in PLAN]
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        minloglevel=2,
    )
    file = folder / "spiece.model"
    file.write_bytes(model.getvalue())
    return SiglipTokenizer(str(file), model_max_length=VERY_LARGE_INTEGER)


def siglip_sizes(tokenizer) -> dict:
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return {
        "vision_config": {**tower, "image_size": 32, "patch_size": 16},
        "text_config": {
            **tower,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "projection_size": 16,
            "pad_token_id": tokenizer.pad_token_id,
        },
    }


def make_siglip(folder) -> str:
    torch.manual_seed(0)
    tokenizer = make_sentencepiece(folder)
    SiglipModel(SiglipConfig(**siglip_sizes(tokenizer))).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return str(folder)


def make_siglip2(folder) -> str:
    """With images of any shape, and a tokenizer that hands out attention masks and puts padding first."""
    torch.manual_seed(0)
    words = sorted(set("abcdefghijklmnopqrstuvwxyz▁"))
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = Siglip2Tokenizer(vocab={word: i for i, word in enumerate([*special, *words])}, merges=[])
    sizes = siglip_sizes(tokenizer)
    sizes["vision_config"] |= {"num_patches": 16}
    Siglip2Model(Siglip2Config(**sizes)).save_pretrained(folder)
    Siglip2Processor(Siglip2ImageProcessor(patch_size=16, max_num_patches=16), tokenizer).save_pretrained(folder)
    return str(folder)


def make_open_clip(folder, bias: float | None = -10.0) -> str:
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    network = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {
            "context_length": 16, "vocab_size": len(tokenizer), "width": 16, "heads": 2, "layers": 1,
            "hf_tokenizer_name": str(folder), "no_causal_mask": True, "pool_type": "last",
        },
    }  # fmt: skip
    if bias is not None:
        network["init_logit_bias"] = bias
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": {**network, "custom_text": True}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(open_clip.model.CustomTextCLIP(**network).state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"


MODELS = [("transformers", make_siglip), ("transformers", make_siglip2), ("open_clip", make_open_clip)]


@pytest.mark.parametrize(("backend", "make"), MODELS)
def test_a_scorer_compares_the_frame_with_the_expected_effect(backend, make, tmp_path, caplog):
    model = make(tmp_path)
    scorer = load_scorer(backend, CompletionSettings(model, "cpu"))
    assert scorer.name == f"{backend}:{model}" and scorer.threshold == 0.25
    assert f"{scorer.name}: the completion threshold 0.25 is a default, nobody chose it" in caplog.text
    scorer.begin_plan(PLAN)
    scores = [[scorer.score(image, index) for index in range(2)] for image in IMAGES]
    assert all(-1.0 <= score <= 1.0 for row in scores for score in row)
    assert scores[0][0] != scores[0][1] and scores[0][0] != scores[1][0]
    assert scorer.score(IMAGES[0], 0) == scores[0][0]
    scorer.begin_plan(PLAN[::-1])
    assert scorer.score(IMAGES[0], 1) == pytest.approx(scores[0][0], abs=1e-6)


@pytest.mark.parametrize(("backend", "make"), MODELS)
def test_words_that_the_model_cannot_read_whole_are_not_scored(backend, make, tmp_path, caplog):
    """Cut, "… on the plate" and "… in the drawer" would be the same."""
    scorer = load_scorer(backend, CompletionSettings(make(tmp_path), "cpu"))
    long = Substep("place the milk", " ".join(["the milk is in the basket"] * 11))
    scorer.begin_plan([PLAN[0], long, PLAN[1]])
    assert scorer.score(IMAGES[0], 1) == 0.0 and "cannot read the words of substep 2 whole" in caplog.text
    scores = [scorer.score(IMAGES[0], index) for index in (0, 2)]
    scorer.begin_plan(PLAN)
    assert [scorer.score(IMAGES[0], index) for index in range(2)] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize(("backend", "make"), MODELS)
def test_the_sigmoid_is_the_models_own(backend, make, tmp_path):
    model = make(tmp_path)
    cosine = load_scorer(backend, CompletionSettings(model, "cpu"))
    sigmoid = load_scorer(backend, CompletionSettings(model, "cpu", "sigmoid"))
    assert sigmoid.threshold == 0.5
    for scorer in (cosine, sigmoid):
        scorer.begin_plan(PLAN)
    encoder = sigmoid._encoder
    logit = cosine.score(IMAGES[0], 0) * encoder.logit_scale + encoder.logit_bias
    assert sigmoid.score(IMAGES[0], 0) == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)


@pytest.mark.parametrize("make", [make_siglip, make_siglip2])
def test_the_transformers_scorer_agrees_with_the_model_as_a_whole(make, tmp_path):
    """As SigLIP was trained: texts padded to 64 tokens, and padding read like words."""
    model = make(tmp_path)
    scorer = load_scorer("transformers", CompletionSettings(model, "cpu", "sigmoid"))
    scorer.begin_plan(PLAN)
    processor, network = AutoProcessor.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    texts = [substep.expected_effect for substep in PLAN]
    inputs = processor(text=texts, images=IMAGES[0]["scene"], padding="max_length", max_length=64, return_tensors="pt")
    assert inputs["input_ids"].shape == (2, 64)
    inputs.pop("attention_mask", None)
    with torch.no_grad():
        expected = torch.sigmoid(network(**inputs).logits_per_image)[0]
    assert [scorer.score(IMAGES[0], index) for index in range(2)] == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_model_without_a_sigmoid_says_so(tmp_path):
    model = make_open_clip(tmp_path, bias=None)
    with pytest.raises(ValueError, match="was not trained with a sigmoid: use measure 'cosine'"):
        load_scorer("open_clip", CompletionSettings(model, "cpu", "sigmoid"))


def test_scorers_that_cannot_be_had_are_refused():
    assert load_scorer("none", CompletionSettings()) is None
    with pytest.raises(ValueError, match="unknown completion scorer 'crystal ball': expected one of compact"):
        load_scorer("crystal ball", CompletionSettings())
    with pytest.raises(ValueError, match="nowhere"):
        load_scorer("transformers", CompletionSettings("/nowhere/at/all", "cpu"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_scorer("open_clip", CompletionSettings("local-dir:/nowhere/at/all", "cpu"))


VIEWS = {
    camera: np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    for seed, camera in enumerate(("agentview", "eye_in_hand"))
}


def test_the_shipped_model_is_whole_small_and_calibrated():
    config, _, _ = load_completion_model(shipped_model())
    assert config.calibrated and 0.0 < config.threshold < 1.0
    assert sum(path.stat().st_size for path in shipped_model().iterdir()) < 20_000_000


def test_the_default_scorer_looks_through_both_cameras_and_reads_the_substep():
    scorer = load_scorer(DEFAULT_SCORER, CompletionSettings(device="cpu"))
    assert scorer.cameras == tuple(VIEWS)
    scorer.begin_plan(PLAN)
    scores = [scorer.score(VIEWS, index) for index in range(2)]
    assert all(0.0 <= score <= 1.0 for score in scores) and scores[0] != scores[1]
    swapped = dict(zip(VIEWS, reversed(VIEWS.values()), strict=True))
    assert scorer.score(VIEWS, 0) == scores[0] != scorer.score(swapped, 0)
    with pytest.raises(ValueError, match="needs camera eye_in_hand; there is .'agentview'."):
        scorer.score({"agentview": VIEWS["agentview"]}, 0)


def test_the_default_scorer_does_not_score_what_it_cannot_read_whole(caplog):
    scorer = load_scorer(DEFAULT_SCORER, CompletionSettings(device="cpu"))
    scorer.begin_plan(PLAN)
    before = scorer.score(VIEWS, 1)
    scorer.begin_plan([Substep("place the milk", "the milk is in the basket " * 10), PLAN[1]])
    assert scorer.score(VIEWS, 0) == 0.0 and "cannot read the words of substep 1 whole" in caplog.text
    assert scorer.score(VIEWS, 1) == before


def test_a_threshold_that_nobody_chose_is_told(tmp_path, caplog):
    shutil.copytree(shipped_model(), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"threshold": 0.5, "calibrated": False}))
    load_scorer("compact", CompletionSettings(device="cpu"))
    load_scorer("compact", CompletionSettings(str(tmp_path), "cpu", threshold=0.7))
    assert "threshold" not in caplog.text
    load_scorer("compact", CompletionSettings(str(tmp_path), "cpu"))
    assert f"compact:{tmp_path.name}: the completion threshold 0.5 is a default, nobody chose it" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", b"[]", "holds a JSON list, expected an object"),
        ("config.json", b'{"decoder_layers": 1000000}', "decoder_layers is 1000000"),
        ("config.json", b'{"image_size": 8}', "image_size is 8, must be at least 16 pixels"),
        ("config.json", b'{"cameras": ["scene"]}', "has shape"),
        ("tokenizer.json", b"{}", "not a tokenizer.json"),
        ("model.safetensors", b"short", "cannot be read"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(tmp_path, file, content, message):
    shutil.copytree(shipped_model(), tmp_path, dirs_exist_ok=True)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_scorer("compact", CompletionSettings(str(tmp_path), "cpu"))


def test_a_debounce_wants_frames_in_a_row():
    debounce = Debounce(threshold=0.5, frames=2)
    assert [debounce.update(score) for score in (0.5, 0.4, 0.6, 0.7, 0.8, 0.1)] == [0, 0, 0, 1, 1, 0]
    debounce.update(0.9)
    debounce.reset()
    assert not debounce.update(0.9)
    with pytest.raises(ValueError, match="frames is 0"):
        Debounce(0.5, 0)


class ScriptedScorer:
    """The score is the image's first value in tenths. An image of value 255 breaks it."""

    name = "scripted"
    cameras = ("agentview",)
    threshold = 0.5

    def __init__(self) -> None:
        self.plans = []
        self.gate = threading.Semaphore(1000)
        self.entered = threading.Semaphore(0)

    def begin_plan(self, substeps):
        self.plans.append(tuple(substeps))

    def score(self, images, index):
        self.entered.release()
        assert self.gate.acquire(timeout=PATIENCE)
        value = images["agentview"].flat[0]
        if value == 255:
            raise RuntimeError("out of memory")
        if value == 254:
            raise PlanningError(ErrorCode.BACKEND_FAILED, "nobody answers")
        return value / 10 + index


class Watch:
    """A watcher and what it said."""

    def __init__(self, **settings) -> None:
        self.scorer = ScriptedScorer()
        self.scored: queue.Queue[FrameScored] = queue.Queue()
        self.unanswered: queue.Queue[PlanningError] = queue.Queue()
        self.failures: queue.Queue[Exception] = queue.Queue()
        options = WatchSettings(**{"frames": 1, "rate": 1000.0, **settings})
        self.watcher = CompletionWatcher(self.scorer, options, self.scored.put, self.unanswered.put, self.failures.put)

    def frame(self, stamp: int, value: int) -> None:
        self.watcher.offer(stamp, lambda: {"agentview": np.full((1, 1, 3), value, np.uint8)})

    def next(self) -> FrameScored:
        return self.scored.get(timeout=PATIENCE)


@pytest.fixture
def watch(request):
    built = Watch(**getattr(request, "param", {}))
    yield built
    built.watcher.stop()


def key(index=0, attempt=0, plan="p") -> SubstepKey:
    return SubstepKey(plan, index, attempt)


def test_a_frame_that_gets_no_answer_is_told_and_the_next_one_is_scored(watch):
    watch.watcher.watch(key(), PLAN)
    watch.frame(1, 254)
    assert str(watch.unanswered.get(timeout=PATIENCE)) == "nobody answers"
    watch.frame(2_000_000, 4)
    assert watch.next().similarity == 0.4 and watch.failures.empty()


def test_frames_are_scored_for_the_substep_that_is_watched(watch):
    watch.frame(1, 9)  # nothing is watched yet
    watch.watcher.watch(key(), PLAN)
    watch.frame(2_000_000, 4)
    assert watch.next() == FrameScored(key(), 2_000_000, 0.4, False)
    watch.frame(4_000_000, 5)
    assert watch.next() == FrameScored(key(), 4_000_000, 0.5, True)
    watch.watcher.watch(key(1), PLAN)
    watch.frame(6_000_000, 2)
    assert watch.next() == FrameScored(key(1), 6_000_000, 1.2, True)
    assert watch.scorer.plans == [PLAN]
    watch.watcher.watch(key(plan="q"), PLAN[:1])
    watch.frame(8_000_000, 2)
    watch.next()
    assert watch.scorer.plans == [PLAN, PLAN[:1]]


def test_a_frame_that_is_no_image_is_left_out_and_the_next_is_scored(watch, caplog):
    """Anybody may publish on a camera's topic."""

    def no_image():
        seen.set()
        raise ValueError("image of camera 'agentview' has 1 bytes")

    seen = threading.Event()
    watch.watcher.watch(key(), PLAN)
    watch.watcher.offer(1_000_000, no_image)
    assert seen.wait(PATIENCE)
    watch.frame(3_000_000, 5)
    assert watch.next().stamp == 3_000_000 and watch.failures.empty()
    assert "a frame is not scored: image of camera 'agentview' has 1 bytes" in caplog.text


def test_only_the_newest_frame_is_scored(watch):
    watch.watcher.watch(key(), PLAN)
    watch.scorer.gate = threading.Semaphore(0)
    watch.frame(1_000_000, 1)
    assert watch.scorer.entered.acquire(timeout=PATIENCE)
    for stamp in range(2, 9):
        watch.frame(stamp * 1_000_000, stamp)
    watch.scorer.gate.release(2)
    assert [watch.next().stamp, watch.next().stamp] == [1_000_000, 8_000_000]


@pytest.mark.parametrize("watch", [{"rate": 5.0}], indirect=True)
def test_frames_in_between_are_left_out_but_the_last_one_is_seen(watch):
    watch.watcher.watch(key(), PLAN)
    watch.frame(0, 1)
    assert watch.next().stamp == 0
    watch.frame(100_000_000, 2)
    watch.frame(150_000_000, 3)  # the world stands still after this one
    assert watch.next().stamp == 150_000_000
    watch.frame(350_000_000, 4)
    assert watch.next().stamp == 350_000_000


@pytest.mark.parametrize("watch", [{"rate": 0.001}], indirect=True)
def test_time_that_jumps_back_is_followed_at_once(watch):
    """A bag that is played in a loop: else nobody would look until the loop is where it was."""
    watch.watcher.watch(key(), PLAN)
    for stamp in (5_000_000_000, 1_000_000_000):
        watch.frame(stamp, 1)
        assert watch.next().stamp == stamp
    frames = FrameScorer(watch.scorer, WatchSettings(rate=2.0))
    frames.watch(key(), PLAN)
    frames.score({"agentview": np.ones((1, 1, 3), np.uint8)}, 5_000_000_000)
    due = {stamp: frames.is_due(stamp) for stamp in (1_000_000_000, 5_000_000_000, 5_400_000_000, 5_500_000_000)}
    assert list(due.values()) == [True, False, False, True]


@pytest.mark.parametrize("watch", [{"frames": 2}], indirect=True)
def test_a_frame_that_is_repeated_counts_once_and_a_retry_goes_on_counting(watch):
    watch.watcher.watch(key(), PLAN)
    watch.frame(2_000_000, 9)
    assert not watch.next().completed
    watch.frame(2_000_000, 9)
    watch.watcher.watch(key(attempt=1), PLAN)
    watch.frame(4_000_000, 9)
    assert watch.next() == FrameScored(key(attempt=1), 4_000_000, 0.9, True)
    watch.watcher.watch(key(1), PLAN)
    watch.frame(6_000_000, 9)
    assert not watch.next().completed


def test_a_scorer_that_fails_is_told_once_and_ends_the_thread(watch):
    watch.watcher.watch(key(), PLAN)
    watch.frame(1, 255)
    assert str(watch.failures.get(timeout=PATIENCE)) == "out of memory"
    watch.watcher.stop()
    assert watch.failures.empty()


@pytest.mark.parametrize("hertz", [20, 30, 200])
def test_every_new_frame_is_due_at_any_robots_rate_unless_a_rate_is_set(watch, hertz):
    every = FrameScorer(watch.scorer, WatchSettings())
    every.watch(key(), PLAN)
    for step in range(3):
        stamp = step * round(1e9 / hertz)
        assert every.is_due(stamp)
        every.score({"agentview": np.ones((1, 1, 3), np.uint8)}, stamp)
        assert not every.is_due(stamp), "the world stands still"


def test_bad_rates_are_refused():
    with pytest.raises(ValueError, match="rate is 0.0 Hz"):
        WatchSettings(rate=0.0)
