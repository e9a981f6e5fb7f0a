"""What a robot can do, by the words that its substeps begin with: "pick up", "open", or "wipe" of a robot that can.

The motions of the substep language are skills, and a robot contract may name others (``RobotContract.skills``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from substep_core.contract import SKILL_NAME
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


def skills_in(texts: Iterable[str], skills: Sequence[str]) -> tuple[str, ...]:
    """The skills that all of these substeps ask for, sorted; none if one cannot be read: then it is not known which.

    Args:
        skills: of the robot, as for ``skill_of``.
    """
    asked = {skill_of(text, skills) for text in texts}
    return () if None in asked else tuple(sorted(asked))


def skills_to_text(skills: Sequence[str]) -> str:
    """As the topic ``policy_skills`` says them."""
    return "\n".join(skills)


def skills_from_text(text: str) -> tuple[str, ...]:
    """Raises: ValueError: a line is no name of a skill."""
    skills = tuple(text.split("\n")) if text else ()
    if wrong := [skill for skill in skills if not re.match(SKILL_NAME, skill)]:
        raise ValueError(f"skills are {wrong}, expected words of small letters, one skill a line")
    return skills


def _parsed(text: str) -> Motion | None:
    try:
        return parse(text)
    except PhraseError:
        return None
