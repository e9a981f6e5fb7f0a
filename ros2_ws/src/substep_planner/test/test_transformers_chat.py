"""Language models in this process, on a small model made here with random weights."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import MAX_SUBSTEPS
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.language_model import weights_source
from substep_planner.decomposers.language_model.chat import BackendError, Message
from substep_planner.decomposers.language_model.decomposer import create_transformers
from substep_planner.decomposers.language_model.reply import REPLY_SCHEMA, plan_from_reply
from substep_planner.decomposers.language_model.transformers_chat import LocalModelSettings, TransformersChat
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers

ASK = [Message("system", "be brief"), Message("user", "hello")]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(['{"steps": [{"subgoal": "pick up the mug", "expected_effect": "x"}]}'], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    wrapped.chat_template = TEMPLATE
    return wrapped


def make_model(folder, seed: int):
    """Weights so large that every token is as good as drawn at random, but the same each time."""
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 5,  # padded, as real models' are
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=1.0,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return make_model(tmp_path_factory.mktemp("model"), seed=0)


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_give_valid_json_and_a_plan(tmp_path, seed):
    chat = TransformersChat(LocalModelSettings(make_model(tmp_path, seed), "cpu", max_new_tokens=6000))
    answer = chat.answer(ASK, REPLY_SCHEMA)
    jsonschema.validate(json.loads(answer), REPLY_SCHEMA)
    assert 1 <= len(plan_from_reply("hello", answer).substeps) <= MAX_SUBSTEPS


def test_the_conversation_goes_through_the_models_own_template(folder):
    chat = TransformersChat(LocalModelSettings(folder, "cpu"))
    text = chat._tokenizer.decode(chat._inputs(ASK, None)["input_ids"][0])
    assert text == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_model_without_a_template_gets_plain_text(tmp_path):
    folder = make_model(tmp_path, seed=0)
    for file in tmp_path.glob("chat_template*"):
        file.unlink()
    chat = TransformersChat(LocalModelSettings(folder, "cpu"))
    assert chat._tokenizer.decode(chat._inputs(ASK, None)["input_ids"][0]) == "be brief\n\nhello\n\n"


def test_an_answer_that_is_cut_short_is_a_failure(folder):
    with pytest.raises(BackendError, match="not complete after 5 tokens"):
        TransformersChat(LocalModelSettings(folder, "cpu", max_new_tokens=5)).answer(ASK, REPLY_SCHEMA)


def test_nonsense_in_valid_json_is_still_no_plan(folder):
    made = create_transformers(DecomposerSettings(transformers_model=folder, device="cpu", max_tokens=6000))
    with pytest.raises(PlanningError, match="is not a single motion") as error:
        made.decompose(PlanRequest("put the mug on the plate"))
    assert error.value.code is ErrorCode.INVALID_PLAN
    assert made.name == "transformers"


def write_gguf(path) -> None:
    """A small Llama with random weights, as llama.cpp's programs write it."""
    gguf = pytest.importorskip("gguf", reason="an extra: ./substep install -r requirements/gguf.txt")
    tokenizer, width, inner, kv = json.loads(make_tokenizer().backend_tokenizer.to_str()), 32, 64, 16
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = [token["content"] for token in tokenizer["added_tokens"]]
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(len(tokens))
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(width // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id, writer.add_unk_token_id):
        add(tokens.index("<|im_end|>"))
    writer.add_chat_template(TEMPLATE)
    shapes = {
        "token_embd": (len(tokens), width),
        "output": (len(tokens), width),
        "output_norm": (width,),
        "blk.0.attn_norm": (width,),
        "blk.0.ffn_norm": (width,),
        "blk.0.attn_q": (width, width),
        "blk.0.attn_k": (kv, width),
        "blk.0.attn_v": (kv, width),
        "blk.0.attn_output": (width, width),
        "blk.0.ffn_gate": (inner, width),
        "blk.0.ffn_up": (inner, width),
        "blk.0.ffn_down": (width, inner),
    }
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_folder_with_a_gguf_file_answers_in_its_own_template(tmp_path):
    write_gguf(tmp_path / "small.F32.gguf")
    for model in (tmp_path, tmp_path / "small.F32.gguf"):
        chat = TransformersChat(LocalModelSettings(str(model), "cpu", max_new_tokens=6000))
        assert chat._tokenizer.decode(chat._inputs(ASK, None)["input_ids"][0]).endswith("<|im_start|>assistant\n")
    assert 1 <= len(plan_from_reply("hello", chat.answer(ASK, REPLY_SCHEMA)).substeps) <= MAX_SUBSTEPS


def test_gguf_files_that_cannot_be_used_are_told(tmp_path, monkeypatch):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"has a.gguf, b.gguf: name one of these files"):
        TransformersChat(LocalModelSettings(str(tmp_path), "cpu"))
    with pytest.raises(ValueError, match="there is no GGUF file"):
        TransformersChat(LocalModelSettings(str(tmp_path / "c.gguf"), "cpu"))
    monkeypatch.setattr(weights_source, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="package gguf is not installed: ./substep install -r requirements/gguf.txt"):
        TransformersChat(LocalModelSettings(str(tmp_path / "a.gguf"), "cpu"))
    monkeypatch.setattr(weights_source, "find_spec", lambda name: name)
    with pytest.raises(ValueError, match="a.gguf is a GGUF file, which holds no model that can be shown an image"):
        TransformersChat(LocalModelSettings(str(tmp_path / "a.gguf"), "cpu", look=True))
    with pytest.raises(BackendError, match=r"a.gguf: "):
        TransformersChat(LocalModelSettings(str(tmp_path / "a.gguf"), "cpu"))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="model is empty"):
        LocalModelSettings("")
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        LocalModelSettings("m", max_new_tokens=0)
    with pytest.raises(ValueError, match="nowhere"):
        TransformersChat(LocalModelSettings("/nowhere/at/all", "cpu"))


def test_a_model_that_cannot_be_read_is_the_backends_failure(tmp_path):
    """The next decomposer is asked."""
    (tmp_path / "config.json").write_text("{}")
    settings = DecomposerSettings(transformers_model=str(tmp_path), device="cpu")
    first, second = load_decomposers(["transformers", "rules"], settings)
    with pytest.raises(PlanningError, match=f"cannot be loaded: BackendError: {tmp_path}: ") as error:
        first.decompose(PlanRequest("open the microwave"))
    assert error.value.code is ErrorCode.BACKEND_FAILED and second.name == "rules"
