"""From the segments of a sentence, each with what it is for, to the steps that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.counting import check_all_counted, take_number
from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.operations import changes_the_last, open_first, take_action
from substep_planner.decomposers.grounding.places import take_place, take_preposition, take_there
from substep_planner.decomposers.grounding.placing import placed, put_there, without_a_place
from substep_planner.decomposers.grounding.request import RELATED_TO, Step, UnclearError
from substep_planner.decomposers.grounding.segment import NAMED, Segment
from substep_planner.decomposers.grounding.sides import with_the_side_said
from substep_planner.decomposers.grounding.things import first_it, take_anchor, take_relation, take_thing
from substep_planner.decomposers.grounding.words import ANYTHING, NEVER, ON_IT

_SINGULAR = frozenset(("it", "this", "that"))
_IT = frozenset(("it", "them"))
_ALL = frozenset(("them", "both"))
_LIFTING = frozenset("pick up lift grasp grab hold take".split())  # without a place, that is all that is asked for
_REFUSING = NEVER.union(("without", "leave", "ignore"))


def steps_of(segments: Sequence[Segment], counts: Mapping[str, int]) -> tuple[tuple[Step, ...], float, bool]:
    """The steps, how sure they are, and whether one of them is a guess; none: nothing that can be done is asked for.

    Args:
        counts: how many there are of each kind, where that is known.

    Raises:
        ValueError: a number is in it that says of nothing how many are meant.
    """
    draft = Draft(counts)
    try:
        for number, segment in enumerate(segments):
            _take(draft, segment, segments[number + 1 :])
        steps = _finished(draft)
    except UnclearError:
        return (), 0.0, False
    check_all_counted(segments, draft.counted)
    certainty = 1.0
    for segment in segments:
        if segment.label != "noise":
            certainty *= segment.probability
    return tuple(steps), certainty, draft.guessed


def _take(draft: Draft, segment: Segment, rest: Sequence[Segment]) -> None:
    """One segment. Args: rest: those after it."""
    kind, _, detail = segment.label.partition(":")
    words = set(segment.words)
    if kind in ("noise", "verb"):
        _negation(draft, kind, words)
    if kind not in NAMED:
        draft.said |= words
    is_part = segment.entity is not None and bool(segment.entity.part) and bool(draft.waiting)  # "open the top one"
    is_there = kind != "place" and words <= ON_IT and not is_part
    if kind in NAMED and (draft.refused or words <= ANYTHING or is_there):
        draft.preposition = ""
        return
    if kind in ("verb", "it", "noise") and words & _ALL and draft.steps and not draft.pending:
        if draft.steps[-1].action == "put":
            raise UnclearError  # a stack cannot be lifted as one
    take_number(draft, segment)
    _take_by_label(draft, kind, detail, segment, rest)
    draft.before, draft.words_before, draft.after_thing = segment.words[-1], segment.words, kind == "thing"


def _negation(draft: Draft, kind: str, words: set[str]) -> None:
    """Raises: UnclearError: all that is asked for is not to be done."""
    draft.refused = not words.isdisjoint(_REFUSING) and "forget" not in words
    if draft.refused and kind == "verb" and not draft.steps and not draft.pending:
        raise UnclearError


def _take_by_label(draft: Draft, kind: str, detail: str, segment: Segment, rest: Sequence[Segment]) -> None:
    match kind:
        case "verb":
            _take_verb(draft, detail, segment.words, rest)
        case "heat":
            draft.heated, draft.mode = True, "put"
        case "before":
            open_first(draft)
        case "noise":
            draft.spoken_of = segment.entity or draft.spoken_of
        case "it":
            _take_it(draft, segment.words)
        case "thing":
            draft.again = False
            take_thing(draft, segment)
        case "by":
            _take_relation_words(draft, detail, segment, rest)
        case "anchor":
            take_anchor(draft, segment)
        case "to":
            take_preposition(draft, detail, segment.words)
        case "place":
            take_place(draft, segment, rest)
        case "there":
            take_there(draft, segment)
        case "aside":
            draft.preposition = with_the_side_said(detail, segment.words)
            put_there(draft, "")
        case "other":
            raise UnclearError


def _take_verb(draft: Draft, action: str, words: tuple[str, ...], rest: Sequence[Segment]) -> None:
    draft.verbs |= set(words)
    draft.put_since = action == "put" and bool(draft.pending)
    if not changes_the_last(draft, action, words):
        take_action(draft, action, words, rest)
    if not _IT.isdisjoint(words):
        first_it(draft)


def _take_it(draft: Draft, words: tuple[str, ...]) -> None:
    """Raises: UnclearError: it may be any of several."""
    if len(draft.pending) > 1 and draft.verb_between and not _SINGULAR.isdisjoint(words):
        raise UnclearError  # "don't forget the condiments, pick up the sauce and place it …"
    draft.again = True
    first_it(draft)
    if draft.preposition and draft.pending:
        put_there(draft, "")


def _take_relation_words(draft: Draft, relation: str, segment: Segment, rest: Sequence[Segment]) -> None:
    """What was read as how a thing stands to another may be the end of a verb, or say that the other is a place."""
    if draft.waiting == "turn on" and "off" in segment.words:
        draft.waiting = "turn off"
    elif segment.words == ("close",) and not (draft.pending or draft.steps):
        draft.waiting = "close"
    elif draft.named_after_verb is not None and relation in ("on", "in") and "的" not in segment.said:
        draft.preposition = relation  # "杯子放盘子上": the place, and then what says so
        placed(draft, draft.named_after_verb, "", rest)
    else:
        take_relation(draft, relation, segment.words)
    draft.named_after_verb = None


def _finished(draft: Draft) -> list[Step]:
    """Raises: UnclearError: something is left open, or contradicts itself."""
    if draft.pending and draft.steps and draft.steps[-1].action in ("open", "turn on"):
        put_there(draft, "")
    if draft.pending and draft.place is not None and "same" in draft.said:
        put_there(draft, "")
    if not draft.steps and draft.pending:
        without_a_place(draft)
    is_lifted = draft.mode == "pick up" or bool(draft.verbs) and _LIFTING.issuperset(draft.verbs)
    if len(draft.pending) == 1 and is_lifted:
        draft.steps.append(replace(draft.pending.pop(), action="pick up"))
    if not draft.place_is_used and not draft.pending:
        _put_what_was_spoken_of(draft)
    if draft.pending or draft.waiting or draft.unmet or not draft.steps:
        raise UnclearError
    if any(len(step.anchors) != RELATED_TO.get(step.relation, 0) for step in draft.steps):
        raise UnclearError
    puts = [step for step in draft.steps if step.action == "put" and step.relation != "outside"]
    moved = [(step.thing, step.side, step.relation, step.anchors) for step in puts]
    if len(set(moved)) < len(moved):
        raise UnclearError  # the same thing to two places
    return draft.steps


def _put_what_was_spoken_of(draft: Draft) -> None:
    """A place was named and nothing to put there: perhaps what was spoken of, but that is a guess.

    Raises: UnclearError: nothing was.
    """
    at, thing = draft.place_first, draft.spoken_of
    if thing is None and any(step.action == "open" and step.thing == at.place for step in draft.steps):
        return  # "I want to see what is in the drawer, open it"
    if thing is None or thing == at.place:
        raise UnclearError
    draft.guessed = True
    draft.steps.insert(0, replace(at, thing=thing))
