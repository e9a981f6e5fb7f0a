"""Interface of a chat model, in this process or on a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class BackendError(RuntimeError):
    """The model could not be asked or did not answer; the message says why."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: role "system", "user" or "assistant"."""

    role: str
    text: str


class ChatModel(Protocol):
    """Answers a conversation."""

    backend: str  # e.g. "transformers"
    model: str  # e.g. "Qwen/Qwen3-4B-Instruct-2507"

    def answer(self, messages: Sequence[Message], schema: Mapping[str, Any], image: np.ndarray | None = None) -> str:
        """The next turn, meant to be JSON in ``schema``.

        Args:
            image: (H, W, 3) uint8 RGB shown with the last user turn, for models that can look.

        Raises:
            BackendError: there is no answer.
        """
