"""A fitted FAST tokenizer in a configuration: its folder in what people write, the whole of it in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from tokenizers import Tokenizer

from substep_core.configuration import configuration, dump
from substep_policy.action_tokenizers.fast import FastConfig, FastTokenizer
from substep_policy.action_tokenizers.folder import read_config
from substep_policy.checkpoints.tokenizer_file import plain


@configuration
class FittedFast:
    """``vocabulary``: the text of its ``tokenizer.json``."""

    config: FastConfig
    vocabulary: str

    def load(self) -> FastTokenizer:
        return FastTokenizer(self.config, plain(Tokenizer.from_str(self.vocabulary)))


def _named(value: Any) -> Any:
    """What a tokenizer's folder holds. Raises: ValueError: it is none, or of another type."""
    if not isinstance(value, (str, Path)):
        return value
    folder = Path(value).expanduser()
    if (found := read_config(folder).get("type")) != "fast":
        raise ValueError(f"{folder} holds an action tokenizer of type {found!r}, expected 'fast'")
    fitted = FastTokenizer.load(folder)
    return {"config": dump(fitted.config), "vocabulary": fitted.tokenizer.to_str()}


NamedFast = Annotated[FittedFast, BeforeValidator(_named)]  # of a configuration: a fitted one, or its folder
