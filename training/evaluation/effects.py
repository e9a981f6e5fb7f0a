"""Whether a substep's effect holds, by LIBERO's predicates where the task has them, else by the demonstrator's checks.

What a substep's words mean is found out once, when it begins: later the thing may be in the hand or somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable

from substep_policy.demonstrator import vocabulary
from substep_policy.demonstrator.articulation import limits_of
from substep_policy.demonstrator.boxes import body_box
from substep_policy.demonstrator.destinations import find_destination
from substep_policy.demonstrator.grounding import find_joint, find_object
from substep_policy.demonstrator.vocabulary import parse_command
from substep_policy.scene import SceneObject, SceneState

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
        match parse_command(instruction):
            case vocabulary.PickUp(target):
                thing = find_object(scene, target)
                self._taken = thing.name
                return _Lifted(thing)
            case vocabulary.Place(splits) | vocabulary.Push(splits):
                return self._arrival(splits, scene)
            case vocabulary.Open(target) | vocabulary.TurnOn(target):
                return _joint_effect(scene, target, is_active=True)
            case vocabulary.Close(target) | vocabulary.TurnOff(target):
                return _joint_effect(scene, target, is_active=False)
        raise TypeError(f"{instruction!r}: a motion whose effect is not defined here")

    def _arrival(self, splits: tuple[tuple[str, str, str], ...], scene: SceneState) -> Effect:
        errors = []
        for subject, preposition, place in splits:
            try:
                thing = self._subject(subject, scene)
                find_destination(scene, preposition, place, thing)
                return _Arrived(thing.name, preposition, place)
            except ValueError as error:
                errors.append(str(error))
        raise ValueError("; or ".join(dict.fromkeys(errors)))

    def _subject(self, phrase: str, scene: SceneState) -> SceneObject:
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

    def __init__(self, name: str, preposition: str, place: str) -> None:
        self._name, self._words = name, (preposition, place)
        self._held_once = False

    def __call__(self, scene: SceneState) -> bool:
        thing = scene.objects[self._name]
        destination = find_destination(scene, *self._words, thing)
        holds = destination.holds(scene, thing)
        self._held_once = self._held_once or holds
        there = holds or self._held_once and destination.surrounds(scene, thing)
        return there and self._name not in scene.grasped


def _joint_effect(scene: SceneState, phrase: str, is_active: bool) -> Effect:
    name = find_joint(scene, phrase).name

    def holds(scene: SceneState) -> bool:
        joint = scene.joints[name]
        limits = limits_of(scene, joint)
        return limits.is_active(joint.position) if is_active else limits.is_at_rest(joint.position)

    return holds
