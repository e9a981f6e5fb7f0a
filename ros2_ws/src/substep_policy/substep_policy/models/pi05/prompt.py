"""Prompts of π0.5 as token ids: task or substep in words, proprioception as numbers, and the words that answer.

Task: clean the table, State: 128 145 67;\\nSubtask: pick up the cup<eos>        high level
Task: pick up the cup, State: 128 145 67;\\nAction:                              low level
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from substep_policy.models.compact.instruction_tokens import check_length
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
    """N tokenised prompts, see ``backbone.PromptTokens``: input_ids and attention_mask (N, L), answer_start (N,).

    ``told_ids``, ``told_mask``: (N, M) the substep or task alone, where the image network is told it
    (``vision.ToldTokens``).
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    answer_start: np.ndarray
    told_ids: np.ndarray | None = None
    told_mask: np.ndarray | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Those that there are, by name."""
        return {name: array for name, array in vars(self).items() if array is not None}


class Pi05PromptBuilder:
    """BOS, prompt, [answer, EOS]; padded on the right. ``state``: statistics that proprioception is scaled by."""

    def __init__(self, tokenizer: WordTokenizer, config: Pi05Config, state: Statistics) -> None:
        self._tokenizer, self._config, self._state = tokenizer, config, state

    def with_statistics(self, state: Statistics) -> Pi05PromptBuilder:
        """The same for proprioception of another data set."""
        return Pi05PromptBuilder(self._tokenizer, self._config, state)

    def low(self, substeps: Sequence[str], proprio: np.ndarray) -> Pi05Prompts:
        """What the expert attends to. Args: proprio: (N, S)."""
        texts = [self._low_text(*row) for row in zip(substeps, self._numbers(proprio), strict=True)]
        return self._build(texts, substeps)

    def high(self, tasks: Sequence[str], proprio: np.ndarray, answers: Sequence[str] | None = None) -> Pi05Prompts:
        """What asks for the next substep; with ``answers`` also what is to be said and its end (of "" nothing)."""
        texts = [self._high_text(*row) for row in zip(tasks, self._numbers(proprio), strict=True)]
        return self._build(texts, tasks, answers)

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

    def told(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """What an image network is told that is told words, by its names in ``Pi05Prompts``; else nothing.

        Raises:
            ValueError: one is longer than it takes.
        """
        told = self._config.told
        if told is None:
            return {}
        rows = [[*self._tokenizer.encode(cleaned(text)), self._config.tokens.eos] for text in texts]
        for row, text in zip(rows, texts, strict=True):
            check_length(text, len(row), told.max_tokens)
        ids, present = self._padded(rows, told.max_tokens)
        return {"told_ids": ids, "told_mask": present}

    def _build(self, texts: Sequence[str], told: Sequence[str], answers: Sequence[str] | None = None) -> Pi05Prompts:
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
        ids, present = self._padded(rows, max(len(row) for row in rows))
        answer_start = np.array([len(question) for question in asked], np.int64)
        return Pi05Prompts(ids, present, answer_start, **self.told(told))

    def _padded(self, rows: Sequence[Sequence[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids -> (N, width) int64, padded on the right, and which are there (N, width) bool."""
        ids = np.full((len(rows), width), self._config.tokens.pad, np.int64)
        for target, row in zip(ids, rows, strict=True):
            target[: len(row)] = row
        return ids, np.arange(width) < np.array([len(row) for row in rows])[:, None]


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
