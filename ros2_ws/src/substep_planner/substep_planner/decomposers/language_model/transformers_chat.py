"""A causal language model of the hub, or a vision-language model, in this process, held to a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xgrammar
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from substep_core.hub import check_name
from substep_planner.decomposers.language_model.chat import BackendError, Message
from substep_planner.decomposers.language_model.weights_source import WeightsSource, find_weights
from substep_policy.device import choose_device


@dataclass(frozen=True)
class LocalModelSettings:
    """Which model, and how it runs.

    Attributes:
        model: hub id, folder (of a checkpoint, or of one GGUF file), or a GGUF file.
        device: "auto", "cpu", "cuda" or "cuda:N".
        max_new_tokens: of one answer.
        look: load it as a vision-language model that can be shown an image.
    """

    model: str
    device: str = "auto"
    max_new_tokens: int = 1024
    look: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model is empty, expected a hub id, a folder or a GGUF file")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}, expected at least 1")


class TransformersChat:
    """Greedy decoding under a grammar made from the schema: the answer is JSON whatever the weights are.

    A tokenizer without a chat template gets the turns one below the other.

    Raises:
        ValueError: there is no such folder or device, or not one GGUF file; a GGUF file cannot be shown an image.
        BackendError: the model cannot be had, or cannot be used.
    """

    backend = "transformers"

    def __init__(self, settings: LocalModelSettings) -> None:
        source = find_weights(settings.model)
        if source.gguf_file is None:
            check_name(settings.model)
        elif settings.look:
            raise ValueError(f"{settings.model} is a GGUF file, which holds no model that can be shown an image")
        self.model = settings.model
        self._settings = settings
        device = choose_device(settings.device)
        try:
            self._load(source, device)
        except Exception as error:  # the border to the hub, transformers and xgrammar
            raise BackendError(f"{settings.model}: {type(error).__name__}: {error}") from error

    def _load(self, source: WeightsSource, device: torch.device) -> None:
        look = self._settings.look
        where = {"pretrained_model_name_or_path": source.name, **source.options}
        kind = AutoModelForImageTextToText if look else AutoModelForCausalLM
        self._network = kind.from_pretrained(**where, dtype="auto").to(device).eval()
        reader = AutoProcessor if look else AutoTokenizer
        self._reader = reader.from_pretrained(**where)
        self._tokenizer = self._reader.tokenizer if look else self._reader
        vocabulary = self._network.config.get_text_config().vocab_size
        stops = _stop_tokens(self._network.generation_config.eos_token_id, self._tokenizer.eos_token_id)
        info = xgrammar.TokenizerInfo.from_huggingface(self._tokenizer, vocab_size=vocabulary, stop_token_ids=stops)
        self._compiler = xgrammar.GrammarCompiler(info)
        self._stops = stops

    @torch.inference_mode()
    def answer(self, messages: Sequence[Message], schema: Mapping[str, Any], image: np.ndarray | None = None) -> str:
        """See ``ChatModel``."""
        inputs = self._inputs(messages, image).to(self._network.device)
        grammar = self._compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
        tokens = self._network.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self._settings.max_new_tokens,
            logits_processor=[xgrammar.contrib.hf.LogitsProcessor(grammar)],
            eos_token_id=self._stops,
            pad_token_id=self._stops[0],
        )[0, inputs["input_ids"].shape[1] :]
        if tokens[-1].item() not in self._stops:
            raise BackendError(f"the answer is not complete after {len(tokens)} tokens (max_new_tokens)")
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def _inputs(self, messages: Sequence[Message], image: np.ndarray | None) -> Any:
        if not self._tokenizer.chat_template and not self._settings.look:
            text = "\n\n".join(message.text for message in messages) + "\n\n"
            return self._tokenizer(text, return_tensors="pt")
        return self._reader.apply_chat_template(
            [_turn(message, self._settings.look) for message in _with_image(messages, image)],
            add_generation_prompt=True,
            enable_thinking=False,  # Qwen3's template knows it, others do not look at it
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


def _stop_tokens(*ids: int | list[int] | None) -> list[int]:
    stops = [token for entry in ids if entry is not None for token in (entry if isinstance(entry, list) else [entry])]
    if not stops:
        raise ValueError("the model has no end-of-sequence token, so an answer would never end")
    return list(dict.fromkeys(stops))


def _with_image(messages: Sequence[Message], image: np.ndarray | None) -> list[tuple[Message, np.ndarray | None]]:
    """Every turn with what is shown with it: the image goes with the first turn of the user."""
    shown = next((message for message in messages if message.role == "user"), None)
    return [(message, image if message is shown else None) for message in messages]


def _turn(shown: tuple[Message, np.ndarray | None], look: bool) -> dict[str, Any]:
    message, image = shown
    if not look:
        return {"role": message.role, "content": message.text}
    content: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    if image is not None:
        content.insert(0, {"type": "image", "image": image})
    return {"role": message.role, "content": content}
