"""``tokenizer.json``, Hugging Face's file, as every kind of model reads it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from substep_policy.checkpoints.folder import CheckpointError

TOKENIZER_FILE = "tokenizer.json"


def read_tokenizer(path: Path) -> Tokenizer:
    """As ``plain``. Raises: CheckpointError: the file is missing or damaged."""
    if not path.exists():
        raise CheckpointError(f"{path} is missing")
    try:
        return plain(Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise CheckpointError(f"{path} is not a tokenizer.json: {error}") from error


def plain(tokenizer: Tokenizer) -> Tokenizer:
    """Without the padding and the cutting of whoever used the file last."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
