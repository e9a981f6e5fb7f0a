"""Requests for one thing to be done (or, with doors, for another of the kind after it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from training.planner.example import Example
from training.planner.requests import Requests
from training.planner.steps import moves


class SingleRequests(Requests):
    """Every method draws one kind of request, says it in the example and sets its steps."""

    def put(self, example: Example, entities: Sequence[Entity]) -> None:
        step = self._steps.put_step(entities)
        if self._random.random() < 0.12:
            step = self._with_a_gap(step)
        self._say.put(example, step, 0)
        example.steps = (step,)

    def pick(self, example: Example, entities: Sequence[Entity]) -> None:
        step = Step("pick up", self._random.choice([entity for entity in entities if moves(entity)]))
        step = self._steps.related(step, entities)
        if self._random.random() < 0.1:
            step = replace(step, thing=None)
        self._say.fill(example, self._random.choice(self._w.PICK), step, 0)
        example.steps = (step,)

    def push(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        thing = pick.choice([entity for entity in entities if moves(entity)])
        others = [entity for entity in entities if entity != thing and not entity.part] or [Entity("table")]
        step = Step("push", thing, preposition=pick.choice(self._w.BESIDE), place=pick.choice(others))
        if pick.random() < 0.12:
            step = replace(step, thing=None)
        self._say.fill(example, pick.choice(self._w.PUSH), step, 0)
        example.steps = (step,)

    def operate(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        step = Step(pick.choice(("open", "open", "close")), target)
        missing = pick.random() < 0.08
        if missing:
            step = replace(step, thing=None)
        self._say.operation(example, step, 0)
        example.steps = (step,)
        others = [e for e in entities if e.affordances.opens and e != target]
        if others and not missing and pick.random() < 0.15:
            second = Step(pick.choice(("open", "close")), pick.choice(others))
            self._say.join(example, 1)
            self._say.operation(example, second, 1, self._w.OPERATE[second.action][:4])
            example.steps += (second,)

    def switch(self, example: Example, entities: Sequence[Entity]) -> None:
        target = next(entity for entity in entities if entity.affordances.switches)
        step = Step(self._random.choice(("turn on", "turn on", "turn off")), target)
        self._say.operation(example, step, 0)
        example.steps = (step,)

    def _with_a_gap(self, step: Step) -> Step:
        """The same, but with something that is not there; the phrase for it is drawn later."""
        if self._random.random() < 0.6:
            return replace(step, thing=None)
        return replace(step, place=None)
