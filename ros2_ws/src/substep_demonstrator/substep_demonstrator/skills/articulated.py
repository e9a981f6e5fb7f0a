"""Open, close, turn on, turn off: finds the moving part when the scene is first seen, then hands over to its motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from substep_core.language import motions
from substep_demonstrator.articulation import DRAWERS
from substep_demonstrator.grounding import find_joint
from substep_demonstrator.skills.drawer import CloseDrawer, OpenDrawer
from substep_demonstrator.skills.knob import TurnKnob
from substep_demonstrator.skills.microwave import CloseMicrowave
from substep_demonstrator.skills.skill import HandTarget, Instant, Skill

# LIBERO category -> motion for a joint's name; the others cannot be done that way.
_SKILLS: Mapping[motions.MotionKind, Mapping[str, Callable[[str], Skill]]] = {
    motions.OPEN: {category: OpenDrawer for category in sorted(DRAWERS)},
    motions.CLOSE: {category: CloseDrawer for category in sorted(DRAWERS)} | {"microwave": CloseMicrowave},
    motions.TURN_ON: {"flat_stove": lambda joint: TurnKnob(joint, on=True)},
    motions.TURN_OFF: {"flat_stove": lambda joint: TurnKnob(joint, on=False)},
}


class Articulated:
    """Waits for the scene to choose the motion that suits the named part."""

    def __init__(self, asked: motions.Motion) -> None:
        self._asked = asked
        self._skill: Skill | None = None

    def step(self, view: Instant) -> HandTarget:
        if self._skill is None:
            joint, skills = find_joint(view.scene, self._asked.thing), _SKILLS[self._asked.kind]
            category = view.scene.objects[joint.object].category
            if category not in skills:
                expected = " or ".join(skills)
                raise ValueError(f"cannot {self._asked.text!r}, which is {joint.object}: expected {expected}")
            self._skill = skills[category](joint.name)
        return self._skill.step(view)
