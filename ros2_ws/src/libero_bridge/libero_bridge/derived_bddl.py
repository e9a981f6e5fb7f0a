"""BDDL files made from a benchmark's own by rule, kept in the user's cache under their content's hash."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from substep_core.user_cache import user_cache

_PROBLEM = re.compile(r"\(\s*problem\s+(\w+)\s*\)")
_OBJECTS = re.compile(r"\(\s*:objects\b([^()]*)\)")
_DECLARED = re.compile(r"([\w\s]+?)\s+-\s+(\w+)")


def keep_bddl(name: str, text: str) -> Path:
    """The file NAME.bddl that holds ``text``; several processes may ask for it at once."""
    folder = user_cache() / "bddl" / hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / f"{name}.bddl"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False, encoding="utf-8") as part:
            part.write(text)
        os.replace(part.name, file)
    return file


def problem_name(text: str) -> str:
    """LIBERO's kind of scene as the file writes it. Raises: ValueError: it names none."""
    found = _PROBLEM.search(text)
    if not found:
        raise ValueError("it has no (problem NAME)")
    return found[1]


def with_problem(text: str, name: str) -> str:
    return text.replace(problem_name(text), name)


def object_categories(text: str) -> dict[str, str]:
    """Instance -> category of what ``(:objects …)`` declares. Raises: ValueError: there is no such part."""
    found = _OBJECTS.search(text)
    if not found:
        raise ValueError("it has no (:objects …)")
    declared = (match.groups() for match in _DECLARED.finditer(found[1]))
    return {name: category for names, category in declared for name in names.split()}


def with_categories(text: str, categories: dict[str, str]) -> str:
    """The same with other categories: instance -> category."""
    grouped: dict[str, list[str]] = {}  # LIBERO's parser takes each category once
    for name, category in categories.items():
        grouped.setdefault(category, []).append(name)
    declared = "".join(f"\n    {' '.join(names)} - {category}" for category, names in grouped.items())
    return _OBJECTS.sub(lambda _: f"(:objects{declared}\n  )", text, count=1)
