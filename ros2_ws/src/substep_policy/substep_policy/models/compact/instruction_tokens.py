"""Instructions as tokens, through a byte-level BPE stored as Hugging Face's ``tokenizer.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from substep_policy.checkpoints.tokenizer_file import read_tokenizer

PAD, EOS = "<pad>", "</s>"
SHOWN = 120  # characters of a text that messages show
SEPARATORS = Regex(r"[\s_.,;:!?\"'`]+")  # count as one space


class TextTooLong(ValueError):
    """A text with more tokens than its model takes: what is at its end, often the place, would not be read."""


class InstructionTokenizer:
    """Instruction text -> token ids, padded to ``max_length``; a longer text is refused, and never cut.

    Case, punctuation and repeated spaces do not matter. Unseen words fall apart into known pieces, at worst bytes.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        tokenizer.no_truncation()
        tokenizer.enable_padding(length=max_length, pad_id=tokenizer.token_to_id(PAD), pad_token=PAD)

    @classmethod
    def load(cls, path: Path, max_length: int) -> InstructionTokenizer:
        """Raises: ValueError: the file is missing or no tokenizer, or has no padding token."""
        tokenizer = read_tokenizer(path)
        if tokenizer.token_to_id(PAD) is None:
            raise ValueError(f"{path} has no {PAD} token")
        return cls(tokenizer, max_length)

    def save(self, path: Path) -> None:
        self.tokenizer.save(str(path))

    @property
    def vocabulary_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, instructions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """N texts -> ids (N, max_length) int64 and attention mask (N, max_length) bool.

        Raises:
            TextTooLong: one has more than ``max_length`` tokens.
        """
        encodings = self.tokenizer.encode_batch(list(instructions))
        for text, encoding in zip(instructions, encodings, strict=True):
            check_length(text, len(encoding.ids), self.max_length)
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        return ids, np.array([encoding.attention_mask for encoding in encodings], bool)

    def fits(self, text: str) -> bool:
        """Whether ``encode`` takes it."""
        return len(self.tokenizer.encode(text).ids) <= self.max_length


def check_length(text: str, tokens: int, limit: int) -> None:
    """Raises: TextTooLong: a text of so many tokens is longer than its model takes."""
    if tokens > limit:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        raise TextTooLong(f"{shown!r} has {tokens} tokens and the model takes {limit}: say it in fewer words")


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A byte-level BPE fitted to ``texts``; the same texts give the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(SEPARATORS, " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    return tokenizer


def extended_tokenizer(tokenizer: Tokenizer, texts: Iterable[str]) -> Tokenizer:
    """One that has a token of its own for every word of ``texts`` and reads all others as ``tokenizer`` does.

    What is added is merged last, of pieces that ``tokenizer`` leaves apart.
    """
    content = json.loads(tokenizer.to_str()) | {"padding": None, "truncation": None}
    vocabulary, merges = content["model"]["vocab"], content["model"]["merges"]
    for word in dict.fromkeys(word for text in texts for word in text.split()):
        first, *rest = _pieces(tokenizer, word)
        for piece in rest:
            if first + piece not in vocabulary:
                vocabulary[first + piece] = len(vocabulary)
                merges.append([first, piece])
            first += piece
    return Tokenizer.from_str(json.dumps(content))


def _pieces(tokenizer: Tokenizer, word: str) -> list[str]:
    return tokenizer.encode(word, add_special_tokens=False).tokens
