"""JSON schema of a language model's reply, and its conversion to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from substep_core.plan import MAX_SUBSTEPS, Plan, PlanFormatError, normalise_instruction, plan_from_json
from substep_planner.decomposers.language_model.json_in_text import json_in_text

# Bounds stand in the pattern: a length bound alone would let raw control characters through a decoding grammar.
_TEXT = {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9 ,'-]{1,118}[A-Za-z0-9]$"}
REPLY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_SUBSTEPS,
            "items": {
                "type": "object",
                "properties": {"subgoal": _TEXT, "expected_effect": _TEXT},
                "required": ["subgoal", "expected_effect"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["steps"],
    "additionalProperties": False,
}


def plan_from_reply(instruction: str, reply: str) -> Plan:
    """A model's answer -> Plan.

    Steps are numbered by their order; thoughts and text around the JSON are forgiven, two plans are not.

    Raises:
        PlanFormatError: there is no JSON, or not steps as in the plan file format.
    """
    try:
        data = json_in_text(reply, "steps")
    except ValueError as error:
        raise PlanFormatError(f"the answer is not JSON: {error}; it begins {reply.strip()[:80]!r}") from error
    steps = data.get("steps") if isinstance(data, dict) else data
    if not isinstance(steps, list):
        raise PlanFormatError('the answer is not an object with a list "steps"')
    return plan_from_json(normalise_instruction(instruction), _numbered(steps), "the answer")


def _numbered(steps: list[Any]) -> list[Any]:
    """The model's own numbers, if it gave any, do not matter."""
    return [{**step, "step": number} if isinstance(step, dict) else step for number, step in enumerate(steps, start=1)]
