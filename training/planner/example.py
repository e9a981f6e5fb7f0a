"""A sentence with what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from substep_planner.decomposers.grounding.request import Step

SIGN_OR_WORD = r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+"  # Chinese is read sign by sign

Mark = tuple[str, int]


@dataclass
class Example:
    """Attributes:

    categories: of the scene.
    words, marks: the sentence; as long as each other.
    steps: what is asked for; one step of ``CANNOT``: nothing that can be done.
    """

    categories: frozenset[str]
    words: list[str] = field(default_factory=list)
    marks: list[Mark | None] = field(default_factory=list)
    steps: tuple[Step, ...] = ()

    def say(self, text: str, mark: Mark | None = None) -> None:
        """Append words."""
        for word in re.findall(SIGN_OR_WORD, text):
            self.words.append(word)
            self.marks.append(mark)
