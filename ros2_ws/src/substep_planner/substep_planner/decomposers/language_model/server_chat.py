"""Any OpenAI-compatible server (vLLM, Ollama, llama.cpp, …) as a chat model."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from PIL import Image

from substep_core.printable import printable
from substep_planner.decomposers.language_model.chat import BackendError, Message

LARGEST_ANSWER = 1 << 20  # bytes; a plan is a few thousand
FIRST_PAUSE = 0.5  # s, doubled with every retry
LONGEST_PAUSE = 10.0  # s


@dataclass(frozen=True)
class ServerSettings:
    """Where the server is and how patient to be.

    Attributes:
        url: up to and including the version, e.g. "http://localhost:8000/v1".
        model: as the server calls it.
        key: sent as bearer token; empty: none.
        timeout: s for one whole answer, with all tries and the pauses between them.
        retries: after a failed connection, status 429 or 5xx.
        max_tokens: of one answer.
    """

    url: str
    model: str
    key: str = ""
    timeout: float = 30.0
    retries: int = 2
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url is {self.url!r}, expected http://… or https://…")
        if not self.model:
            raise ValueError("model is empty, expected the name of a model that the server has")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout} s, expected more than 0")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}, expected 0 or more")

    def __repr__(self) -> str:  # never shows the key
        return f"ServerSettings(url={self.url!r}, model={self.model!r})"


class _Retryable(Exception):
    """A failure that may pass; ``pause`` is how long the server asks to wait, in s."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class ServerChat:
    """Asks the server's chat/completions, with a JSON-schema response format.

    Args:
        sleep: waits between retries, in s.
    """

    backend = "openai"

    def __init__(self, settings: ServerSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.model = settings.model
        self._settings = settings
        self._sleep = sleep
        self._address = f"{settings.url.rstrip('/')}/chat/completions"

    def answer(self, messages: Sequence[Message], schema: Mapping[str, Any], image: np.ndarray | None = None) -> str:
        """See ``ChatModel``."""
        body = {
            "model": self.model,
            "messages": _to_json(messages, image),
            "temperature": 0,
            "max_tokens": self._settings.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "plan", "strict": True, "schema": dict(schema)},
            },
        }
        return _content(self._ask_patiently(body))

    def _ask_patiently(self, body: dict[str, Any]) -> bytes:
        """All tries and the pauses between them within one deadline."""
        deadline = time.monotonic() + self._settings.timeout
        pause, tries = FIRST_PAUSE, 0
        while True:
            tries += 1
            try:
                return self._ask(body, deadline)
            except TimeoutError as error:
                late = f"no whole answer within {self._settings.timeout:g} s"
                raise BackendError(f"{self._address}: {late} (tries: {tries})") from error
            except _Retryable as error:
                wait = min(max(pause, error.pause), LONGEST_PAUSE)
                if tries > self._settings.retries or time.monotonic() + wait >= deadline:
                    raise BackendError(f"{self._address}: {error} (tries: {tries})") from error
                self._sleep(wait)
                pause *= 2

    def _ask(self, body: dict[str, Any], deadline: float) -> bytes:
        """One answer; the deadline is for all of it: connecting, headers that come one by one, and the body."""
        try:
            exchange = asyncio.wait_for(self._exchange(body), deadline - time.monotonic())
            response, content = asyncio.run(exchange)
        except TimeoutError:
            raise
        except httpx.RequestError as error:
            raise _Retryable(f"{type(error).__name__}: {error}") from error
        except (httpx.InvalidURL, ValueError, OSError, ImportError) as error:  # most of proxies and certificates
            raise BackendError(f"{self._address}: {type(error).__name__}: {error}") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise _Retryable(_status(response, content), _retry_after(response))
        if response.status_code != 200:
            raise BackendError(f"{self._address}: {_status(response, content)}")
        return content

    async def _exchange(self, body: dict[str, Any]) -> tuple[httpx.Response, bytes]:
        headers = {"Accept-Encoding": "identity"}
        if self._settings.key:
            headers["Authorization"] = f"Bearer {self._settings.key}"
        async with (
            httpx.AsyncClient(timeout=None) as client,
            client.stream("POST", self._address, json=body, headers=headers) as response,
        ):
            return response, await self._read(response)

    async def _read(self, response: httpx.Response) -> bytes:
        """The body as it is sent, unless it is too large. What is compressed unasked may grow without bounds."""
        if (encoding := response.headers.get("content-encoding", "identity")).lower() != "identity":
            raise BackendError(f"{self._address}: the answer is compressed ({encoding!r}), and was asked for as it is")
        content = b""
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > LARGEST_ANSWER:
                raise BackendError(f"{self._address}: the answer is longer than {LARGEST_ANSWER} bytes")
        return content


def _to_json(messages: Sequence[Message], image: np.ndarray | None) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in messages]
    if image is not None:
        first = next(turn for turn in turns if turn["role"] == "user")
        first["content"] = [
            {"type": "text", "text": first["content"]},
            {"type": "image_url", "image_url": {"url": _data_url(image)}},
        ]
    return turns


def _data_url(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _content(body: bytes) -> str:
    """The text of the first choice."""
    try:
        choice = json.loads(body)["choices"][0]
        content, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BackendError(f"the server's answer is not a chat completion: {body[:200]!r}") from error
    if not isinstance(content, str):
        raise BackendError(f"the server's answer has no text but {content!r} (finish_reason {reason!r})")
    return content


def _status(response: httpx.Response, content: bytes) -> str:
    words = content[:300].decode(errors="replace")
    return printable(f"status {response.status_code} {response.reason_phrase}: {words}")


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say, or gives a date."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0
