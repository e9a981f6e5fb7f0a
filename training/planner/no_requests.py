"""Sentences that ask for nothing that can be done: chatter, unknown motions, motions that do not fit their thing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.request import CANNOT, Step
from substep_planner.decomposers.grounding.scene import Entity, entities_of
from training.planner.example import Example
from training.planner.lexicon import Lexicon
from training.planner.speech import Speech
from training.planner.steps import Steps


class NoRequests:
    def __init__(self, lexicon: Lexicon, pick: random.Random, steps: Steps, say: Speech) -> None:
        self._w, self._random = lexicon, pick
        self._steps = steps
        self._say = say

    def say(self, example: Example) -> None:
        pick = self._random
        entities = entities_of(example.categories)
        example.steps = (Step(CANNOT),)
        kind = pick.random()
        if kind < 0.12:
            example.say(self._say.noise(self._w.CHATTER, example), ("verb", 0))
        elif kind < 0.2:
            example.say(self._say.noise(self._w.BEFORE + self._w.AFTER, example))
        elif kind < 0.27:
            self._gibberish(example)
        elif kind < 0.4:
            self._unfitting(example, entities)
        else:
            self._unknown(example, entities, self._w.UNKNOWN if kind < 0.85 else self._w.QUESTIONS)
        if pick.random() < 0.15:
            example.say(self._say.noise(self._w.AFTER[-8:], example))

    def _gibberish(self, example: Example) -> None:
        pick = self._random
        kinds = pick.sample(sorted(self._w.things), 3)
        words = [word for kind in kinds for word in self._w.things[kind].names[0].split()]
        words += pick.sample(self._w.GIBBERISH, min(3, len(self._w.GIBBERISH)))
        pick.shuffle(words)
        example.say(" ".join(words[: pick.randint(1, 6)]), ("verb", 0))

    def _unknown(self, example: Example, entities: Sequence[Entity], templates: Sequence[str]) -> None:
        """A motion that nobody knows, or a question, about things that are there."""
        pick = self._random
        thing = pick.choice([entity for entity in entities if not entity.part])
        other = pick.choice(entities)
        text = pick.choice(templates)
        if pick.random() < 0.15:
            example.say(pick.choice(self._w.POLITE))
        text = text.replace("{T}", "<T>").replace("{P}", "<P>")  # noise would fill them
        text = self._say.noise((text,), example).replace("<T>", "{T}").replace("<P>", "{P}")
        slots = {
            "{T}": lambda: example.say(self._say.phrases.thing(thing), ("other", 0)),
            "{P}": lambda: example.say(self._say.phrases.thing(other), ("other", 0)),
        }
        self._say.fill_slots(example, text, slots, ("verb", 0))

    def _unfitting(self, example: Example, entities: Sequence[Entity]) -> None:
        """Known motions of things that are not good for them: "open the plate", "put the stove in the basket"."""
        pick = self._random
        fixed = [entity for entity in entities if entity.affordances.fixed and not entity.part]
        shut = [entity for entity in entities if not entity.affordances.opens and not entity.part
                and not entity.kind.endswith(("cabinet", "box"))]  # fmt: skip
        cold = [entity for entity in entities if not entity.affordances.switches]
        form = pick.random()
        if form < 0.4 and fixed:
            step = replace(self._steps.place_at(pick.choice(entities)), thing=pick.choice(fixed))
            self._say.fill(example, pick.choice(self._w.PUT[:4]), step, 0)
        elif form < 0.7:
            self._say.operation(example, Step(pick.choice(("open", "close")), pick.choice(shut)), 0)
        else:
            self._say.operation(example, Step("turn on", pick.choice(cold)), 0, self._w.OPERATE["turn on"][:5])
