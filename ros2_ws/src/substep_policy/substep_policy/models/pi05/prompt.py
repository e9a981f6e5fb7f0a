"""Prompts of π0.5 as token ids: task or substep in words, proprioception as numbers, and the words that answer.

Task: clean the table, State: 128 145 67;\\nSubtask: pick up the cup<eos>        high level
Task: pick up the cup, State: 128 145 67;\\nAction:                              low level
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from substep_policy.models.normalization import Statistics
from substep_policy.models.pi05.config import Pi05Config, PromptConfig, StateScaling, StateText

BINS = 256
MIDDLE = BINS // 2


class WordTokenizer(Protocol):
    """Text to ids and back, without special tokens."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True)
class Pi05Prompts:
    """N tokenised prompts, see ``backbone.PromptTokens``: input_ids and attention_mask (N, L), answer_start (N,)."""

    input_ids: np.ndarray
    attention_mask: np.ndarray
    answer_start: np.ndarray


class Pi05PromptBuilder:
    """BOS, prompt, [answer, EOS]; padded on the right. ``state``: statistics that proprioception is scaled by."""

    def __init__(self, tokenizer: WordTokenizer, config: Pi05Config, state: Statistics) -> None:
        self._tokenizer, self._config, self._state = tokenizer, config, state

    def with_statistics(self, state: Statistics) -> Pi05PromptBuilder:
        """The same for proprioception of another data set."""
        return Pi05PromptBuilder(self._tokenizer, self._config, state)

    def low(self, substeps: Sequence[str], proprio: np.ndarray) -> Pi05Prompts:
        """What the expert attends to. Args: proprio: (N, S)."""
        return self._build([self._low_text(*row) for row in zip(substeps, self._numbers(proprio), strict=True)])

    def high(self, tasks: Sequence[str], proprio: np.ndarray, answers: Sequence[str] | None = None) -> Pi05Prompts:
        """What asks for the next substep; with ``answers`` also what is to be said and its end (of "" nothing)."""
        texts = [self._high_text(*row) for row in zip(tasks, self._numbers(proprio), strict=True)]
        return self._build(texts, answers)

    def words(self, ids: Sequence[int]) -> str:
        """Said tokens, the end of text left out -> text."""
        return self._tokenizer.decode(ids).strip()

    def _numbers(self, proprio: np.ndarray) -> list[str]:
        prompt = self._config.prompt
        return [state_text(row, prompt) for row in scaled(proprio, self._state, prompt.state_scaling)]

    def _low_text(self, substep: str, numbers: str) -> str:
        if self._config.prompt.state is StateText.NONE:
            return f"{cleaned(substep)}\n"
        return f"Task: {cleaned(substep)}, State: {numbers};\nAction: "

    def _high_text(self, task: str, numbers: str) -> str:
        state = "" if self._config.prompt.state is StateText.NONE else f", State: {numbers}"
        return f"Task: {cleaned(task)}{state};\nSubtask: "

    def _build(self, texts: Sequence[str], answers: Sequence[str] | None = None) -> Pi05Prompts:
        """Raises: ValueError: a prompt has too many tokens, or ids that the embedding has no row for."""
        tokens, prompt = self._config.tokens, self._config.prompt
        asked = [[tokens.bos, *self._tokenizer.encode(text)] for text in texts]
        said: list[list[int]] = [[] for _ in texts]
        if answers is not None:
            said = [[*self._tokenizer.encode(cleaned(text)), tokens.eos] if text else [] for text in answers]
        rows = [[*question, *answer] for question, answer in zip(asked, said, strict=True)]
        for row, text in zip(rows, texts, strict=True):
            if len(row) > prompt.max_tokens:
                raise ValueError(f"the prompt has {len(row)} tokens, at most {prompt.max_tokens} are taken: {text!r}")
            if max(row) >= self._config.vocabulary_size:
                raise ValueError(
                    f"token id {max(row)} is outside the model's {self._config.vocabulary_size} tokens: is the "
                    "tokenizer another model's?"
                )
        lengths = np.array([len(row) for row in rows])
        ids = np.full((len(rows), lengths.max()), tokens.pad, np.int64)
        for target, row in zip(ids, rows, strict=True):
            target[: len(row)] = row
        present = np.arange(lengths.max()) < lengths[:, None]
        return Pi05Prompts(ids, present, np.array([len(question) for question in asked], np.int64))


def cleaned(text: str) -> str:
    """As the published models' training data: underscores and line breaks are spaces."""
    return text.strip().replace("_", " ").replace("\n", " ")


def scaled(values: np.ndarray, statistics: Statistics, scaling: StateScaling) -> np.ndarray:
    """(…, S) -> what counts as the range to [−1, 1], not cut off beyond; what never varied is −1, as published."""
    low, high = statistics.q01, statistics.q99
    if scaling is StateScaling.MEAN_STD:
        low, high = statistics.mean - statistics.std, statistics.mean + statistics.std
    varies = high > low
    return np.where(varies, 2 * (values - low) / np.where(varies, high - low, 1.0) - 1, -1.0)


def state_text(state: np.ndarray, config: PromptConfig) -> str:
    """Scaled proprioception (S,) -> its bins in words: −1 for what lies below −1, 255 for all from the last edge on."""
    edges = np.linspace(-1, 1, BINS + 1)[:-1]
    bins = (np.digitize(state, edges) - 1).tolist()
    return " ".join(map(str, [*bins, *[MIDDLE] * (config.padded_state - len(bins))]))
