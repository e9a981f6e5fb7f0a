"""What a word may be for, and what the next one is for then: the transitions of the hidden Markov model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.segment import MENTIONS

State = tuple[str, Entity | None]  # what a word is for; of a mention, of what: None: of what is not there

_NOT_THERE = 0.12  # prior probability that a thing named is not there
_CANNOT = -2.0  # log; most of what people say to a robot is a request
_NEXT_IN_A_ROW = np.log(0.003)
_NEVER = -60.0


def transitions(
    steps: Mapping[str, Mapping[str, int]], states: Sequence[State]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities (states, states) of what follows, (states,) of the first and (states,) of the last.

    Args:
        steps: label -> how often each label was drawn after it, "end" among them; "start" is before the first.
    """
    entities = list(dict.fromkeys(entity for label, entity in states if label in MENTIONS))
    labels = list(dict.fromkeys(label for label, _ in states))
    role = np.array([labels.index(label) for label, _ in states])
    entering = np.array([_entering(state, len(entities)) for state in states])
    between = np.array([_chances(steps, label, labels) for label in labels])[role][:, role]
    follow = np.where(_go_on(states, role), _going_on(states, between, entering), between + entering)
    first = np.array(_chances(steps, "start", labels))[role] + entering
    last = np.array([_chances(steps, label, ["end"])[0] for label in labels])[role]
    return follow, first, last


def _chances(steps: Mapping[str, Mapping[str, int]], label: str, others: Sequence[str]) -> list[float]:
    """Log probability of each of the others after a label."""
    counts = steps.get(label, {})
    total = sum(counts.values()) + 1
    return [np.log((counts.get(other, 0) + 0.02) / total) for other in others]


def _entering(state: State, entities: int) -> float:
    """Log prior probability of what is mentioned. Args: entities: how many may be, what is not there among them."""
    label, entity = state
    if label not in MENTIONS:
        return _CANNOT if label == "verb:cannot" else 0.0
    return np.log(_NOT_THERE) if entity is None else np.log((1 - _NOT_THERE) / max(1, entities - 1))


def _go_on(states: Sequence[State], role: np.ndarray) -> np.ndarray:
    """(states, states) bool: whether both are mentions in the same role."""
    return (role[:, None] == role) & np.array([label in MENTIONS for label, _ in states])


def _going_on(states: Sequence[State], between: np.ndarray, entering: np.ndarray) -> np.ndarray:
    """(states, states): within one mention, or from a thing to the next: "the soup, the milk", where nothing that is
    heard stands in between."""
    numbers: dict[Entity | None, int] = {}
    here = np.array([numbers.setdefault(entity, len(numbers)) for _, entity in states])
    is_thing = np.array([label == "thing" and entity is not None for label, entity in states])
    in_a_row = np.where(is_thing & is_thing[:, None], _NEXT_IN_A_ROW + entering, _NEVER)
    return np.where(here[:, None] == here, between, in_a_row)
