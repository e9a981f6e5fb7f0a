"""Checks of a plan: one motion a substep, in a workable order, visible effects, objects that the scene has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from substep_core.language.motions import CLOSE, OPEN, PICK_UP, PLACE, Motion, kind_of
from substep_core.language.nouns import NOUNS, ROBOT_PARTS
from substep_core.language.phrases import PhraseError, Thing
from substep_core.language.reader import parse
from substep_core.language.skills import LANGUAGES_OWN, skill_of, things_of
from substep_core.plan import Plan, Substep, normalise_instruction
from substep_planner.decomposers.grounding.scene import PART_SIDES

_CATEGORIES = frozenset(category for noun in NOUNS.values() for category in noun.categories)


def in_shared_words(plan: Plan, skills: tuple[str, ...] = ()) -> tuple[Plan, list[str]]:
    """The plan in the words of the substep vocabulary, and what is wrong with it (nothing: an empty list).

    "Grab the cup." becomes "pick up the mug"; effects stay as they are but for case and full stop. So do steps of a
    skill that the language lacks.

    Args:
        skills: as in ``PlanRequest``.
    """
    problems: list[str] = []
    substeps: list[Substep] = []
    motions: list[Motion | None] = []  # None: of a skill beyond the language
    for number, step in enumerate(plan.substeps, start=1):
        effect = step.expected_effect.strip().rstrip(".").lower()
        if skill_of(step.instruction, skills) not in (None, *LANGUAGES_OWN):
            motions.append(None)
            substeps.append(Substep(normalise_instruction(step.instruction), effect))
            continue
        try:
            motions.append(_motion(step.instruction))
        except PhraseError as error:
            problems.append(f"step {number}: {step.instruction!r} is not a single motion: {error}")
            continue
        substeps.append(Substep(motions[-1].text, effect))
        problems += [f"step {number}: {problem}" for problem in _effect_problems(substeps[-1])]
    if not problems:
        problems = _order_problems(motions) + _repetitions(substeps)
    return (plan if problems else Plan(plan.instruction, tuple(substeps))), problems


def unknown_skills(plan: Plan, skills: tuple[str, ...]) -> list[str]:
    """Substeps that the robot has no skill for, each with the reason. Args: skills: as in ``PlanRequest``."""
    known = ", ".join(skills or LANGUAGES_OWN)
    wanted = {step.instruction: skill_of(step.instruction, skills) for step in plan.substeps}
    return [
        f"{text!r} is none of its skills: {known}" for text, skill in wanted.items() if skills and skill not in skills
    ]


def untaught_skills(plan: Plan, skills: tuple[str, ...], taught: tuple[str, ...]) -> list[str]:
    """Substeps with a skill that the policy was not taught, each with the reason.

    One whose skill cannot be read, such as the instruction of a whole task, is none of them: it may be what was taught.

    Args:
        skills, taught: as ``skills`` and ``policy_skills`` in ``PlanRequest``.
    """
    if not taught:
        return []
    wanted = {step.instruction: skill_of(step.instruction, (*skills, *taught)) for step in plan.substeps}
    return [
        f"{text!r} is none of what it was taught: {', '.join(taught)}"
        for text, skill in wanted.items()
        if skill is not None and skill not in taught
    ]


def missing_things(plan: Plan, objects: frozenset[str], skills: tuple[str, ...] = ()) -> list[str]:
    """What the plan names and the scene lacks; ``objects`` are the scene's categories, empty if they are unknown."""
    if not objects:
        return []
    named = {name for step in plan.substeps for name in _names(step.instruction, skills)}
    return sorted(name for name in named if not _is_there(name, objects))


def too_few(plan: Plan, counts: Mapping[str, int]) -> list[str]:
    """Of what the plan picks up more than the scene has: "1 moka pot, and 2 are picked up".

    Args:
        counts: of the scene's things by category; empty if they are unknown.
    """
    picked: dict[str, Counter[str]] = {}
    for step in plan.substeps:
        try:
            motion = parse(step.instruction)
        except PhraseError:  # not in the shared words, so nothing can be said
            continue
        if motion.kind is PICK_UP:
            picked.setdefault(motion.thing.name, Counter())[_told_apart_by(motion.thing)] += 1
    problems = []
    for name, phrases in picked.items():
        there = sum(count for kind, count in counts.items() if _is_there(name, frozenset({kind})))
        several = sum(phrases[phrase] if "outside" in phrase.split() else 1 for phrase in phrases if phrase)
        if counts and there < several:
            problems.append(f"{there} {name}, and {several} are picked up")
    return problems


