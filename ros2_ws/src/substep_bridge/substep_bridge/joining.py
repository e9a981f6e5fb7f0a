"""Joining rules: what is played where a chunk comes while the last one is still being played.

A package adds a rule with an entry point in ``substep.joining_rules``: a function from ``JoiningSettings`` to a
``JoiningRule``. Every rule goes by the newest chunk for where the substep ends, so what is played has as many actions
as the newest chunk has left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import Field

from substep_core.chunk_timing import ChunkTiming
from substep_core.configuration import configuration
from substep_core.contract import RobotContract
from substep_core.registry import Registry

RULES_OWN = -1  # of an overlap
LONGEST = 1000  # actions of any chunk


@configuration
class JoiningSettings:
    """When the next chunk is asked for and how it is joined to the last one."""

    actions_per_chunk: int = Field(
        default=0,
        ge=0,
        le=LONGEST,
        description="first actions of a chunk, after which the next one is to take over; later ones are played only "
        "while that is late; 0: all",
    )
    inference_time: float = Field(
        default=0.0,
        ge=0.0,
        le=60.0,
        description="s from an observation to its chunk, as known beforehand; it counts beside what is measured until "
        "20 chunks have come (realtime)",
    )
    overlap: int = Field(
        default=RULES_OWN,
        ge=RULES_OWN,
        le=LONGEST,
        description="actions of the last chunk that are still queued when the next one is expected (realtime); -1: the "
        "joining rule's own",
    )
    ensemble_decay: float = Field(
        default=0.01,
        ge=0.0,
        le=100.0,
        description="m of the weights exp(-m i) of 'ensemble', where chunk i = 0 is the oldest",
    )


@dataclass(frozen=True)
class Meeting:
    """Two or more chunks that say what to do in the same control steps, each from the next step on.

    Attributes:
        contract: of the robot.
        queued: (Q, A) what would be played if no chunk had come; Q may be 0.
        predictions: one or more (P, A), P of each its own: of every chunk that has actions left as the policy gave
            them, the oldest first and the one that has come last.
    """

    contract: RobotContract
    queued: np.ndarray
    predictions: Sequence[np.ndarray]

    @property
    def newest(self) -> np.ndarray:
        """(N, A) of the chunk that has come."""
        return self.predictions[-1]


class JoiningRule(Protocol):
    """How chunks are joined.

    Attributes:
        asks_ahead: the next chunk is asked for while the last one is being played.
        overlap: actions of the last chunk that should be left when the next one comes, beside those that are played
            while it is awaited.
        needs_guidance: requests carry what is left of the last chunk, and the policy goes on from there.
    """

    asks_ahead: bool
    overlap: int
    needs_guidance: bool

    def join(self, meeting: Meeting) -> np.ndarray:
        """(N, A) what is played from the next control step on, as many actions as the newest chunk has left."""


@dataclass(frozen=True)
class Replace:
    """The newest chunk alone."""

    asks_ahead: bool = True
    overlap: int = 0
    needs_guidance: bool = False

    def join(self, meeting: Meeting) -> np.ndarray:
        return meeting.newest


@dataclass(frozen=True)
class Ensemble:
    """The mean of what all chunks say about a step, weighted by exp(−m·i), i = 0 for the oldest (Zhao et al. 2023)."""

    decay: float
    overlap: int
    asks_ahead: bool = True
    needs_guidance: bool = False

    def join(self, meeting: Meeting) -> np.ndarray:
        joined = np.empty_like(meeting.newest)
        for step in range(len(joined)):
            said = np.stack([actions[step] for actions in meeting.predictions if len(actions) > step])
            joined[step] = mixed(meeting.contract, said, np.exp(-self.decay * np.arange(len(said))))
        return joined


@dataclass(frozen=True)
class Blend:
    """From what was queued to the newest chunk in equal steps, over all that both say something about."""

    overlap: int
    asks_ahead: bool = True
    needs_guidance: bool = False

    def join(self, meeting: Meeting) -> np.ndarray:
        joined = meeting.newest.copy()
        both = min(len(meeting.queued), len(joined))
        for step in range(both):
            share = (step + 1) / (both + 1)
            said = np.stack([meeting.queued[step], joined[step]])
            joined[step] = mixed(meeting.contract, said, np.array([1 - share, share]))
        return joined


def mixed(contract: RobotContract, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(M, A) actions for one step, oldest first, with weights (M,) -> (A,) their weighted mean.

    A gripper opens or closes, and half closed is neither: of those on the side that has more weight the newest counts,
    and where both have the same the newest of all.
    """
    action = (weights[:, None] * said).sum(axis=0) / weights.sum()
    for group in contract.action:
        if group.is_gripper:
            place = contract.action_slice(group)
            closes = group.closedness(said[:, place].mean(axis=1)) > 0
            lead = weights[closes].sum() - weights[~closes].sum()
            side = closes if lead > 0 else ~closes if lead < 0 else closes == closes[-1]
            action[place] = said[np.flatnonzero(side)[-1], place]
    return action.astype(said.dtype)


def in_turn(settings: JoiningSettings) -> Replace:
    """The next chunk is asked for about what is seen when the last one has been played: nothing overlaps, and the robot
    waits."""
    return Replace(asks_ahead=False)


def replace(settings: JoiningSettings) -> Replace:
    """The newest chunk from its own step on ("naive" asynchronous execution); one action is left for an answer that
    comes a step later than the others."""
    return Replace(overlap=_overlap(settings, 1))


def ensemble(settings: JoiningSettings) -> Ensemble:
    """Asks as often as inference allows."""
    return Ensemble(settings.ensemble_decay, _overlap(settings, LONGEST))


def blend(settings: JoiningSettings) -> Blend:
    return Blend(_overlap(settings, 4))


def real_time_chunking(settings: JoiningSettings) -> Replace:
    """The newest chunk, which the policy has made to go on from what was queued (Black et al. 2025)."""
    return Replace(overlap=_overlap(settings, 4), needs_guidance=True)


def _overlap(settings: JoiningSettings, own: int) -> int:
    return own if settings.overlap == RULES_OWN else settings.overlap


MakeRule = Callable[[JoiningSettings], JoiningRule]
JOINING_RULES: Registry[MakeRule] = Registry("joining rule", "substep.joining_rules")


@dataclass(frozen=True)
class Joining:
    """A rule and its settings, as a chunk player goes by them. Args: name: of the rule."""

    name: str
    settings: JoiningSettings
    rule: JoiningRule

    @property
    def timing(self) -> ChunkTiming:
        rule = self.rule
        return ChunkTiming(self.name, rule.asks_ahead, rule.needs_guidance, self.settings.inference_time)


IN_TURN = Joining("in_turn", JoiningSettings(), in_turn(JoiningSettings()))


def load_joining(name: str, settings: JoiningSettings, rules: Registry[MakeRule] = JOINING_RULES) -> Joining:
    """Raises: RegistryError: there is no rule of that name."""
    return Joining(name, settings, rules.load(name)(settings))
