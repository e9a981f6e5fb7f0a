"""Chunks as a short sequence of tokens: cosine transform, rounding, byte-pair encoding (FAST, Pertsch et al. 2025).

Own implementation, for what is known of the published one: a coefficient outside of the fitted range is clipped here,
on both sides, and reported (``clipped``); symbols are private characters, so none is lost in the vocabulary; a sequence
that is no chunk is an error and never a chunk of zeros; and whoever generates tokens is told which of them may follow,
so that every generated sequence is a chunk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.fft import dct, idct
from tokenizers import Tokenizer, models, trainers

from substep_core.configuration import configuration, dump, parse
from substep_policy.action_tokenizers.folder import CONFIG_FILE, Reconstruction, read_config
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer

FIRST_SYMBOL = 0x4E00  # a block of 20,000 letters without surrogates, spaces or case
MOST_SYMBOLS = 20_000


class MalformedTokens(ValueError):
    """A sequence of tokens that is no chunk."""


@configuration
class FastConfig:
    """A fitted tokenizer.

    Attributes:
        space: the actions that it was fitted to.
        scale: steps a unit that coefficients are rounded to; larger is finer and longer.
        lowest, highest: rounded coefficients of the data; others are clipped to them.
    """

    type: Literal["fast"] = "fast"
    space: ActionSpace = Field(kw_only=True)
    scale: float = Field(default=10.0, gt=0)
    lowest: int = Field(kw_only=True)
    highest: int = Field(kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.highest - self.lowest < MOST_SYMBOLS:
            raise ValueError(
                f"coefficients from {self.lowest} to {self.highest} are no range of up to {MOST_SYMBOLS}: lower scale"
            )


class FastTokenizer:
    """Normalised chunks (C, A) ↔ token ids, a number of them that differs from chunk to chunk.

    Raises:
        CheckpointError: the vocabulary is not that of such coefficients.
    """

    def __init__(self, config: FastConfig, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self._check_vocabulary()

    @classmethod
    def fit(
        cls, actions: np.ndarray, space: ActionSpace, scale: float = 10.0, vocabulary_size: int = 1024
    ) -> FastTokenizer:
        """Fit range and vocabulary.

        Args:
            actions: (N, C, A) normalised chunks.

        Raises:
            ValueError: there are no chunks, they are of another shape or not finite, or their coefficients take more
                symbols than the vocabulary has.
        """
        if len(actions) == 0:
            raise ValueError("an action tokenizer needs chunks to be fitted to, and there are none")
        _check_chunks(actions, space)
        rounded = _rounded(actions, scale)
        config = FastConfig(space=space, scale=scale, lowest=int(rounded.min()), highest=int(rounded.max()))
        symbols = config.highest - config.lowest + 1
        if symbols > vocabulary_size:
            raise ValueError(
                f"coefficients from {config.lowest} to {config.highest} need {symbols} symbols, vocabulary_size is "
                f"{vocabulary_size}: raise it, or lower scale, which is {scale:g}"
            )
        tokenizer = Tokenizer(models.BPE())
        alphabet = [chr(FIRST_SYMBOL + number) for number in range(symbols)]
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size, min_frequency=2, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(_texts(rounded, config), trainer)
        return cls(config, tokenizer)

    @classmethod
    def load(cls, folder: Path) -> FastTokenizer:
        """Raises: CheckpointError: a file is missing or damaged, or the two do not fit each other."""
        try:
            config = parse(FastConfig, read_config(folder), str(folder / CONFIG_FILE))
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        path = folder / TOKENIZER_FILE
        tokenizer = read_tokenizer(path)
        try:
            return cls(config, tokenizer)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error

    def save(self, folder: Path) -> None:
        """Write an existing folder."""
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        (folder / CONFIG_FILE).write_text(json.dumps(dump(self.config), indent=2) + "\n", encoding="utf-8")

    @property
    def vocabulary_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    @property
    def space(self) -> ActionSpace:
        return self.config.space

    finenesses = 1

    def reconstruct(self, actions: np.ndarray, fineness: int = 1) -> Reconstruction:
        """See ``ChunkTokenizer``."""
        encoded = self.encode(actions)
        bits = float(np.mean([len(ids) for ids in encoded])) * math.log2(self.vocabulary_size)
        decoded = np.stack([self.decode(ids) for ids in encoded])
        return Reconstruction(f"fast, scale {self.config.scale:g}", bits, decoded)

    @property
    def coefficients(self) -> int:
        """Of a chunk, C·A."""
        return self.config.space.chunk_length * self.config.space.width

    @cached_property
    def lengths(self) -> np.ndarray:
        """(V,) coefficients that each token stands for."""
        return np.array([len(self.tokenizer.id_to_token(number)) for number in range(self.vocabulary_size)])

    def encode(self, actions: np.ndarray) -> list[list[int]]:
        """(N, C, A) -> token ids of each chunk. Raises: ValueError: chunks of another shape, or not finite."""
        _check_chunks(actions, self.config.space)
        texts = _texts(_rounded(actions, self.config.scale), self.config)
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def clipped(self, actions: np.ndarray) -> float:
        """Share of the coefficients of (N, C, A) that lie outside of the fitted range, where they are cut off."""
        rounded = _rounded(actions, self.config.scale)
        return float(((rounded < self.config.lowest) | (rounded > self.config.highest)).mean())

    def decode(self, ids: Sequence[int]) -> np.ndarray:
        """Token ids of a chunk -> (C, A) float32.

        Raises:
            MalformedTokens: an id is none, or they are not exactly one chunk.
        """
        used = self._used(ids)
        if used != self.coefficients:
            raise MalformedTokens(f"{len(ids)} tokens stand for {used} coefficients, a chunk has {self.coefficients}")
        text = "".join(self.tokenizer.id_to_token(number) for number in ids)
        rounded = np.array([ord(letter) - FIRST_SYMBOL + self.config.lowest for letter in text], np.float64)
        space = self.config.space
        values = idct(rounded.reshape(space.chunk_length, space.width) / self.config.scale, axis=0, norm="ortho")
        return values.astype(np.float32)

    def allowed(self, ids: Sequence[int]) -> np.ndarray:
        """(V,) bool: which tokens may follow these; none where the chunk is complete. There is always a way on.

        Raises:
            MalformedTokens: an id is none, or they stand for more than a chunk.
        """
        left = self.coefficients - self._used(ids)
        if left < 0:
            raise MalformedTokens(f"{len(ids)} tokens stand for {-left} coefficients more than a chunk has")
        return self.lengths <= left

    def _used(self, ids: Sequence[int]) -> int:
        numbers = np.asarray(ids, np.int64)
        if ((numbers < 0) | (numbers >= self.vocabulary_size)).any():
            raise MalformedTokens(f"tokens {numbers.tolist()} are not all from 0 to {self.vocabulary_size - 1}")
        return int(self.lengths[numbers].sum())

    def _check_vocabulary(self) -> None:
        """A token that says anything else than such coefficients would decode to a motion that nobody meant.

        Raises:
            CheckpointError: a coefficient has no token, a token says something else, or text is not read as it is.
        """
        symbols = [chr(FIRST_SYMBOL + number) for number in range(self.config.highest - self.config.lowest + 1)]
        for number, symbol in enumerate(symbols):
            if self.tokenizer.token_to_id(symbol) is None:
                code = self.config.lowest + number
                raise CheckpointError(f"there is no token for coefficient {code}, {CONFIG_FILE} says it has")
        known = set(symbols)
        for number in range(self.vocabulary_size):
            text = self.tokenizer.id_to_token(number)
            if not text or not known.issuperset(text):
                raise CheckpointError(
                    f"token {number} is {text!r}, expected coefficients from {self.config.lowest} to "
                    f"{self.config.highest}, a letter each"
                )
        read = self.tokenizer.encode("".join(symbols), add_special_tokens=False).ids
        if "".join(map(self.tokenizer.id_to_token, read)) != "".join(symbols):
            raise CheckpointError("it changes text before it reads it, expected a plain byte-pair encoding")


def _check_chunks(actions: np.ndarray, space: ActionSpace) -> None:
    """Raises: ValueError: chunks of another shape, or not finite."""
    if actions.shape[1:] != (space.chunk_length, space.width) or not np.isfinite(actions).all():
        raise ValueError(f"actions {actions.shape} are no finite (N, {space.chunk_length}, {space.width})")


def _rounded(actions: np.ndarray, scale: float) -> np.ndarray:
    """(N, C, A) -> rounded coefficients (N, C, A) int64."""
    return np.rint(scale * dct(np.asarray(actions, np.float64), axis=1, norm="ortho")).astype(np.int64)


def _texts(rounded: np.ndarray, config: FastConfig) -> list[str]:
    """A letter a coefficient, lowest frequencies of all values first."""
    letters = rounded.clip(config.lowest, config.highest) - config.lowest + FIRST_SYMBOL
    return ["".join(map(chr, chunk)) for chunk in letters.reshape(len(letters), -1).tolist()]
