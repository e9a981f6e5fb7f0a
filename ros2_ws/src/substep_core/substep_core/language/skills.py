"""What a robot can do, by the words that its substeps begin with: "pick up", "open", or "wipe" of a robot that can.

The motions of the substep language are skills, and a robot contract may name others (``RobotContract.skills``).
"""

from __future__ import annotations

from collections.abc import Iterable

from substep_core.language.motions import MOTIONS, Motion, kind_of
from substep_core.language.phrases import PhraseError
from substep_core.language.reader import parse

LANGUAGES_OWN = tuple(kind.name for kind in MOTIONS)


def skill_of(text: str, skills: Iterable[str]) -> str | None:
    """The skill that a substep asks for: the longest of these that it begins with, else its motion; None: neither."""
    plain = " ".join(text.lower().split())
    begun = [skill for skill in skills if skill not in LANGUAGES_OWN and plain.startswith(f"{skill} ")]
    if begun:
        return max(begun, key=len)
    kind = kind_of(plain)
    return kind.name if kind is not None else None


def things_of(text: str, skills: Iterable[str]) -> Motion | None:
    """What a substep acts on, and where; of a skill beyond the language as if it were a placing or a picking up. None:
    it cannot be read."""
    plain = " ".join(text.lower().split())
    begun = skill_of(plain, skills)
    if begun is None or begun in LANGUAGES_OWN:
        return _parsed(plain)
    rest = plain.removeprefix(f"{begun} ")
    return _parsed(f"place {rest}") or _parsed(f"pick up {rest}")


def _parsed(text: str) -> Motion | None:
    try:
        return parse(text)
    except PhraseError:
        return None
