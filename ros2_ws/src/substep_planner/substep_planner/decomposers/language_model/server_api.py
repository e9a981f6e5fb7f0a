"""Interface of a server's HTTP API, and what is left of a request when the server has refused parts of it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from PIL import Image

from substep_planner.decomposers.language_model.chat import Message
from substep_planner.decomposers.language_model.server_settings import JSON_OBJECT, JSON_SCHEMA, TEXT, TOOL_CALL

TOOL = "plan"  # name of the tool, and of the schema, that the answer is held to
_WORDS = {  # of a refusal, for what is refused
    JSON_SCHEMA: "response_format|json_schema|schema|grammar|guided|structured",
    JSON_OBJECT: "response_format|json_object|grammar",
    TOOL_CALL: "tools?|tool_choice|functions?",
}


@dataclass(frozen=True)
class Question:
    """What is asked. image: (H, W, 3) uint8 RGB, shown with the first turn of the user."""

    model: str
    messages: Sequence[Message]
    schema: Mapping[str, Any]
    image: np.ndarray | None
    max_tokens: int


@dataclass(frozen=True)
class Usage:
    """Which parts of its API a server is asked to use.

    Attributes:
        forms: of answers, in the order in which they are tried; the first is in use.
        token_limits: names of the field that bounds the answer, likewise.
        temperature: whether it is sent.
    """

    forms: tuple[str, ...]
    token_limits: tuple[str, ...] = ("max_tokens",)
    temperature: bool = True

    @property
    def form(self) -> str:
        return self.forms[0]

    @property
    def token_limit(self) -> str:
        return self.token_limits[0]

    def without(self, refusal: str) -> tuple[str, Usage] | None:
        """What a refusal names first of what was sent, and the usage without it; None: nothing, or nothing is left.

        Args:
            refusal: the server's words.
        """
        options = []
        if self.temperature:
            options.append(("temperature", "temperature", replace(self, temperature=False)))
        if len(self.token_limits) > 1:
            options.append((self.token_limit, self.token_limit, replace(self, token_limits=self.token_limits[1:])))
        if len(self.forms) > 1:
            options.append((_WORDS[self.form], self.form, replace(self, forms=self.forms[1:])))
        named = [
            (found.start(), name, usage)
            for words, name, usage in options
            if (found := re.search(rf"\b(?:{words})\b", refusal, re.IGNORECASE))
        ]
        return min(named, key=lambda item: item[0])[1:] if named else None


class ServerApi(Protocol):
    """How a kind of server is asked, and how its answers are read."""

    name: str  # of the decomposer
    path: str  # behind the server's url
    usage: Usage  # what is tried first

    def headers(self, key: str) -> dict[str, str]:
        """Of every request; key: empty where there is none."""

    def body(self, question: Question, usage: Usage) -> dict[str, Any]:
        """The request."""

    def text(self, answer: Any) -> str:
        """The model's words, or the JSON that it has handed to the tool.

        Raises:
            BackendError: it was cut off, or the model refuses.
            LookupError, TypeError, AttributeError: it is no answer of this API.
        """


def png_base64(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def with_picture(turns: list[dict[str, Any]], picture: dict[str, Any]) -> None:
    """Put a content part into the first turn of the user, behind its text."""
    first = next(turn for turn in turns if turn["role"] == "user")
    first["content"] = [{"type": "text", "text": first["content"]}, picture]


def only(form: str, usage: Usage) -> Usage:
    """With this form of answers alone. Raises: ValueError: the API does not know it."""
    known = (*usage.forms, TOOL_CALL, TEXT)
    if form not in known:
        raise ValueError(f"form is {form!r}, expected one of {', '.join(dict.fromkeys(known))}")
    return replace(usage, forms=(form,))
