"""Makes sentences with what they ask for: the training data of the embedded language model.

A sentence is a list of words, each marked with what it is for: ("thing", 0) is the thing of the first step. Everything
is drawn: the scene, the steps, how each is asked for, what is said around it, and slips of the tongue and the keyboard.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace

from substep_planner.decomposers.grounding.request import CANNOT, Step
from substep_planner.decomposers.grounding.scene import ALL_CATEGORIES, Entity, entities_of
from training.planner import wordings as w
from training.planner.phrases import COLOURS, Phrases, vocabulary
from training.planner.slips import with_slips

Mark = tuple[str, int]
_SLOT = re.compile(r"(\{\w+\})")


@dataclass
class Example:
    """Attributes:

    categories: of the scene.
    words, marks: the sentence; as long as each other.
    steps: what is asked for; one step of ``CANNOT``: nothing that can be done.
    """

    categories: frozenset[str]
    words: list[str] = field(default_factory=list)
    marks: list[Mark | None] = field(default_factory=list)
    steps: tuple[Step, ...] = ()

    def say(self, text: str, mark: Mark | None = None) -> None:
        """Append words."""
        for word in text.split():
            self.words.append(word)
            self.marks.append(mark)


class Sentences:
    """An endless stream of examples. ``left_out``: whether an example must not be used."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._phrases = Phrases(self._random)
        self._foreign = sorted(set(vocabulary()) - ALL_CATEGORIES - {"table"})

    def draw(self) -> Example:
        example = Example(self._scene())
        chance = self._random.random()
        if chance < 0.13:
            self._nothing_to_do(example)
        else:
            self._request(example)
        example.words, example.marks = with_slips(example.words, example.marks, self._random)
        return example

    # --- what there is ---

    def _scene(self) -> frozenset[str]:
        pick = self._random
        known = sorted(ALL_CATEGORIES)
        if pick.random() < 0.06:
            return ALL_CATEGORIES
        movable = [kind for kind in known if not Entity(kind).affordances.fixed]
        fixed = [kind for kind in known if Entity(kind).affordances.fixed]
        found = pick.sample(movable, pick.randint(2, 8)) + pick.sample(fixed, pick.choice((0, 1, 1, 2, 2, 3)))
        if pick.random() < 0.5:
            found.append(pick.choice(("basket", "plate", "wooden_tray")))
        if pick.random() < 0.25:  # several of one family, so that words must be read closely
            found += pick.sample([kind for kind in movable if kind.endswith(("mug", "bowl", "book", "sauce"))], 3)
        if pick.random() < 0.35:
            found += pick.sample(self._foreign, pick.randint(1, 3))
        return frozenset(found)

    # --- requests ---

    def _request(self, example: Example) -> None:
        pick = self._random
        entities = entities_of(example.categories)
        maker = pick.choices(*zip(*self._makers(entities), strict=True))[0]
        before, after = pick.random(), pick.random()
        if before < 0.3:
            example.say(self._noise(w.BEFORE, example))
        if pick.random() < 0.25:
            example.say(pick.choice(w.POLITE))
        maker(example, entities)
        if after < 0.25:
            example.say(self._noise(w.AFTER, example))

    def _makers(self, entities):
        movable = [entity for entity in entities if self._moves(entity)]
        if any(entity.affordances.opens for entity in entities):
            yield self._operate, 1.2
            if movable:
                yield self._open_and_put, 0.8
                yield self._put_and_close, 0.9
        if any(entity.affordances.switches for entity in entities):
            yield self._switch, 0.7
            if movable:
                yield self._switch_and_put, 0.7
        if movable:
            yield self._put, 5.0
            yield self._pick, 0.3
            yield self._push, 0.6
            yield self._both, 0.5
            yield self._two_puts, 0.9
        if len(movable) > 1:
            yield self._two_into_one, 1.4

    @staticmethod
    def _moves(entity: Entity) -> bool:
        return not entity.affordances.fixed and not entity.part

    def _put(self, example, entities) -> None:
        step = self._put_step(entities)
        if self._random.random() < 0.12:
            step = self._with_a_gap(step, example)
        self._say_put(example, step, 0)
        example.steps = (step,)

    def _put_step(self, entities, place: Entity | None = None) -> Step:
        pick = self._random
        thing = pick.choice([entity for entity in entities if self._moves(entity) and entity != place])
        places = [entity for entity in entities if entity != thing and (entity.kind != "table" or pick.random() < 0.2)]
        place = place or pick.choice(places or [Entity("table")])
        return self._related(replace(self._place_at(place), thing=thing), entities)

    def _place_at(self, place: Entity) -> Step:
        pick, can = self._random, place.affordances
        head = place.kind.split("_")[-1]
        if place.part or can.is_open_box:
            preposition = "in"
        elif head == "bowl":
            preposition = pick.choice(("in", "in", "on"))
        elif can.opens:  # a microwave
            preposition = pick.choice(("in", "in", "in", "on top of"))
        elif head == "cabinet":
            preposition = "on top of"
        elif head == "shelf":
            preposition = pick.choice(("on", "on", "on top of", "under"))
        else:
            preposition = "on"
        if pick.random() < 0.09 and not place.part and place.kind != "table":
            preposition = pick.choice(w.BESIDE)
        side = ""
        if not can.fixed and not place.part and preposition in ("on", "in") and pick.random() < 0.14:
            side = pick.choice(("left", "right"))
        return Step("put", preposition=preposition, place=place, place_side=side)

    def _related(self, step: Step, entities) -> Step:
        """Perhaps with words that say which of several is meant."""
        pick = self._random
        if pick.random() < 0.09:
            return replace(step, side=pick.choice(("left", "right", "front", "back", "middle")))
        if pick.random() > 0.2:
            return step
        others = [entity for entity in entities if entity != step.thing and entity.kind != "table"]
        flat = [entity for entity in others if not entity.part]
        boxes = [entity for entity in others if entity.part or entity.affordances.container]
        if pick.random() < 0.12:
            return replace(step, relation="table center")
        relation = pick.choice(("next to", "next to", "on", "on", "in", "between"))
        if relation == "between" and len(flat) > 1:
            return replace(step, relation=relation, anchors=tuple(pick.sample(flat, 2)))
        choice = boxes if relation == "in" else flat
        if relation == "between" or not choice:
            return step
        return replace(step, relation=relation, anchors=(pick.choice(choice),))

    def _with_a_gap(self, step: Step, example: Example) -> Step:
        """The same, but with something that is not there; the phrase for it is drawn later."""
        if self._random.random() < 0.6:
            return replace(step, thing=None)
        return replace(step, place=None)

    # --- how it is said ---

    def _missing_phrase(self, example: Example) -> str:
        """A phrase for something that the scene lacks: another kind, or one's own in another colour."""
        pick = self._random
        if pick.random() < 0.25:
            kinds = {"bowl", "mug", "book", "plate", "cabinet"}
            head = pick.choice(sorted(kinds))
            there = [kind for kind in example.categories if kind.endswith(head)]
            used = " ".join(there).replace("porcelain", "white").replace("akita", "")
            colour = pick.choice([c for c in COLOURS if c not in used and not (head == "plate" and c == "white")])
            if there and not (head == "cabinet" and colour in ("white",)):
                return f"the {colour} {head}"
        named = " ".join(" ".join(vocabulary()[kind].names) for kind in example.categories if kind in vocabulary())
        while True:
            kind = pick.choice(sorted(vocabulary()))
            names = set(vocabulary()[kind].names)
            if (
                kind not in example.categories
                and kind != "table"
                and not any(f" {name} " in f" {named} " for name in names)
            ):
                return self._phrases.thing(Entity(kind))

    def _phrase(self, entity: Entity | None, example: Example, adjective: str = "") -> str:
        if entity is None:
            return self._missing_phrase(example)
        return self._phrases.thing(entity, adjective=adjective)

    def _say_thing(self, example: Example, step: Step, number: int) -> None:
        """Thing, side and relation."""
        pick = self._random
        adjective, after = "", ""
        if step.side in ("left", "right"):
            if pick.random() < 0.6:
                adjective = pick.choice(w.SIDE_WORDS[step.side])
            else:
                after = pick.choice(w.ON_A_SIDE).format(side=step.side)
        elif step.side:
            if pick.random() < 0.4:
                adjective = pick.choice(w.SIDE_WORDS[step.side])
            else:
                after = pick.choice(w.AT_A_SIDE[step.side])
        example.say(self._phrase(step.thing, example, adjective), ("thing", number))
        example.say(after, ("thing", number))
        if step.relation == "table center":
            example.say(pick.choice(w.TABLE_CENTER), ("relation", number))
        elif step.relation:
            if pick.random() < 0.35:
                example.say(pick.choice(w.STANDING), ("relation", number))
            words = pick.choice(w.RELATION_WORDS[step.relation])
            example.say(words, ("relation", number))
            example.say(self._phrase(step.anchors[0], example), ("anchor", number))
            if step.relation == "between":
                example.say("and", ("relation", number))
                example.say(self._phrase(step.anchors[1], example), ("anchor2", number))

    def _say_place(self, example: Example, step: Step, number: int, reference: str = "") -> None:
        """Preposition and place; ``reference``: a pronoun instead of the place."""
        pick = self._random
        words = w.PREPOSITION_WORDS[step.preposition]
        if step.preposition == "on" and step.place and step.place.kind == "table":
            words = ("on", "onto", "down on")
        example.say(pick.choice(words), ("preposition", number))
        if reference:
            example.say(reference, ("there", number))
        elif step.place_side and pick.random() < 0.35:
            standing = pick.choice(w.STANDING) if pick.random() < 0.5 else ""
            after = pick.choice(w.ON_A_SIDE).format(side=step.place_side)
            example.say(f"{self._phrase(step.place, example)} {standing} {after}", ("place", number))
        else:
            side = pick.choice(w.SIDE_WORDS[step.place_side]) if step.place_side else ""
            example.say(self._phrase(step.place, example, side), ("place", number))

    def _fill(self, example: Example, template: str, step: Step, number: int, verb: str = "verb") -> None:
        """Say a template: {T} the thing, {P} the place with its preposition, {p} the place alone, {V} {G} verbs."""
        pick = self._random
        for piece in _SLOT.split(template):
            match piece:
                case "{T}":
                    self._say_thing(example, step, number)
                case "{t}":
                    example.say(pick.choice(("it", "it", "it", "that", "this")), ("it", number))
                case "{P}":
                    self._say_place(example, step, number)
                case "{p}":
                    example.say(self._phrase(step.place, example), ("place", number))
                case "{V}" | "{G}" | "{D}" | "{K}" | "{KG}" | "{KD}":
                    example.say(pick.choice(w.VERBS[piece[1:-1]]), (verb, number))
                case _:
                    example.say(piece, (verb, number))

    def _say_put(self, example: Example, step: Step, number: int) -> None:
        plain = step.preposition in ("on", "in", "on top of") and not step.place_side
        templates = w.PUT if plain or self._random.random() < 0.8 else w.PUT[:4]
        if self._random.random() < 0.45:
            templates = w.PUT[:14]
        if step.preposition == "in" and self._random.random() < 0.08:
            templates = w.PUT_IN
        self._fill(example, self._random.choice(templates), step, number)

    def _say_operation(self, example: Example, step: Step, number: int, templates=None) -> None:
        self._fill(example, self._random.choice(templates or w.OPERATE[step.action]), step, number)

    def _join(self, example: Example, number: int) -> None:
        example.say(self._random.choice(w.JOINTS), ("verb", number))

    # --- several steps ---

    def _pick(self, example, entities) -> None:
        step = Step("pick up", self._random.choice([entity for entity in entities if self._moves(entity)]))
        step = self._related(step, entities)
        if self._random.random() < 0.1:
            step = replace(step, thing=None)
        self._fill(example, self._random.choice(w.PICK), step, 0)
        example.steps = (step,)

    def _push(self, example, entities) -> None:
        pick = self._random
        thing = pick.choice([entity for entity in entities if self._moves(entity)])
        others = [entity for entity in entities if entity != thing and not entity.part] or [Entity("table")]
        step = Step("push", thing, preposition=pick.choice(w.BESIDE), place=pick.choice(others))
        if pick.random() < 0.12:
            step = replace(step, thing=None)
        self._fill(example, pick.choice(w.PUSH), step, 0)
        example.steps = (step,)

    def _operate(self, example, entities) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        step = Step(pick.choice(("open", "open", "close")), target)
        missing = pick.random() < 0.08
        if missing:
            step = replace(step, thing=None)
        self._say_operation(example, step, 0)
        example.steps = (step,)
        others = [e for e in entities if e.affordances.opens and e != target]
        if others and not missing and pick.random() < 0.15:
            second = Step(pick.choice(("open", "close")), pick.choice(others))
            self._join(example, 1)
            self._say_operation(example, second, 1, w.OPERATE[second.action][:4])
            example.steps += (second,)

    def _switch(self, example, entities) -> None:
        target = next(entity for entity in entities if entity.affordances.switches)
        step = Step(self._random.choice(("turn on", "turn on", "turn off")), target)
        self._say_operation(example, step, 0)
        example.steps = (step,)

    def _switch_and_put(self, example, entities) -> None:
        pick = self._random
        stove = next(entity for entity in entities if entity.affordances.switches)
        on = Step("turn on", stove)
        put = Step("put", pick.choice([e for e in entities if self._moves(e)]), preposition="on", place=stove)
        if pick.random() < 0.12:  # said as one
            self._fill(example, pick.choice(w.HEAT), put, 1, "heat")
            example.steps = (on, put)
            return
        first, second = (on, put) if pick.random() < 0.8 else (put, on)
        example.steps = (first, second)
        self._say_either(example, first, 0)
        self._join(example, 1)
        if second is on:
            self._fill(
                example,
                pick.choice(("{V_ON} it", "{V_ON} the heat", "switch it on", "turn {t} on")).replace(
                    "{V_ON}", pick.choice(("turn on", "switch on", "ignite", "light"))
                ),
                on,
                1,
            )
        elif pick.random() < 0.75:
            self._put_there(example, put, 1)
        else:
            self._say_put(example, put, 1)

    def _say_either(self, example, step, number) -> None:
        if step.action == "put":
            self._say_put(example, step, number)
        else:
            self._say_operation(example, step, number)

    def _put_there(self, example, step, number) -> None:
        """A put whose place is the thing of the step before: "put the bowl inside"."""
        pick = self._random
        example.say(pick.choice(w.VERBS["V"]), ("verb", number))
        self._say_thing(example, step, number)
        inside = step.preposition == "in"
        words = w.IN_THERE if inside else w.ON_THERE
        example.say(pick.choice(words), ("there", number))

    def _open_and_put(self, example, entities) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        put = Step("put", pick.choice([e for e in entities if self._moves(e)]), preposition="in", place=target)
        opened = Step("open", target)
        example.steps = (opened, put)
        if pick.random() < 0.2:
            self._fill(example, pick.choice(w.PUT[:4]), put, 1)
            example.say(pick.choice(w.AFTER_OPENING), ("before", 0))
            return
        self._say_operation(example, opened, 0, w.OPERATE["open"][:5])
        self._join(example, 1)
        if pick.random() < 0.85:
            self._put_there(example, put, 1)
        else:
            self._say_put(example, put, 1)
        if pick.random() < 0.2:
            example.steps += (Step("close", target),)
            self._join(example, 2)
            example.say(pick.choice(w.CLOSE_IT), ("verb", 2))

    def _put_and_close(self, example, entities) -> None:
        pick = self._random
        target = pick.choice([entity for entity in entities if entity.affordances.opens])
        put = Step("put", pick.choice([e for e in entities if self._moves(e)]), preposition="in", place=target)
        put = self._related(put, entities) if pick.random() < 0.2 else put
        example.steps = (put, Step("close", target))
        self._say_put(example, put, 0)
        if pick.random() < 0.12:
            example.say(pick.choice(w.AND_IS_CLOSED), ("verb", 1))
            return
        self._join(example, 1)
        example.say(pick.choice(w.CLOSE_IT), ("verb", 1))

    def _two_into_one(self, example, entities) -> None:
        """ "both the soup and the sauce in the basket"."""
        pick = self._random
        movable = [entity for entity in entities if self._moves(entity)]
        first, second = pick.sample(movable, 2)
        places = [entity for entity in entities if entity not in (first, second) and entity.kind != "table"]
        at = self._place_at(pick.choice(places or [Entity("table")]))
        at = replace(at, place_side="")
        example.steps = (replace(at, thing=first), replace(at, thing=second))
        if pick.random() < 0.12:
            gap = pick.randrange(2)
            example.steps = tuple(replace(s, thing=None) if n == gap else s for n, s in enumerate(example.steps))
        inside = at.preposition == "in" and pick.random() < 0.12
        for piece in _SLOT.split(pick.choice(w.TWO_IN if inside else w.TWO)):
            match piece:
                case "{A}":
                    self._say_thing(example, example.steps[0], 0)
                case "{B}":
                    self._say_thing(example, example.steps[1], 1)
                case "{P}":
                    self._say_place(example, at, 0)
                case "{p}":
                    example.say(self._phrase(at.place, example), ("place", 0))
                case "{V}" | "{G}" | "{D}" | "{K}" | "{KD}":
                    example.say(pick.choice(w.VERBS[piece[1:-1]]), ("verb", 0))
                case _:
                    example.say(piece, ("verb", 0))

    def _two_puts(self, example, entities) -> None:
        pick = self._random
        first = self._put_step(entities)
        second = self._put_step(entities)
        if first.thing == second.thing:
            second = replace(second, side="right" if first.side == "left" else "left")
        same = first.place is not None and pick.random() < 0.5 and second.thing != first.place
        if same:  # "and the pudding to the right of it"
            second = replace(second, place=first.place, place_side="", relation="", anchors=(),
                             preposition=pick.choice((*w.BESIDE, first.preposition)))  # fmt: skip
            if first.place_side and pick.random() < 0.6:
                second = replace(second, place_side="right" if first.place_side == "left" else "left",
                                 preposition=first.preposition)  # fmt: skip
        example.steps = (first, second)
        self._say_put(example, first, 0)
        self._join(example, 1)
        if pick.random() < 0.7:
            example.say(pick.choice(w.VERBS["V"]), ("verb", 1))
        self._say_thing(example, second, 1)
        if same and second.place_side:
            example.say(pick.choice(w.PREPOSITION_WORDS[second.preposition]), ("preposition", 1))
            example.say(f"the {pick.choice(w.SIDE_WORDS[second.place_side])} one", ("there", 1))
        elif same and second.preposition in w.BESIDE and pick.random() < 0.4:
            side = second.preposition.split()[2]
            example.say(pick.choice(w.TO_ITS_SIDE).format(side=side), ("aside", 1))
        elif same and pick.random() < 0.5:
            self._say_place(example, second, 1, pick.choice(("it", "it", "that", "the same", "that one")))
        else:
            self._say_place(example, second, 1)

    def _both(self, example, entities) -> None:
        pick = self._random
        thing = pick.choice([entity for entity in entities if self._moves(entity)])
        at = self._place_at(pick.choice([entity for entity in entities if entity != thing]))
        at = replace(at, place_side="")
        example.steps = (replace(at, thing=thing, side="left"), replace(at, thing=thing, side="right"))
        for piece in _SLOT.split(pick.choice(w.BOTH)):
            match piece:
                case "{A}":
                    for number in (0,):
                        example.say(self._phrases.many(thing.kind), ("thing", number))
                case "{P}":
                    self._say_place(example, at, 0)
                case "{V}" | "{G}" | "{D}":
                    example.say(pick.choice(w.VERBS[piece[1:-1]]), ("verb", 0))
                case _:
                    example.say(piece, ("verb", 0))

    # --- what is no request, and what is said around one ---

    def _noise(self, templates, example: Example) -> str:
        pick = self._random
        text = pick.choice(templates)
        while found := re.search(r"\{(\w+)\}", text):
            if found[1] == "thing":
                kinds = sorted(kind for kind in example.categories if kind in vocabulary())
                name = pick.choice(
                    vocabulary()[pick.choice(kinds if kinds and pick.random() < 0.5 else self._foreign)].names
                )
            else:
                name = pick.choice(w.FILLINGS[found[1]])
            text = text.replace(found[0], name, 1)
        return text

    def _nothing_to_do(self, example: Example) -> None:
        pick = self._random
        entities = entities_of(example.categories)
        example.steps = (Step(CANNOT),)
        kind = pick.random()
        if kind < 0.12:
            example.say(self._noise(w.CHATTER, example), ("verb", 0))
        elif kind < 0.2:
            example.say(self._noise(w.BEFORE + w.AFTER, example))
        elif kind < 0.27:
            words = [
                word for row in pick.sample(sorted(vocabulary()), 3) for word in vocabulary()[row].names[0].split()
            ]
            words += pick.sample(w.GIBBERISH, 3)
            pick.shuffle(words)
            example.say(" ".join(words[: pick.randint(1, 6)]), ("verb", 0))
        elif kind < 0.4:
            self._unfitting(example, entities)
        else:
            templates = w.UNKNOWN if kind < 0.85 else w.QUESTIONS
            thing = pick.choice([entity for entity in entities if not entity.part])
            other = pick.choice(entities)
            text = pick.choice(templates)
            if pick.random() < 0.15:
                example.say(pick.choice(w.POLITE))
            for piece in _SLOT.split(
                self._noise((text.replace("{T}", "<T>").replace("{P}", "<P>"),), example)
                .replace("<T>", "{T}")
                .replace("<P>", "{P}")
            ):
                if piece in ("{T}", "{P}"):
                    example.say(self._phrases.thing(thing if piece == "{T}" else other), ("other", 0))
                else:
                    example.say(piece, ("verb", 0))
        if pick.random() < 0.15:
            example.say(self._noise(w.AFTER[-8:], example))

    def _unfitting(self, example: Example, entities) -> None:
        """Known motions of things that are not good for them: "open the plate", "put the stove in the basket"."""
        pick = self._random
        fixed = [entity for entity in entities if entity.affordances.fixed and not entity.part]
        shut = [entity for entity in entities if not entity.affordances.opens and not entity.part
                and not entity.kind.endswith(("cabinet", "box"))]  # fmt: skip
        cold = [entity for entity in entities if not entity.affordances.switches]
        form = pick.random()
        if form < 0.4 and fixed:
            step = replace(self._place_at(pick.choice(entities)), thing=pick.choice(fixed))
            self._fill(example, pick.choice(w.PUT[:4]), step, 0)
        elif form < 0.7:
            self._say_operation(example, Step(pick.choice(("open", "close")), pick.choice(shut)), 0)
        else:
            self._say_operation(example, Step("turn on", pick.choice(cold)), 0, w.OPERATE["turn on"][:5])
