"""What is moved, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from substep_planner.decomposers.grounding.counting import is_plural
from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.operations import operate, switch_by_last_word
from substep_planner.decomposers.grounding.placing import placed, put, stands_where_it_should
from substep_planner.decomposers.grounding.request import RELATED_TO, Step, can
from substep_planner.decomposers.grounding.scene import TABLE
from substep_planner.decomposers.grounding.segment import Segment
from substep_planner.decomposers.grounding.sides import side_alone, side_in
from substep_planner.decomposers.grounding.words import INTO, ONTO

_JOINTS = frozenset("and also both with plus well as the".split())  # between things that are named in a row
_FROM = frozenset("off from out".split())
_OWNING = frozenset("its his her their my our your the".split())
# Words before a thing that say where another one stands.
_STANDS = {
    "from": "on", "off": "on", "by": "next to", "near": "next to", "beside": "next to", "alongside": "next to",
    "next": "next to", "adjacent": "next to",
}  # fmt: skip


def take_thing(draft: Draft, segment: Segment) -> None:
    """What was read as a thing may also be where another one stands or goes, by the words before it."""
    last = draft.last
    if last is not None and last.relation == "between" and len(last.anchors) == 1 and draft.before == "and":
        take_anchor(draft, segment)
    elif draft.pending and (preposition := _said_before(draft, segment)):
        draft.preposition = preposition
        placed(draft, segment.entity, "", ())
    elif draft.pending and draft.before in _STANDS:
        draft.relation = _STANDS[draft.before]
        take_anchor(draft, segment)
    else:
        _thing(draft, segment)


def _said_before(draft: Draft, segment: Segment) -> str:
    """The preposition at the end of the words before, or that it begins with, where something can be put there: "…
    belongs in its rack"."""
    entity = segment.entity
    word = next((one for one in reversed(draft.words_before) if one not in _OWNING), "")
    word = segment.words[0] if segment.words[0] in INTO | ONTO else word
    if entity is None or not (entity.part or entity.affordances.container or entity.affordances.fixed):
        return ""
    return "in" if word in INTO else "on" if word in ONTO and not entity.affordances.container else ""


def _thing(draft: Draft, segment: Segment) -> None:
    """What is moved or operated."""
    if switch_by_last_word(draft, segment):
        return
    if draft.waiting and (segment.entity is None or can(segment.entity, draft.waiting)):
        return operate(draft, draft.waiting, segment.entity)
    draft.waiting = ""
    if draft.stands_after_verb and len(draft.pending) == 1 and draft.pending[0].relation in ("on", "in"):
        stands_where_it_should(draft)  # "the mug, put on the plate, the pudding …"
    draft.put_since = draft.stands_after_verb = False
    if is_plural(segment) and draft.number == 1 and not draft.among:
        draft.number = max(2, draft.counts.get(segment.entity.kind, 2))
    if draft.pending and draft.pending[-1].thing == segment.entity and not side_in(segment):
        return
    if draft.early != ("", ()):
        (relation, anchors), draft.early = draft.early, ("", ())
        draft.verb_between = False
        draft.pending.append(Step(draft.mode, segment.entity, relation=relation, anchors=anchors))
        return
    draft.verb_between = bool(draft.pending) and draft.before not in _JOINTS
    draft.pending.append(Step(draft.mode, segment.entity, side=side_in(segment)))
    if draft.place_first is not None:
        draft.place_is_used = True
        put(draft, draft.place_first.preposition, draft.place_first.place, draft.place_first.place_side)


def take_relation(draft: Draft, relation: str, words: Sequence[str]) -> None:
    """How a thing stands to what is named next, and the words that say so."""
    if draft.early[1] or relation == "table center" and not draft.pending and not draft.steps:
        draft.early = (relation, draft.early[1])
        return
    draft.relation, draft.comes_from = relation, not _FROM.isdisjoint(words)
    if relation == "table center":
        draft.update_last(relation=relation)


def take_anchor(draft: Draft, segment: Segment) -> None:
    """What a thing stands at, unless the words around it say otherwise."""
    entity = segment.entity
    if draft.waiting and can(entity, draft.waiting) and not draft.pending:
        return operate(draft, draft.waiting, entity)
    if draft.pending and entity is not None and entity.part and (side := side_alone(segment)):
        draft.relation = ""  # "the one in the middle" is no drawer
        return draft.update_last(side=side)
    if draft.put_since and draft.pending and not draft.relation:
        draft.named_after_verb = entity
    draft.stands_after_verb = draft.stands_after_verb or draft.put_since
    last = draft.last
    if last is None or draft.early[1] or not draft.pending and not draft.relation:
        draft.early = (draft.early[0], (*draft.early[1], entity))
        return
    if draft.relation == "between" and entity is not None and entity.kind == TABLE:
        return draft.update_last(relation="table center", anchors=())
    if entity == last.thing and segment.others:
        entity = segment.others[0]  # "the bowl next to the dish" stands at no bowl
    anchors = (*(last.anchors if last.relation == draft.relation else ()), entity)
    if len(anchors) <= RELATED_TO.get(draft.relation, 0):
        draft.update_last(relation=draft.relation, anchors=anchors)


def first_it(draft: Draft) -> None:
    """ "After you finish with the bowl please put it on the plate"."""
    if draft.place_is_bare and draft.place_first and not (draft.steps or draft.pending or draft.waiting):
        draft.spoken_of, draft.place_first, draft.place_is_bare = draft.place_first.place, None, False
        draft.place, draft.place_is_used = None, True
    if draft.spoken_of is not None and not (draft.steps or draft.pending or draft.waiting or draft.place_first):
        draft.pending.append(Step(draft.mode, draft.spoken_of))
