"""What may be answered to a planner that is not sure what a task means."""

from __future__ import annotations

from collections.abc import Callable

from substep_core.errors import SUGGESTING

YES = "yes"
Answer = Callable[[str, str], str]  # why there is no plan, and the question -> YES, the task in other words, or empty


def suggests(question: str) -> bool:
    """Yes answers the question; else the task has to be said in other words."""
    return question.startswith(SUGGESTING)


def nobody(why: str, question: str) -> str:
    """There is nobody to ask."""
    return ""
