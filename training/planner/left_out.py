"""What no training sentence may ask for: the tasks of LIBERO's four suites, which the model is measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from libero_bridge.tasks import LiberoSource
from substep_core.language.motions import PICK_UP, PLACE, Motion
from substep_core.language.nouns import NOUNS
from substep_core.language.phrases import Thing
from substep_core.language.reader import parse
from substep_planner.decomposers.grounding.request import GOES_SOMEWHERE, Step
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.library import shipped_library


def is_a_task(steps: tuple[Step, ...]) -> bool:
    """Whether the steps together are one of the tasks that move things, whatever they say of where things stand."""
    if not any(step.action in GOES_SOMEWHERE for step in steps):
        return False
    asked = tuple(sorted((step.action, _key(step.thing), step.preposition, _key(step.place)) for step in steps))
    return asked in _tasks()


@cache
def _tasks() -> frozenset[tuple]:
    found = set()
    for suite in LiberoSource.default_suites:
        for plan in shipped_library()[suite].values():
            motions = [parse(substep.instruction) for substep in plan.substeps]
            found |= _combinations([_asked(motion) for motion in motions if motion.kind is not PICK_UP])
    return frozenset(found)


def kinds_of(suite: str) -> frozenset[str]:
    """What the tasks of a suite name, but for what alone can be switched, so that switching is learnt at all."""
    motions = [parse(substep.instruction) for plan in shipped_library()[suite].values() for substep in plan.substeps]
    things = [motion.thing for motion in motions] + [motion.place.thing for motion in motions if motion.place]
    named = {key.split("/")[0] for thing in things for key in _keys(thing)}
    return frozenset(kind for kind in named if not Entity(kind).affordances.switches)


def without_things(tables: Mapping[str, Any], kinds: Collection[str]) -> dict[str, Any]:
    """A model's tables without any word for these things: they are known by the names that plans use alone."""
    kept = dict(tables)
    for key in ("kinds", "kind_pairs", "called"):
        kept[key] = {name: row for name, row in tables[key].items() if name.split("/")[0] not in kinds}
    for key in ("names", "heads"):
        rows = {name: [kind for kind in row if kind not in kinds] for name, row in tables[key].items()}
        kept[key] = {name: row for name, row in rows.items() if row}
    return kept


def _asked(motion: Motion) -> list[tuple]:
    """One motion, with every category that its nouns may mean."""
    action = "put" if motion.kind is PLACE else motion.kind.name
    places = _keys(motion.place.thing) if motion.place else [""]
    preposition = motion.place.preposition if motion.place else ""
    return [(action, thing, preposition, place) for thing in _keys(motion.thing) for place in places]


def _combinations(alternatives: list[list[tuple]]) -> set[tuple]:
    rows: list[tuple] = [()]
    for several in alternatives:
        rows = [(*row, one) for row in rows for one in several]
    return {tuple(sorted(row)) for row in rows}


def _keys(thing: Thing) -> list[str]:
    part = f"{thing.part.side} {thing.part.noun}" if thing.part else ""
    kinds = NOUNS[thing.whole].categories if thing.whole in NOUNS else (thing.whole,)
    return [f"{kind}/{part}" for kind in kinds]


def _key(entity: Entity | None) -> str:
    return "" if entity is None else f"{entity.kind}/{entity.part}"
