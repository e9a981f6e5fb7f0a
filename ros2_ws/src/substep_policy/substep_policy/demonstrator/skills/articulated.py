"""Open, close, turn on, turn off: finds the moving part when the scene is first seen, then hands over to its motion."""

from __future__ import annotations

from collections.abc import Callable

from substep_policy.demonstrator.articulation import DRAWERS
from substep_policy.demonstrator.grounding import find_joint
from substep_policy.demonstrator.skills.drawer import CloseDrawer, OpenDrawer
from substep_policy.demonstrator.skills.knob import TurnKnob
from substep_policy.demonstrator.skills.microwave import CloseMicrowave
from substep_policy.demonstrator.skills.skill import Motion, Skill, View


class Articulated:
    """Waits for the scene to choose the motion that suits the named part.

    ``motions``: category -> motion for a joint's name, the others cannot be done that way.
    """

    def __init__(self, verb: str, phrase: str, motions: dict[str, Callable[[str], Skill]]) -> None:
        self._verb, self._phrase, self._motions = verb, phrase, motions
        self._skill: Skill | None = None

    def step(self, view: View) -> Motion:
        if self._skill is None:
            joint = find_joint(view.scene, self._phrase)
            category = view.scene.objects[joint.object].category
            if category not in self._motions:
                expected = " or ".join(self._motions)
                raise ValueError(f"cannot {self._verb} {self._phrase!r}, which is {joint.object}: expected {expected}")
            self._skill = self._motions[category](joint.name)
        return self._skill.step(view)


def open_part(phrase: str) -> Skill:
    return Articulated("open", phrase, {category: OpenDrawer for category in sorted(DRAWERS)})


def close_part(phrase: str) -> Skill:
    drawers = {category: CloseDrawer for category in sorted(DRAWERS)}
    return Articulated("close", phrase, {**drawers, "microwave": CloseMicrowave})


def turn_on(phrase: str) -> Skill:
    return Articulated("turn on", phrase, {"flat_stove": lambda joint: TurnKnob(joint, on=True)})


def turn_off(phrase: str) -> Skill:
    return Articulated("turn off", phrase, {"flat_stove": lambda joint: TurnKnob(joint, on=False)})
