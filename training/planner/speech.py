"""How a step is said: its words, drawn from the wordings, each with the mark of what it is for."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import ALL_CATEGORIES, Entity
from training.planner.example import Example, Mark
from training.planner.lexicon import Lexicon
from training.planner.phrases import Phrases

_SLOT = re.compile(r"(\{\w+\})")


class Speech:
    """Says steps; each is the example's step of the given number. Every method but two appends to the example."""

    def __init__(self, lexicon: Lexicon, pick: random.Random) -> None:
        self._w, self._random = lexicon, pick
        self.phrases = Phrases(lexicon, pick)
        self.foreign = sorted(set(self._w.things) - ALL_CATEGORIES - {"table"})

    def phrase(self, entity: Entity | None, example: Example, adjective: str = "") -> str:
        if entity is None:
            return self._missing_phrase(example)
        return self.phrases.thing(entity, adjective=adjective)

    def _missing_phrase(self, example: Example) -> str:
        """A phrase for something that the scene lacks: another kind, or one's own in another colour."""
        pick = self._random
        if pick.random() < 0.25 and self._w.COLOURS:
            kinds = {"bowl", "mug", "book", "plate", "cabinet"}
            head = pick.choice(sorted(kinds))
            there = [kind for kind in example.categories if kind.endswith(head)]
            used = " ".join(there).replace("porcelain", "white").replace("akita", "")
            colour = pick.choice(
                [c for c in self._w.COLOURS if c not in used and not (head == "plate" and c == "white")]
            )
            if there and not (head == "cabinet" and colour in ("white",)):
                return f"the {colour} {head}"
        named = " ".join(" ".join(self._w.things[kind].names) for kind in example.categories if kind in self._w.things)
        while True:
            kind = pick.choice(sorted(self._w.things))
            names = set(self._w.things[kind].names)
            if (
                kind not in example.categories
                and kind != "table"
                and not any(f" {name} " in f" {named} " for name in names)
            ):
                return self.phrases.thing(Entity(kind))

    def thing(self, example: Example, step: Step, number: int) -> None:
        """Thing, side and relation."""
        pick = self._random
        adjective, after = "", ""
        if step.side in ("left", "right"):
            if pick.random() < 0.6:
                adjective = pick.choice(self._w.SIDE_WORDS[step.side])
            else:
                after = pick.choice(self._w.ON_A_SIDE).format(side=step.side)
        elif step.side:
            if pick.random() < 0.4:
                adjective = pick.choice(self._w.SIDE_WORDS[step.side])
            else:
                after = pick.choice(self._w.AT_A_SIDE[step.side])
        if self._w.RELATION_FIRST:
            self._relation_first(example, step, number)
        example.say(self.phrase(step.thing, example, adjective), ("thing", number))
        example.say(after, ("thing", number))
        if self._w.RELATION_FIRST:
            return
        if step.relation == "table center":
            example.say(pick.choice(self._w.TABLE_CENTER), ("relation", number))
        elif step.relation:
            if pick.random() < 0.35:
                example.say(pick.choice(self._w.STANDING), ("relation", number))
            words = pick.choice(self._w.RELATION_WORDS[step.relation])
            example.say(words, ("relation", number))
            example.say(self.phrase(step.anchors[0], example), ("anchor", number))
            if step.relation == "between":
                example.say(pick.choice(self._w.AND), ("relation", number))
                example.say(self.phrase(step.anchors[1], example), ("anchor2", number))

    def _relation_first(self, example: Example, step: Step, number: int) -> None:
        """As in Chinese: where a thing stands is said before it."""
        pick = self._random
        if step.relation == "table center":
            example.say(pick.choice(self._w.TABLE_CENTER), ("relation", number))
        elif step.relation:
            example.say(self.phrase(step.anchors[0], example), ("anchor", number))
            if step.relation == "between":
                example.say(pick.choice(self._w.AND), ("relation", number))
                example.say(self.phrase(step.anchors[1], example), ("anchor2", number))
            example.say(pick.choice(self._w.RELATION_WORDS[step.relation]), ("relation", number))

    def place(self, example: Example, step: Step, number: int, reference: str = "") -> None:
        """Preposition and place; ``reference``: a pronoun instead of the place."""
        pick = self._random
        words = self._w.PREPOSITION_WORDS[step.preposition]
        if step.preposition == "on" and step.place and step.place.kind == "table":
            words = self._w.ON_TABLE
        example.say(pick.choice(words), ("preposition", number))
        if reference:
            example.say(reference, ("there", number))
        elif step.place_side and pick.random() < 0.35:
            standing = pick.choice(self._w.STANDING) if pick.random() < 0.5 else ""
            after = pick.choice(self._w.ON_A_SIDE).format(side=step.place_side)
            example.say(f"{self.phrase(step.place, example)} {standing} {after}", ("place", number))
        else:
            side = pick.choice(self._w.SIDE_WORDS[step.place_side]) if step.place_side else ""
            example.say(self.phrase(step.place, example, side), ("place", number))
            if after := self._w.templates.get("after_place"):
                example.say(pick.choice(after[step.preposition]), ("place", number))

    def fill(self, example: Example, template: str, step: Step, number: int, verb: str = "verb") -> None:
        """Say a template: {T} the thing, {t} a pronoun for it, {P} the place with its preposition, {p} it alone."""
        slots = {
            "{T}": lambda: self.thing(example, step, number),
            "{t}": lambda: example.say(self._random.choice(self._w.IT), ("it", number)),
            "{P}": lambda: self.place(example, step, number),
            "{p}": lambda: example.say(self.phrase(step.place, example), ("place", number)),
        }
        self.fill_slots(example, template, slots, (verb, number))

    def fill_slots(self, example: Example, template: str, slots: Mapping[str, Callable[[], None]], mark: Mark) -> None:
        """Say a template: its slots by the functions given, names of verbs such as {V} and the words between as
        ``mark``."""
        for piece in _SLOT.split(template):
            if piece in slots:
                slots[piece]()
            elif piece.startswith("{"):
                example.say(self._random.choice(self._w.VERBS[piece[1:-1]]), mark)
            else:
                example.say(piece, mark)

    def put(self, example: Example, step: Step, number: int) -> None:
        if step.relation in ("next to", "on", "in") and "found" in self._w.templates and self._random.random() < 0.12:
            return self._found_and_put(example, step, number)
        plain = step.preposition in ("on", "in", "on top of") and not step.place_side
        templates = self._w.PUT if plain or self._random.random() < 0.8 else self._w.PUT[:4]
        if self._random.random() < 0.45:
            templates = self._w.PUT[:14]
        if step.preposition == "in" and self._random.random() < 0.08:
            templates = self._w.PUT_IN
        self.fill(example, self._random.choice(templates), step, number)

    def _found_and_put(self, example: Example, step: Step, number: int) -> None:
        """ "In the drawer there is a bowl, put it on the plate"."""
        pick = self._random
        example.say(pick.choice(self._w.RELATION_WORDS[step.relation]), ("relation", number))
        example.say(self.phrase(step.anchors[0], example), ("anchor", number))
        example.say(pick.choice(self._w.FOUND), ("relation", number))
        self.fill(example, pick.choice(self._w.AND_PUT), replace(step, relation="", anchors=()), number)

    def operation(self, example: Example, step: Step, number: int, templates=None) -> None:
        self.fill(example, self._random.choice(templates or self._w.OPERATE[step.action]), step, number)

    def either(self, example: Example, step: Step, number: int) -> None:
        if step.action == "put":
            self.put(example, step, number)
        else:
            self.operation(example, step, number)

    def join(self, example: Example, number: int) -> None:
        example.say(self._random.choice(self._w.JOINTS), ("verb", number))

    def put_there(self, example: Example, step: Step, number: int) -> None:
        """A put whose place is the thing of the step before: "put the bowl inside"."""
        pick = self._random
        example.say(pick.choice(self._w.VERBS["V"]), ("verb", number))
        self.thing(example, step, number)
        inside = step.preposition == "in"
        words = self._w.IN_THERE if inside else self._w.ON_THERE
        example.say(pick.choice(words), ("there", number))

    def noise(self, templates, example: Example) -> str:
        pick = self._random
        text = pick.choice(templates)
        while found := re.search(r"\{(\w+)\}", text):
            if found[1] == "thing":
                kinds = sorted(kind for kind in example.categories if kind in self._w.things)
                name = pick.choice(
                    self._w.things[pick.choice(kinds if kinds and pick.random() < 0.5 else self.foreign)].names
                )
            else:
                name = pick.choice(self._w.FILLINGS[found[1]])
            text = text.replace(found[0], name, 1)
        return text
