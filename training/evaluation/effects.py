"""Whether a substep's effect holds, by LIBERO's predicates where the task has them, else by the demonstrator's checks.

What a substep's words mean is found out once, when it begins: later the thing may be in the hand or somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable

from substep_core.language.motions import OPEN, PICK_UP, TURN_ON
from substep_core.language.phrases import Place, Thing
from substep_core.language.reader import parse
from substep_core.scene import SceneObject, SceneState
from substep_demonstrator.articulation import limits_of
from substep_demonstrator.boxes import body_box
from substep_demonstrator.destinations import find_destination
from substep_demonstrator.grounding import find_joint, find_object

LIFTED = 0.03  # m; the demonstrator lifts by 0.07, and three timesteps before that is soon enough

Effect = Callable[[SceneState], bool]


class EffectFinder:
    """Reads the substeps of one episode in their order, and remembers what was to be picked up last.

    That thing is what the next substep means by "the bowl" where the scene has two.
    """

    def __init__(self) -> None:
        self._taken: str | None = None

    def find(self, instruction: str, scene: SceneState) -> Effect:
        """The effect of a substep that begins in ``scene``; call it once for every control step from then on.

        Raises:
            ValueError: the text or what it names is not understood, so nothing can be said about its effect.
        """
        motion = parse(instruction)
        if motion.kind is PICK_UP:
            thing = find_object(scene, motion.thing)
            self._taken = thing.name
            return _Lifted(thing)
        if motion.place is not None:
            thing = self._subject(motion.thing, scene)
            find_destination(scene, motion.place, thing)
            return _Arrived(thing.name, motion.place)
        return _joint_effect(scene, motion.thing, is_active=motion.kind in (OPEN, TURN_ON))

    def _subject(self, phrase: Thing, scene: SceneState) -> SceneObject:
        if self._taken is not None:
            try:
                return find_object(scene, phrase, exclude=frozenset(scene.objects) - {self._taken})
            except ValueError:
                pass  # it means something else
        return find_object(scene, phrase)


class _Lifted:
    """Between the fingers, and higher than it has been."""

    def __init__(self, thing: SceneObject) -> None:
        self._name = thing.name
        self._lowest = body_box(thing).bottom

    def __call__(self, scene: SceneState) -> bool:
        bottom = body_box(scene.objects[self._name]).bottom
        self._lowest = min(self._lowest, bottom)
        return self._name in scene.grasped and bottom - self._lowest >= LIFTED


class _Arrived:
    """At the place, and let go of. Some places of LIBERO are so tight that the predicate holds only on the way in."""

    def __init__(self, name: str, place: Place) -> None:
        self._name, self._place = name, place
        self._held_once = False

    def __call__(self, scene: SceneState) -> bool:
        thing = scene.objects[self._name]
        destination = find_destination(scene, self._place, thing)
        holds = destination.holds(scene, thing)
        self._held_once = self._held_once or holds
        there = holds or self._held_once and destination.surrounds(scene, thing)
        return there and self._name not in scene.grasped


def _joint_effect(scene: SceneState, phrase: Thing, is_active: bool) -> Effect:
    name = find_joint(scene, phrase).name

    def holds(scene: SceneState) -> bool:
        joint = scene.joints[name]
        limits = limits_of(scene, joint)
        return limits.is_active(joint.position) if is_active else limits.is_at_rest(joint.position)

    return holds
