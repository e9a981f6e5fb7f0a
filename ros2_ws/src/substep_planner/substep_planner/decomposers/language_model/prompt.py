"""The prompt: a file with a "# system" and a "# user" section, versioned by its content."""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from substep_planner.decomposers.base import PlanRequest


@dataclass(frozen=True)
class Prompt:
    """What a model is told.

    Attributes:
        system: the rules.
        user: with ``$instruction`` and ``$context`` (what was done, what is in the scene).
        version: changes with every change of the text.
    """

    system: str
    user: string.Template
    version: str

    def user_text(self, request: PlanRequest) -> str:
        """The user's part for one request."""
        return self.user.substitute(instruction=request.instruction, context=_context(request)).strip()


def load_prompt(path: str = "") -> Prompt:
    """Read a prompt file; an empty path means the shipped one.

    Raises:
        ValueError: the file cannot be read, a section or a placeholder is missing, or there is an unknown placeholder.
    """
    source = Path(path) if path else files("substep_planner") / "data" / "decompose_prompt.md"
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"prompt: {error}") from error
    found = re.fullmatch(r"\s*# system\n(.*)\n# user\n(.*)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"prompt {source}: expected a section '# system' followed by a section '# user'")
    user = string.Template(found[2])
    if not user.is_valid() or set(user.get_identifiers()) != {"instruction", "context"}:
        raise ValueError(f"prompt {source}: the user section needs $instruction and $context and no other placeholder")
    return Prompt(found[1].strip(), user, hashlib.sha256(text.encode()).hexdigest()[:12])


def _context(request: PlanRequest) -> str:
    lines = []
    if request.objects:
        names = ", ".join(sorted(name.replace("_", " ") for name in request.objects))
        lines.append(f"In the scene: {names}.")
    if request.skills:
        lines.append(f"All that the robot can do, and that a subgoal may begin with: {', '.join(request.skills)}.")
    if request.done:
        done = "; ".join(substep.instruction for substep in request.done)
        lines.append(f"Already done: {done}. Plan only what remains.")
    if request.failure is not None:
        lines.append(f"The previous plan failed: {request.failure}.")
    return "\n".join(lines)
