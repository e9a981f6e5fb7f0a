"""What may be answered to a planner that is not sure what a task means."""

from __future__ import annotations

from collections.abc import Callable

YES = "yes"
Answer = Callable[[str, str], str]  # why there is no plan, and the question -> YES, the task in other words, or empty


def nobody(why: str, question: str) -> str:
    """There is nobody to ask."""
    return ""
