"""PaliGemma's tokenizer, or a small model's own: Hugging Face's file, or the sentencepiece model it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.models.pi05.prompt import WordTokenizer

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SENTENCEPIECE_FILES = ("tokenizer.model", "paligemma_tokenizer.model")
PALIGEMMA = "google/paligemma-3b-pt-224"


@dataclass(frozen=True)
class HuggingFaceTokenizer:
    """Of words; ``tokenizer`` pads and cuts nothing."""

    tokenizer: Tokenizer

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids))

    @property
    def size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def save(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / TOKENIZER_FILE))


@dataclass(frozen=True)
class PieceTokenizer:
    """Of a sentencepiece model."""

    processor: SentencePieceProcessor

    def encode(self, text: str) -> list[int]:
        return self.processor.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self.processor.decode(list(ids))

    @property
    def size(self) -> int:
        return self.processor.get_piece_size()

    def save(self, folder: Path) -> None:
        (folder / SENTENCEPIECE_FILES[0]).write_bytes(self.processor.serialized_model_proto())


def find_tokenizer(folder: Path) -> WordTokenizer:
    """The tokenizer of a checkpoint folder; published ones have none and use PaliGemma's, from the hub.

    Raises:
        CheckpointError: a file is damaged, or there is none and the hub does not give one (it asks for a licence to be
            accepted).
    """
    if (folder / TOKENIZER_FILE).exists():
        return HuggingFaceTokenizer(read_tokenizer(folder / TOKENIZER_FILE))
    if file := next((folder / name for name in SENTENCEPIECE_FILES if (folder / name).exists()), None):
        from sentencepiece import SentencePieceProcessor

        try:
            return PieceTokenizer(SentencePieceProcessor(model_file=str(file)))
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{file} is no sentencepiece model: {error}") from error
    return HuggingFaceTokenizer(_from_hub(folder))


def _from_hub(folder: Path) -> Tokenizer:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return read_tokenizer(Path(hf_hub_download(PALIGEMMA, TOKENIZER_FILE)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{folder} has no {TOKENIZER_FILE} and no {' or '.join(SENTENCEPIECE_FILES)}, and the hub did not give that"
            f" of {PALIGEMMA} ({error}): accept its licence there and log in, or put one of the files into the folder"
        ) from error