def _told_apart_by(thing: Thing) -> str:
    """What says which of several; what is outside of where it goes is another one every time."""
    is_outside = thing.relation is not None and thing.relation.word == "outside"
    return thing.phrase if is_outside else thing.side


def _motion(text: str) -> Motion:
    motion = parse(text)
    if motion.thing.head in ROBOT_PARTS:
        raise PhraseError("it moves the robot, not a thing")
    return motion


def _effect_problems(step: Substep) -> list[str]:
    if step.expected_effect == step.instruction or _is_instruction(step.expected_effect):
        return [f"the effect {step.expected_effect!r} is an instruction, not something that a camera sees"]
    return []


def _is_instruction(effect: str) -> bool:
    """ "Open drawer" and "close to the plate" can be seen, and so can what "is": "light of the stove is on"."""
    return kind_of(effect) not in (None, OPEN, CLOSE) and "is" not in effect.split()


def _order_problems(motions: list[Motion | None]) -> list[str]:
    problems = []
    held: Thing | None = None
    for number, motion in enumerate(motions, start=1):
        if motion is None:  # of a skill that nothing is known of
            continue
        if motion.kind is PLACE:
            if held is None and number > 1:
                problems.append(f"step {number}: the {motion.thing.name} is placed but was not picked up")
            held = None
        elif held is not None:
            problems.append(f"step {number}: the gripper still holds the {held.name}")
        elif motion.kind is PICK_UP:
            held = motion.thing
    return problems


def _repetitions(substeps: list[Substep]) -> list[str]:
    effects = [step.expected_effect for step in substeps]
    return [
        f"step {number}: the effect {effect!r} is that of an earlier step"
        for number, effect in enumerate(effects, start=1)
        if effect in effects[: number - 1]
    ]


def _names(instruction: str, skills: tuple[str, ...]) -> list[str]:
    """Nouns of the things that a substep acts on, places them at, and tells them apart by ("next to the ramekin")."""
    motion = things_of(instruction, skills)
    if motion is None:  # not in the shared words, so nothing can be said
        return []
    things = [motion.thing] + ([motion.place.thing] if motion.place is not None else [])
    nowhere = [thing.name for thing in things if thing.part and thing.part.side not in PART_SIDES[thing.part.noun]]
    return nowhere + [name for thing in things for name in _names_in(thing)]


def _names_in(thing: Thing) -> list[str]:
    anchors = thing.relation.things if thing.relation is not None else ()
    return [thing.whole, *(name for anchor in anchors for name in _names_in(anchor))]


def _is_there(name: str, objects: frozenset[str]) -> bool:
    """By LIBERO's categories; by the words of the name among those of one of the scene's others."""
    if name in NOUNS:
        categories = NOUNS[name].categories
        if not categories or not objects.isdisjoint(categories):
            return True
    words = set(name.split())
    return any(words <= set(category.split("_")) for category in objects.difference(_CATEGORIES))


def unclear_things(plan: Plan, objects: frozenset[str]) -> list[str]:
    """Names of things to be picked up that may mean several kinds in the scene, without a word of which."""
    motions = [parse(step.instruction) for step in plan.substeps]
    picked = [motion.thing for motion in motions if motion.kind is PICK_UP]
    several = {thing.name for thing in picked if not thing.side and not thing.relation}
    return sorted(name for name in several if len(_kinds_called(name, objects)) > 1)


def _kinds_called(name: str, objects: frozenset[str]) -> list[str]:
    """Those of the scene's categories that a name may mean: LIBERO's by its nouns, others by their words."""
    if name in NOUNS:
        return sorted(objects.intersection(NOUNS[name].categories))
    own = [kind for kind in objects.difference(_CATEGORIES) if set(name.split()) <= set(kind.split("_"))]
    return [kind for kind in own if kind.split("_") == name.split()] or sorted(own)
