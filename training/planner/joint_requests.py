"""Requests for several things that belong together: in one place, from one place, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from training.planner.example import Example
from training.planner.requests import Requests
from training.planner.steps import moves


class JointRequests(Requests):
    """Every method draws one kind of request, says it in the example and sets its steps."""

    def switch_and_put(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        stove = next(entity for entity in entities if entity.affordances.switches)
        on = Step("turn on", stove)
        put = Step("put", pick.choice([e for e in entities if moves(e)]), preposition="on", place=stove)
        if pick.random() < 0.12:  # said as one
            self._say.fill(example, pick.choice(self._w.HEAT), put, 1, "heat")
            example.steps = (on, put)
            return
        first, second = (on, put) if pick.random() < 0.8 else (put, on)
        example.steps = (first, second)
        self._say.either(example, first, 0)
        self._say.join(example, 1)
        if second is on:
            example.say(pick.choice(self._w.SWITCH_IT), ("verb", 1))
        elif pick.random() < 0.75:
            self._say.put_there(example, put, 1)
        else:
            self._say.put(example, put, 1)

    def open_and_put(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        put = Step("put", pick.choice([e for e in entities if moves(e)]), preposition="in", place=target)
        opened = Step("open", target)
        example.steps = (opened, put)
        if pick.random() < 0.2:
            self._say.fill(example, pick.choice(self._w.PUT[:4]), put, 1)
            example.say(pick.choice(self._w.AFTER_OPENING), ("before", 0))
            return
        self._say.operation(example, opened, 0, self._w.OPERATE["open"][:5])
        self._say.join(example, 1)
        if pick.random() < 0.85:
            self._say.put_there(example, put, 1)
        else:
            self._say.put(example, put, 1)
        if pick.random() < 0.2:
            example.steps += (Step("close", target),)
            self._say.join(example, 2)
            example.say(pick.choice(self._w.CLOSE_IT), ("verb", 2))

    def put_and_close(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        put = Step("put", pick.choice([e for e in entities if moves(e)]), preposition="in", place=target)
        put = self._steps.related(put, entities) if pick.random() < 0.2 else put
        example.steps = (put, Step("close", target))
        self._say.put(example, put, 0)
        if pick.random() < 0.12:
            example.say(pick.choice(self._w.AND_IS_CLOSED), ("verb", 1))
            return
        self._say.join(example, 1)
        example.say(pick.choice(self._w.CLOSE_IT), ("verb", 1))

    def two_into_one(self, example: Example, entities: Sequence[Entity]) -> None:
        """ "both the soup and the sauce in the basket"."""
        pick = self._random
        movable = [entity for entity in entities if moves(entity)]
        first, *others = pick.sample(movable, min(len(movable), pick.choice((2, 2, 2, 2, 2, 3, 4, 5))))
        places = [entity for entity in entities if entity not in (first, *others) and entity.kind != "table"]
        at = self._steps.place_at(pick.choice(places or [Entity("table")]))
        at = replace(at, place_side="")
        example.steps = tuple(replace(at, thing=thing) for thing in (first, *others))
        if pick.random() < 0.12:
            gap = pick.randrange(len(example.steps))
            example.steps = tuple(replace(s, thing=None) if n == gap else s for n, s in enumerate(example.steps))
        inside = at.preposition == "in" and pick.random() < 0.12
        slots = {
            "{A}": lambda: self._all_but_the_last(example),
            "{B}": lambda: self._say.thing(example, example.steps[-1], len(others)),
            "{P}": lambda: self._say.place(example, at, 0),
            "{p}": lambda: example.say(self._say.phrase(at.place, example), ("place", 0)),
        }
        self._say.fill_slots(example, pick.choice(self._w.TWO_IN if inside else self._w.TWO), slots, ("verb", 0))

    def _all_but_the_last(self, example: Example) -> None:
        """In a row, as with commas, which nobody hears."""
        self._say.thing(example, example.steps[0], 0)
        for number in range(1, len(example.steps) - 1):
            if self._random.random() < 0.3:
                example.say(self._random.choice(self._w.AND), ("verb", number))
            self._say.thing(example, example.steps[number], number)

    def two_puts(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        first = self._steps.put_step(entities)
        second = self._steps.put_step(entities)
        if first.thing == second.thing:
            second = replace(second, side="right" if first.side == "left" else "left")
        same = first.place is not None and pick.random() < 0.5 and second.thing != first.place
        if same:  # "and the pudding to the right of it"
            second = replace(second, place=first.place, place_side="", relation="", anchors=(),
                             preposition=pick.choice((*self._w.BESIDE, first.preposition)))  # fmt: skip
            if first.place_side and pick.random() < 0.6:
                second = replace(second, place_side="right" if first.place_side == "left" else "left",
                                 preposition=first.preposition)  # fmt: skip
        example.steps = (first, second)
        self._say.put(example, first, 0)
        self._say.join(example, 1)
        if pick.random() < 0.7:
            example.say(pick.choice(self._w.VERBS["V"]), ("verb", 1))
        self._say.thing(example, second, 1)
        if same and second.place_side:
            example.say(pick.choice(self._w.PREPOSITION_WORDS[second.preposition]), ("preposition", 1))
            side = pick.choice(self._w.SIDE_WORDS[second.place_side])
            example.say(pick.choice(self._w.THE_OTHER_SIDE).format(side=side), ("there", 1))
        elif same and second.preposition in self._w.BESIDE and pick.random() < 0.4:
            side = second.preposition.split()[2]
            example.say(pick.choice(self._w.TO_ITS_SIDE).format(side=side), ("aside", 1))
        elif same and pick.random() < 0.5:
            self._say.place(example, second, 1, pick.choice(self._w.SAME))
        else:
            self._say.place(example, second, 1)

    def both(self, example: Example, entities: Sequence[Entity]) -> None:
        pick = self._random
        thing = pick.choice([entity for entity in entities if moves(entity)])
        at = self._steps.place_at(pick.choice([entity for entity in entities if entity != thing]))
        at = replace(at, place_side="")
        example.steps = (replace(at, thing=thing, side="left"), replace(at, thing=thing, side="right"))
        slots = {
            "{A}": lambda: example.say(self._say.phrases.many(thing.kind), ("thing", 0)),
            "{P}": lambda: self._say.place(example, at, 0),
        }
        self._say.fill_slots(example, pick.choice(self._w.BOTH), slots, ("verb", 0))
