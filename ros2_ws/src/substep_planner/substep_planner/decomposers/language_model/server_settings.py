"""Where a language model's server is, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass

AUTOMATIC = "auto"
JSON_SCHEMA, TOOL_CALL, JSON_OBJECT, TEXT = "json_schema", "tool_call", "json_object", "text"
FORMS = (JSON_SCHEMA, TOOL_CALL, JSON_OBJECT, TEXT)


@dataclass(frozen=True)
class ServerSettings:
    """Where the server is and how patient to be.

    Attributes:
        url: up to and including the version, e.g. "http://localhost:8000/v1".
        model: as the server calls it.
        key: is sent with every request; empty: none.
        timeout: s for one whole answer, with all tries and the pauses between them.
        retries: after a failed connection, status 429 or 5xx.
        max_tokens: of one answer.
        form: how the server holds the answer to its schema, of ``FORMS``; "auto": the first that it does not refuse.
    """

    url: str
    model: str
    key: str = ""
    timeout: float = 30.0
    retries: int = 2
    max_tokens: int = 2048
    form: str = AUTOMATIC

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url is {self.url!r}, expected http://… or https://…")
        if not self.model:
            raise ValueError("model is empty, expected the name of a model that the server has")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout} s, expected more than 0")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}, expected 0 or more")
        if self.form not in (AUTOMATIC, *FORMS):
            raise ValueError(f"form is {self.form!r}, expected one of {', '.join((AUTOMATIC, *FORMS))}")

    def __repr__(self) -> str:  # never shows the key
        return f"ServerSettings(url={self.url!r}, model={self.model!r})"
