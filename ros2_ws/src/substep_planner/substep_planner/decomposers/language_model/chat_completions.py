"""The API "chat/completions" of OpenAI, which vLLM, Ollama, llama.cpp and others offer too."""

from __future__ import annotations

import json
from typing import Any

from substep_planner.decomposers.language_model.chat import BackendError
from substep_planner.decomposers.language_model.server_api import TOOL, Question, Usage, png_base64, with_picture
from substep_planner.decomposers.language_model.server_settings import JSON_OBJECT, JSON_SCHEMA, TEXT, TOOL_CALL


class ChatCompletions:
    """See ``ServerApi``.

    Source: OpenAI's API reference; the fields ``reasoning_content`` (vLLM, llama.cpp) and ``reasoning`` (vLLM, Ollama).
    """

    name = "openai"
    path = "chat/completions"
    usage = Usage((JSON_SCHEMA, JSON_OBJECT, TEXT), ("max_tokens", "max_completion_tokens"))

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, question: Question, usage: Usage) -> dict[str, Any]:
        turns: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in question.messages]
        if question.image is not None:
            url = f"data:image/png;base64,{png_base64(question.image)}"
            with_picture(turns, {"type": "image_url", "image_url": {"url": url}})
        body = {"model": question.model, "messages": turns, usage.token_limit: question.max_tokens}
        if usage.temperature:
            body["temperature"] = 0
        return body | _form(question, usage.form)

    def text(self, answer: Any) -> str:
        choice = answer["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        if reason == "length":
            raise BackendError("the answer is cut off (finish_reason 'length'): max_tokens is too small for it")
        if refusal := message.get("refusal"):
            raise BackendError(f"the model refuses: {refusal!r}"[:300])
        for said in (_tool_call(message), _content(message), *map(message.get, ("reasoning_content", "reasoning"))):
            if isinstance(said, str) and said.strip():
                return said
        raise BackendError(f"the answer has no text but {message.get('content')!r} (finish_reason {reason!r})"[:300])


def _form(question: Question, form: str) -> dict[str, Any]:
    """The fields that hold the answer to JSON."""
    schema = dict(question.schema)
    if form == JSON_SCHEMA:
        wanted = {"name": TOOL, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    if form == JSON_OBJECT:
        return {"response_format": {"type": "json_object"}}
    if form == TOOL_CALL:
        function = {"name": TOOL, "description": "takes the plan", "parameters": schema}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": TOOL}},
        }
    return {}


def _tool_call(message: dict[str, Any]) -> str | None:
    calls = message.get("tool_calls")
    if not calls:
        return None
    arguments = calls[0]["function"]["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _content(message: dict[str, Any]) -> str | None:
    """A text, or the texts of a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content
