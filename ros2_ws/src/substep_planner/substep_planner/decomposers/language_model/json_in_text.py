"""Finds the JSON in what a language model says: behind its thoughts, between its words, in a Markdown block."""

from __future__ import annotations

import json
from typing import Any

THOUGHTS, THOUGHT = "<think>", "</think>"
MOST_BEGINNINGS = 50  # of JSON that are tried in one text
_DECODER = json.JSONDecoder()


def json_in_text(text: str, key: str) -> Any:
    """The whole text as JSON, or else the one object with ``key`` that stands in it.

    Thoughts count for nothing; of a model whose template opens them, only their end is seen.

    Raises:
        ValueError: there is none, or there are several that differ.
    """
    said = text.rpartition(THOUGHT)[2]
    if THOUGHTS in said:
        raise ValueError(f"it ends within its thoughts ({THOUGHTS} without {THOUGHT})")
    try:
        return json.loads(said)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        why = error
    found = _objects(said, key)
    if not found:
        raise why
    if any(other != found[0] for other in found):
        raise ValueError(f"it holds {len(found)} objects with {key!r} that differ")
    return found[0]


def _objects(text: str, key: str) -> list[dict[str, Any]]:
    """Those with the key, of which none stands within another."""
    found, place = [], 0
    for _ in range(MOST_BEGINNINGS):
        if (begin := text.find("{", place)) < 0:
            break
        try:
            data, place = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError):
            place = begin + 1
            continue
        if key in data:
            found.append(data)
    return found
