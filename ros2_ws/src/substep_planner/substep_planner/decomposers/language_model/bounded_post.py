"""One HTTP request whose answer is bounded in time and size."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ssl import SSLContext
from typing import Any

import httpx

LARGEST_ANSWER = 1 << 20  # bytes; a plan is a few thousand


class NoConnection(Exception):
    """The server could not be reached, or hung up; it may be there later."""

    pause = 0.0  # s, as of an answer


class BadAnswer(Exception):
    """What came cannot be taken, or the request cannot be made; another try would not help."""


@dataclass(frozen=True)
class Answer:
    """What a server has answered.

    Attributes:
        pause: s that it asks to wait; 0 where it does not say.
    """

    status: int
    reason: str
    content: bytes
    pause: float

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered otherwise later."""
        return self.status == 429 or self.status >= 500

    def __str__(self) -> str:
        words = self.content[:300].decode(errors="replace")
        return f"status {self.status} {self.reason}: {words}"


def post(url: str, body: dict[str, Any], headers: dict[str, str], deadline: float) -> Answer:
    """Send JSON.

    Args:
        deadline: by ``time.monotonic``, for all of it: connecting, headers that come one by one, and the body.

    Raises:
        TimeoutError: no whole answer until then.
        NoConnection, BadAnswer: see there.
    """
    try:
        return asyncio.run(asyncio.wait_for(_exchange(url, body, headers), deadline - time.monotonic()))
    except TimeoutError:
        raise
    except httpx.RequestError as error:
        raise NoConnection(f"{type(error).__name__}: {error}") from error
    except (httpx.InvalidURL, ValueError, OSError, ImportError) as error:  # most of proxies and certificates
        raise BadAnswer(f"{type(error).__name__}: {error}") from error


@cache
def certificates() -> SSLContext:
    """Those that servers are judged by: read once, which takes longer than a short answer. Raises: OSError."""
    return httpx.create_ssl_context()


async def _exchange(url: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    asked = headers | {"Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(timeout=None, verify=certificates()) as client,
        client.stream("POST", url, json=body, headers=asked) as response,
    ):
        content = await _read(response)
        pause = pause_asked_for(response.headers.get("retry-after", ""))
        return Answer(response.status_code, response.reason_phrase, content, pause)


async def _read(response: httpx.Response) -> bytes:
    """The body as it is sent, unless it is too large. What is compressed unasked may grow without bounds."""
    if (encoding := response.headers.get("content-encoding", "identity")).lower() != "identity":
        raise BadAnswer(f"the answer is compressed ({encoding!r}), and was asked for as it is")
    content = b""
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > LARGEST_ANSWER:
            raise BadAnswer(f"the answer is longer than {LARGEST_ANSWER} bytes")
    return content


def pause_asked_for(retry_after: str, now: datetime | None = None) -> float:
    """The header Retry-After, seconds or an HTTP date, in s from now on; 0 for what is neither, or has passed."""
    if retry_after.replace(".", "", 1).isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    if until.tzinfo is None:  # "-0000" in place of GMT
        until = until.replace(tzinfo=UTC)
    return max((until - (now or datetime.now(UTC))).total_seconds(), 0.0)
