"""The API "messages" of Anthropic, which other servers offer too."""

from __future__ import annotations

import json
from typing import Any

from substep_planner.decomposers.language_model.chat import BackendError
from substep_planner.decomposers.language_model.server_api import TOOL, Question, Usage, png_base64, with_picture
from substep_planner.decomposers.language_model.server_settings import TEXT, TOOL_CALL

VERSION = "2023-06-01"
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")


class AnthropicMessages:
    """See ``ServerApi``. The schema is that of a tool which the model has to use.

    Source: Anthropic's API reference.
    """

    name = "anthropic"
    path = "messages"
    usage = Usage((TOOL_CALL, TEXT))

    def headers(self, key: str) -> dict[str, str]:
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def body(self, question: Question, usage: Usage) -> dict[str, Any]:
        turns: list[dict[str, Any]] = [
            {"role": message.role, "content": message.text} for message in question.messages if message.role != "system"
        ]
        if question.image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": png_base64(question.image)}
            with_picture(turns, {"type": "image", "source": source})
        body = {"model": question.model, "messages": turns, usage.token_limit: question.max_tokens}
        if system := "\n\n".join(message.text for message in question.messages if message.role == "system"):
            body["system"] = system
        if usage.temperature:
            body["temperature"] = 0
        if usage.form == TOOL_CALL:
            body["tools"] = [{"name": TOOL, "description": "takes the plan", "input_schema": dict(question.schema)}]
            body["tool_choice"] = {"type": "tool", "name": TOOL}
        return body

    def text(self, answer: Any) -> str:
        blocks, reason = answer["content"], answer.get("stop_reason")
        if reason in _CUT_OFF:
            raise BackendError(f"the answer is cut off (stop_reason {reason!r}): max_tokens is too small for it")
        if reason == "refusal":
            raise BackendError("the model refuses (stop_reason 'refusal')")
        for block in blocks:
            if block.get("type") == "tool_use":
                return json.dumps(block["input"])
        said = "".join(block["text"] for block in blocks if block.get("type") == "text")
        if not said.strip():
            kinds = [block.get("type") for block in blocks]
            raise BackendError(f"the answer has no text but {kinds} (stop_reason {reason!r})"[:300])
        return said
