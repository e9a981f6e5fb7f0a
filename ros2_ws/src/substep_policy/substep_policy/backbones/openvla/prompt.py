"""Instructions as token ids: prompt, action slots and end of text, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from substep_policy.backbones.openvla.config import OpenVLAConfig


@dataclass(frozen=True)
class Prompts:
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


class PromptBuilder:
    """BOS, prompt, the empty token, action slots, ``</s>``. ``tokenizer`` is the checkpoint's own, which puts BOS."""

    def __init__(self, tokenizer: Tokenizer, config: OpenVLAConfig) -> None:
        self._tokenizer, self._tokens, self._slots = tokenizer, config.tokens, config.action_slots

    def build(self, instructions: Sequence[str]) -> Prompts:
        """Raises: ValueError: there are no instructions, or the tokenizer does not begin with BOS."""
        if not instructions:
            raise ValueError("there are no instructions to build prompts from")
        prompts = [self._prompt_ids(instruction) for instruction in instructions]
        tail = [self._tokens.bos] * self._slots + [self._tokens.eos]
        lengths = np.array([len(ids) + len(tail) for ids in prompts])
        input_ids = np.full((len(prompts), lengths.max()), self._tokens.pad, np.int64)
        for row, ids in zip(input_ids, prompts, strict=True):
            row[: len(ids) + len(tail)] = ids + tail
        present = np.arange(lengths.max()) < lengths[:, None]
        return Prompts(input_ids, present, np.array([len(ids) for ids in prompts], np.int64))

    def _prompt_ids(self, instruction: str) -> list[int]:
        ids = self._tokenizer.encode(prompt_text(instruction)).ids
        if not ids or ids[0] != self._tokens.bos:
            raise ValueError(f"the tokenizer begins with {ids[:1]}, not with BOS {self._tokens.bos}: is it a Llama's?")
        return ids if ids[-1] == self._tokens.empty else [*ids, self._tokens.empty]
