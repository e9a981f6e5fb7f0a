"""Instructions as token ids: prompt, action slots and end of text, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from substep_policy.checkpoints.tokenizer_file import plain
from substep_policy.models.compact.instruction_tokens import check_length
from substep_policy.models.openvla.config import OpenVLAConfig

if TYPE_CHECKING:
    from substep_policy.models.openvla.model import OpenVLAModelConfig


@dataclass(frozen=True)
class OpenVLAPrompts:
    """N tokenised prompts.

    Attributes:
        input_ids: (N, L) int64; what stands in an action slot is of no account, its embedding is zeroed.
        attention_mask: (N, L) bool, False where a prompt is padded.
        slot_start: (N,) int64, position of the first action slot.
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    slot_start: np.ndarray


def prompt_text(instruction: str) -> str:
    """The question that OpenVLA was trained on, with the instruction in lower case."""
    return f"In: What action should the robot take to {instruction.lower()}?\nOut:"


class OpenVLAPromptBuilder:
    """BOS, prompt, the empty token, action slots, ``</s>``. ``tokenizer`` is the checkpoint's own, which puts BOS."""

    def __init__(self, tokenizer: Tokenizer, config: OpenVLAModelConfig) -> None:
        """Raises: ValueError: the tokenizer does not begin with BOS, or has ids that the embedding has no row for."""
        plain(tokenizer)
        check_tokenizer(tokenizer, config.backbone)
        self._tokenizer, self._tokens, self._slots = tokenizer, config.backbone.tokens, config.action_slots
        taken = config.patches + 1 + config.action_slots + 1  # images, proprioception, actions, end
        self._room = config.backbone.language_model.max_positions - taken

    def build(self, instructions: Sequence[str]) -> OpenVLAPrompts:
        """Raises: ValueError: there are no instructions. TextTooLong: the language model has no room for one."""
        if not instructions:
            raise ValueError("there are no instructions to build prompts from")
        prompts = [self._prompt_ids(instruction) for instruction in instructions]
        tail = [self._tokens.bos] * self._slots + [self._tokens.eos]
        lengths = np.array([len(ids) + len(tail) for ids in prompts])
        input_ids = np.full((len(prompts), lengths.max()), self._tokens.pad, np.int64)
        for row, ids in zip(input_ids, prompts, strict=True):
            row[: len(ids) + len(tail)] = ids + tail
        present = np.arange(lengths.max()) < lengths[:, None]
        return OpenVLAPrompts(input_ids, present, np.array([len(ids) for ids in prompts], np.int64))

    def _prompt_ids(self, instruction: str) -> list[int]:
        ids = self._tokens_of(instruction)
        check_length(instruction, len(ids), self._room)
        return ids

    def fits(self, instruction: str) -> bool:
        """Whether ``build`` takes it."""
        return len(self._tokens_of(instruction)) <= self._room

    def _tokens_of(self, instruction: str) -> list[int]:
        ids = self._tokenizer.encode(prompt_text(instruction)).ids
        return ids if ids[-1] == self._tokens.empty else [*ids, self._tokens.empty]


def check_tokenizer(tokenizer: Tokenizer, config: OpenVLAConfig) -> None:
    """Raises: ValueError: it does not begin with BOS, or has ids that the embedding has no row for."""
    first, bos = tokenizer.encode(prompt_text("")).ids[:1], config.tokens.bos
    if first != [bos]:
        raise ValueError(f"the tokenizer begins with {first}, not with BOS {bos}: is it a Llama's?")
    highest, rows = max(tokenizer.get_vocab().values()), config.language_model.vocabulary_size
    if highest >= rows:
        raise ValueError(
            f"the tokenizer has ids up to {highest}, and the embedding has {rows} rows: is it another model's?"
        )
