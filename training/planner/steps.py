"""What is asked for: single steps, drawn so that they fit a scene."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from training.planner.lexicon import Lexicon


def moves(entity: Entity) -> bool:
    """Whether a robot can carry it."""
    return not entity.affordances.fixed and not entity.part


class Steps:
    def __init__(self, lexicon: Lexicon, pick: random.Random) -> None:
        self._w, self._random = lexicon, pick

    def put_step(self, entities: Sequence[Entity]) -> Step:
        pick = self._random
        thing = pick.choice([entity for entity in entities if moves(entity)])
        places = [entity for entity in entities if entity != thing and (entity.kind != "table" or pick.random() < 0.2)]
        place = pick.choice(places or [Entity("table")])
        return self.related(replace(self.place_at(place), thing=thing), entities)

    def place_at(self, place: Entity) -> Step:
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
            preposition = pick.choice(self._w.BESIDE)
        side = ""
        if not can.fixed and not place.part and preposition in ("on", "in") and pick.random() < 0.14:
            side = pick.choice(("left", "right"))
        return Step("put", preposition=preposition, place=place, place_side=side)

    def related(self, step: Step, entities: Sequence[Entity]) -> Step:
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
