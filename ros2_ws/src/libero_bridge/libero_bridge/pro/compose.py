"""LIBERO-PRO's perturbations of a BDDL file. Text in, text out; what could not be done is said.

PRO draws with a seed that it sets anew for every file (28), but for positions, which it draws unseeded: of those every
set that is made differs, and here seed 28 is taken for them too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from libero_bridge.derived_bddl import object_categories, problem_name, with_categories, with_problem
from libero_bridge.pro.appearance import Appearance, appearance_of
from libero_bridge.pro.tables import OtherTask, balanced

SEED = 28
MENDED = "goal's parentheses mended"
LIVING_ROOM = ("LIBERO_Living_Room_Tabletop_Manipulation", "living_room_table")
_ON = r"\(\s*On\s+{}\s+([\w]+)\s*\)"
_LANGUAGE = re.compile(r"(\(\s*:language\s+)[^()]*\)")
_INIT = re.compile(r"\(\s*:init\b")
_FIXTURES = re.compile(r"\(\s*:fixtures\b([^()]*)\)")


@dataclass(frozen=True)
class Composed:
    """A perturbed BDDL file.

    Attributes:
        notes: what departs from what PRO's tables ask for; none: nothing.
        shown: instance -> in what colour and size.
    """

    text: str
    notes: tuple[str, ...] = ()
    shown: Mapping[str, Appearance] = field(default_factory=dict)


def swapped(text: str, candidates: Mapping[str, Sequence[str]]) -> Composed:
    """Objects change places with others of the scene.

    Args:
        candidates: object -> with which.
    """
    generator, done = random.Random(SEED), 0
    for name in generator.sample(sorted(candidates), len(candidates)):
        own = _place(text, name)
        others = [other for other in candidates[name] if _place(text, other)]
        if not own or not others:
            continue
        other = generator.choice(others)
        text = _exchanged(text, name, other)
        done += 1
    return Composed(text, () if done else ("nothing to swap with",))


def with_other_objects(text: str, replacements: Mapping[str, Sequence[str]], known: Iterable[str]) -> Composed:
    """Objects become others, the sentence stays.

    PRO exchanges the word wherever it stands; here it is the declared category, so that no other word is hit.

    Args:
        replacements: category -> what it may become.
        known: categories that can be shown.
    """
    generator, notes, shown = random.Random(SEED), [], {}
    for category, choices in replacements.items():
        instances = _instances(text, category)
        if not instances:
            notes.append(f"{category} is not in the scene")
            continue
        possible = [found for found in (appearance_of(name, category, known) for name in choices) if found]
        if not possible:
            notes.append(f"nothing stands in for {' or '.join(choices)}")
            continue
        chosen = generator.choice(possible)
        text = re.sub(rf"(\s-\s+){category}(?=[\s)])", rf"\g<1>{chosen.category}", text)
        if chosen.color or chosen.scale != 1:
            notes.append("embedded")
            shown |= dict.fromkeys(instances, chosen)
    text = with_categories(text, object_categories(text))  # two categories may have become one
    return Composed(text, tuple(dict.fromkeys(notes)), shown)


def with_other_words(text: str, sentences: Sequence[str]) -> Composed:
    return Composed(_told(text, random.Random(SEED).choice(list(sentences))))


def with_other_task(text: str, tasks: Sequence[OtherTask]) -> Composed:
    """Something else is to be done in the same scene."""
    task = random.Random(SEED).choice(list(tasks))
    text = _told(text, task.instruction)
    text = _with_part(text, ":obj_of_interest", "\n    ".join(task.objects))
    text = _with_part(text, ":goal", task.goal)
    return Composed(text, (MENDED,) if task.mended else ())


def in_living_room(text: str, tables: Sequence[str]) -> Composed:
    """On the living room's table: PRO, which means to draw, always takes it. Tasks that are there already stay.

    Args:
        tables: what the task stands on now.
    """
    problem, table = LIVING_ROOM
    if problem_name(text).lower() == problem.lower():
        return Composed(text, ("in the living room already",))
    for old in tables:
        text = re.sub(rf"\b{old}(?=\b|_)", table, text)
    text = with_problem(text, problem)
    fixtures = _FIXTURES.search(text)
    declared = re.sub(rf"({table}\s+-\s+)\w+", rf"\g<1>{table}", fixtures[1])
    return Composed(text[: fixtures.start(1)] + declared + text[fixtures.end(1) :])


def with_balanced_goal(text: str) -> Composed:
    """A file of PRO's own, made from a table's goal with too few or too many parentheses, which LIBERO cannot read."""
    if text.count("(") == text.count(")"):
        return Composed(text)
    found = re.search(r"\(\s*:goal\b", text)
    if found is None:
        raise ValueError("it has no (:goal …)")
    goal = re.sub(r"\)\s*\)\s*$", "", text[found.end() :])  # the file's last part
    return Composed(f"{text[: found.end()]}\n    {balanced(goal)}\n  )\n)\n", (MENDED,))


def _told(text: str, sentence: str) -> str:
    return _LANGUAGE.sub(lambda found: f"{found[1]}{sentence})", text, count=1)


def _init_at(text: str) -> int:
    found = _INIT.search(text)
    if found is None:
        raise ValueError("it has no (:init …)")
    return found.start()


def _place(text: str, name: str) -> str:
    """Region that an object begins on; "": none."""
    found = re.search(_ON.format(re.escape(name)), text[_init_at(text) : _part(text, ":goal")[0]])
    return found[1] if found else ""


def _exchanged(text: str, name: str, other: str) -> str:
    own, others = _place(text, name), _place(text, other)
    start, end = _init_at(text), _part(text, ":goal")[0]
    facts = text[start:end]
    facts = re.sub(_ON.format(re.escape(name)), f"(On {name} {others})", facts)
    facts = re.sub(_ON.format(re.escape(other)), f"(On {other} {own})", facts)
    return text[:start] + facts + text[end:]


def _instances(text: str, category: str) -> list[str]:
    start = _init_at(text)
    declared = re.findall(rf"([\w \t]+?)\s+-\s+{category}(?=[\s)])", text[:start])
    return [name for names in declared for name in names.split()]


def _part(text: str, name: str) -> tuple[int, int]:
    """Where ``(name …)`` begins and ends. Raises: ValueError: it is not there, or does not end."""
    found = re.search(rf"\(\s*{name}\b", text)
    if found is None:
        raise ValueError(f"it has no ({name} …)")
    depth = 0
    for place in range(found.start(), len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return found.start(), place + 1
    raise ValueError(f"its ({name} …) does not end")


def _with_part(text: str, name: str, content: str) -> str:
    start, end = _part(text, name)
    return f"{text[:start]}({name}\n    {content}\n  ){text[end:]}"
