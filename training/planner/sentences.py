"""Makes sentences with what they ask for: the training data of the embedded language model.

A sentence is a list of words, each marked with what it is for: ("thing", 0) is the thing of the first step. Everything
is drawn: the scene, the steps, how each is asked for, what is said around it, and slips of the tongue and the keyboard.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from substep_planner.decomposers.grounding.scene import ALL_CATEGORIES, Entity, entities_of
from training.planner.example import Example
from training.planner.joint_requests import JointRequests
from training.planner.lexicon import Lexicon, load
from training.planner.no_requests import NoRequests
from training.planner.single_requests import SingleRequests
from training.planner.slips import with_slips
from training.planner.speech import Speech
from training.planner.steps import Steps, moves

Maker = Callable[[Example, Sequence[Entity]], None]


class Sentences:
    """An endless stream of examples; the same seed draws the same ones.

    Args:
        lexicon: of English where none is given.
        typing: words may be mistyped.
    """

    def __init__(self, seed: int, lexicon: Lexicon | None = None, *, typing: bool = True) -> None:
        self._random, self._typing = random.Random(seed), typing
        self._w = lexicon or load()
        self._kinds = sorted(ALL_CATEGORIES.intersection(self._w.things))
        self._speech = Speech(self._w, self._random)
        steps = Steps(self._w, self._random)
        self._single = SingleRequests(self._w, self._random, steps, self._speech)
        self._joint = JointRequests(self._w, self._random, steps, self._speech)
        self._none = NoRequests(self._w, self._random, steps, self._speech)

    def draw(self) -> Example:
        example = Example(self._scene())
        if self._random.random() < 0.13:
            self._none.say(example)
        else:
            self._request(example)
        example.words, example.marks = with_slips(example.words, example.marks, self._random, typing=self._typing)
        return example

    def _scene(self) -> frozenset[str]:
        pick = self._random
        known = self._kinds
        if pick.random() < 0.06:
            return frozenset(known)
        movable = [kind for kind in known if not Entity(kind).affordances.fixed]
        fixed = [kind for kind in known if Entity(kind).affordances.fixed]
        found = self._some(movable, pick.randint(2, 8)) + self._some(fixed, pick.choice((0, 1, 1, 2, 2, 3)))
        if pick.random() < 0.5:
            found.append(pick.choice([kind for kind in ("basket", "plate", "wooden_tray") if kind in known] or movable))
        if pick.random() < 0.25:  # several of one family, so that words must be read closely
            found += self._some([kind for kind in movable if kind.endswith(("mug", "bowl", "book", "sauce"))], 3)
        if pick.random() < 0.35:
            found += pick.sample(self._speech.foreign, pick.randint(1, 3))
        return frozenset(found)

    def _some(self, kinds: Sequence[str], number: int) -> list[str]:
        """So many of them, or all."""
        return self._random.sample(kinds, min(number, len(kinds)))

    def _request(self, example: Example) -> None:
        pick = self._random
        entities = entities_of(example.categories)
        maker = pick.choices(*zip(*self._makers(entities), strict=True))[0]
        before, after = pick.random(), pick.random()
        if before < 0.3:
            example.say(self._speech.noise(self._w.BEFORE, example))
        if pick.random() < 0.25:
            example.say(pick.choice(self._w.POLITE))
        maker(example, entities)
        if after < 0.25:
            example.say(self._speech.noise(self._w.AFTER, example))

    def _makers(self, entities: Sequence[Entity]) -> Iterator[tuple[Maker, float]]:
        """Kinds of requests that the things that are there allow, and their weights."""
        movable = [entity for entity in entities if moves(entity)]
        if any(entity.affordances.opens for entity in entities):
            yield self._single.operate, 1.2
            if movable:
                yield self._joint.open_and_put, 0.8
                yield self._joint.put_and_close, 0.9
        if any(entity.affordances.switches for entity in entities):
            yield self._single.switch, 0.7
            if movable:
                yield self._joint.switch_and_put, 0.7
        if movable:
            yield self._single.put, 5.0
            yield self._single.pick, 0.3
            yield self._single.push, 0.6
            yield self._joint.both, 0.5
            yield self._joint.two_puts, 0.9
        if len(movable) > 1:
            yield self._joint.two_into_one, 1.4
