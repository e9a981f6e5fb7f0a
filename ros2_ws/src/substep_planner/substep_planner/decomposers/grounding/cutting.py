"""Cuts a sentence into segments, by what each word is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from substep_planner.decomposers.grounding.markov import StatePath
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import MENTIONS, Segment

_LIKELY = 0.25  # mean probability from which another thing may have been meant
_SWITCHING = {"verb:open": "verb:turn on", "verb:close": "verb:turn off"}


def segments_of(
    found: StatePath, words: Sequence[str], said: Sequence[str], of_things: frozenset[str]
) -> list[Segment]:
    """Words in a row that are for the same.

    Args:
        words: mended.
        said: as they stand in the sentence.
        of_things: every word that is said of things.
    """
    rows: list[list[int]] = []
    for number, state in enumerate(found.path):
        if rows and found.path[rows[-1][0]] == state:
            rows[-1].append(number)
        else:
            rows.append([number])
    segments = []
    for row in rows:
        label, entity = found.states[found.path[row[0]]]
        text = tuple(words[number] for number in row)
        if label in MENTIONS and entity is None and of_things.isdisjoint(text):
            label = "noise"  # no word for any thing is in it
        probability = max(float(found.chances[number, found.path[number]]) for number in row)
        others = _others(found, row) if label in MENTIONS else ()
        segments.append(Segment(label, entity, text, " ".join(said[number] for number in row), probability, others))
    return segments


def _others(found: StatePath, row: list[int]) -> tuple[Entity, ...]:
    """Which other whole things a mention of one may mean."""
    label, entity = found.states[found.path[row[0]]]
    if entity is None or entity.part:
        return ()
    return tuple(
        other
        for number, (role, other) in enumerate(found.states)
        if role == label and other not in (entity, None) and not other.part
        and float(np.mean(found.chances[row, number])) > _LIKELY
    )  # fmt: skip


def without_asides(segments: list[Segment]) -> list[Segment]:
    """What is not there and is spoken of before anything is asked for is no part of it: "I am tidying my room, could
    you …"."""
    kept, asked = [], False
    for number, segment in enumerate(segments):
        asked = asked or segment.label not in ("noise", "thing") or segment.entity is not None
        around = {one.label for one in (*segments[max(0, number - 1) : number], *segments[number + 1 : number + 2])}
        if segment.label == "thing" and not asked and number and around == {"noise"}:
            segment = replace(segment, label="noise")
        kept.append(segment)
    return kept


def without_mentioned(segments: list[Segment]) -> list[Segment]:
    """What a phrase may also mean, without what another phrase means."""
    mentioned = {segment.entity for segment in segments if segment.label in MENTIONS}
    return [replace(one, others=tuple(other for other in one.others if other not in mentioned)) for one in segments]


def switched_not_opened(segments: list[Segment]) -> list[Segment]:
    """In a language that has one word for both, what has nothing to open is turned on."""
    kept = []
    for number, segment in enumerate(segments):
        after = [one.entity for one in segments[number + 1 :] if one.label == "thing"]
        before = [one.entity for one in segments[:number] if one.label == "thing"]
        entity = (after or before[-1:] or [None])[0]
        if segment.label in _SWITCHING and entity and entity.affordances.switches and not entity.affordances.opens:
            segment = replace(segment, label=_SWITCHING[segment.label])
        kept.append(segment)
    return kept
