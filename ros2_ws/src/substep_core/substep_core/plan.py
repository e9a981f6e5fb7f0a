"""Plans: the substeps of a task, and the file format ``APD_plans.json`` that keeps them.

The format is suite -> lower-cased instruction -> list of steps, each
``{"step": 1-based number, "subgoal": what the policy is told, "expected_effect": what a camera sees when it is done}``.
``PLAN_SCHEMA`` is its one definition: files, language models and servers are all held to it.
Source: the substep fine-tuning method's action-primitive decomposition (APD) files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

MAX_SUBSTEPS = 16
MAX_TEXT = 160
# No control characters, halves of characters, line separators, or invisible marks such as those of writing direction:
# a text is shown on terminals and sent in messages.
_UNFIT = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
_TEXT = {"type": "string", "minLength": 3, "maxLength": MAX_TEXT, "pattern": rf"^[^\s{_UNFIT}][^{_UNFIT}]*$"}
PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_SUBSTEPS,
    "items": {
        "type": "object",
        "properties": {"step": {"type": "integer", "minimum": 1}, "subgoal": _TEXT, "expected_effect": _TEXT},
        "required": ["step", "subgoal", "expected_effect"],
        "additionalProperties": False,
    },
}


class PlanFormatError(ValueError):
    """A plan or a plan file is not what it should be; the message says where and what would be right."""


@dataclass(frozen=True)
class Substep:
    """One atomic motion: what the policy is told, and what a camera sees when it is done."""

    instruction: str
    expected_effect: str


@dataclass(frozen=True)
class Plan:
    """A task's instruction and the substeps that carry it out, in order.

    Raises:
        PlanFormatError: no substeps, too many, or a text that is empty, too long or not one line.
    """

    instruction: str
    substeps: tuple[Substep, ...]

    def __post_init__(self) -> None:
        _check_schema(steps_to_json(self.substeps), f"plan for {self.instruction!r}")


Library = Mapping[str, Mapping[str, Plan]]


def normalise_instruction(instruction: str) -> str:
    """The form instructions are matched in: lower case, single spaces, no closing full stop."""
    return " ".join(instruction.lower().split()).rstrip(" .!")


def normalise_suite(suite: str) -> str:
    """``libero_10_no_noops`` names the same tasks as ``libero_10``."""
    return suite.removesuffix("_no_noops")


def steps_to_json(substeps: Iterable[Substep]) -> list[dict[str, Any]]:
    """Substeps -> the list of steps of the file format."""
    return [
        {"step": number, "subgoal": substep.instruction, "expected_effect": substep.expected_effect}
        for number, substep in enumerate(substeps, start=1)
    ]


def plan_from_json(instruction: str, steps: Any, where: str) -> Plan:
    """A list of steps as in the file format -> Plan.

    Args:
        where: where the steps came from, for messages.

    Raises:
        PlanFormatError: the steps break ``PLAN_SCHEMA`` or are not numbered 1, 2, 3, …
    """
    _check_schema(steps, where)
    for index, step in enumerate(steps):
        if step["step"] != index + 1:
            raise PlanFormatError(f"{where}, step {index + 1}: is numbered {step['step']}, expected {index + 1}")
    return Plan(instruction, tuple(Substep(step["subgoal"], step["expected_effect"]) for step in steps))


def read_library(path: Path) -> Library:
    """Read and validate a plan file.

    Raises:
        OSError: the file cannot be read.
        PlanFormatError: it is not JSON or not in the format; the message names file, suite, instruction and step.
    """
    try:
        data = json.loads(path.read_bytes(), object_pairs_hook=_refuse_duplicates)
    except PlanFormatError as error:
        raise PlanFormatError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # no JSON, no text, or a number of too many digits
        raise PlanFormatError(f"{path}: not JSON: {error}") from error
    return {
        suite: {
            instruction: _library_plan(instruction, steps, f"{path}: suite {suite!r}, instruction {instruction!r}")
            for instruction, steps in _mapping(plans, f"{path}: suite {suite!r}", "instructions to steps").items()
        }
        for suite, plans in _mapping(data, str(path), "suites to plans").items()
    }


def write_library(path: Path, library: Mapping[str, Mapping[str, Plan]]) -> None:
    """Write a plan file, one step a line so that changes can be read.

    Raises:
        PlanFormatError: an instruction is not in the form that it would be looked up in.
    """
    suites = []
    for suite, plans in library.items():
        entries = []
        for instruction, plan in plans.items():
            _check_key(instruction, f"suite {suite!r}")
            steps = ",\n".join(f"      {json.dumps(step, ensure_ascii=False)}" for step in steps_to_json(plan.substeps))
            entries.append(f"    {json.dumps(instruction, ensure_ascii=False)}: [\n{steps}\n    ]")
        suites.append(f"  {json.dumps(suite)}: {{\n" + ",\n".join(entries) + "\n  }")
    path.write_text("{\n" + ",\n".join(suites) + "\n}\n", encoding="utf-8")


def _library_plan(instruction: str, steps: Any, where: str) -> Plan:
    _check_key(instruction, where)
    return plan_from_json(instruction, steps, where)


def _check_key(instruction: str, where: str) -> None:
    if not instruction or instruction != normalise_instruction(instruction):
        expected = normalise_instruction(instruction)
        raise PlanFormatError(f"{where}: instruction {instruction!r} is not in its matching form, {expected!r}")


def _check_schema(steps: Any, where: str) -> None:
    error = jsonschema.Draft202012Validator(PLAN_SCHEMA).iter_errors(steps)
    first = next(iter(sorted(error, key=lambda found: list(map(str, found.absolute_path)))), None)
    if first is None:
        return
    place = "".join(f", step {part + 1}" if isinstance(part, int) else f", {part}" for part in first.absolute_path)
    raise PlanFormatError(f"{where}{place}: {_shortened(first.message)}")


def _mapping(value: Any, where: str, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PlanFormatError(f"{where}: expected an object mapping {what}, got {type(value).__name__}")
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise PlanFormatError(f"{key!r} appears twice")
        seen[key] = value
    return seen


def _shortened(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else f"{message[: limit // 2]} … {message[-limit // 2 :]}"
