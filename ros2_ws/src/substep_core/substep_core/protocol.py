"""Enumerations behind the constants of substep_interfaces: outcomes, reasons, holds, events, causes.

A test compares the two. Programs go by the kind; the text that travels beside it is for people and may be empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar


class Kind(IntEnum):
    """0 is ``NONE`` wherever there may be nothing to tell."""

    @property
    def words(self) -> str:
        """For people, as in "waiting for a chunk"."""
        return self.name.lower().replace("_", " ")


class TaskEvent(Kind):
    """What just happened to a task: EVENT_… of ExecuteTask's feedback."""

    NONE = 0  # only figures have changed
    STARTED = 1  # the first substep of the first plan
    ADVANCED = 2  # the substep is done; the next one begins, or the task ends
    EOS_PLAYED = 3  # the policy says that the substep is done; the switch rule has not decided yet
    CHUNK_REJECTED = 4  # by the safety guard
    REISSUED = 5  # the substep goes on: the policy is told of it anew
    RETRIED = 6  # the substep failed and begins again
    RETRIED_FROM_PICK_UP = 7  # the same, from the pick up before it
    REPLANNING = 8  # the plan failed; another one is asked for
    REPLANNED = 9  # the first substep of another plan
    REVISED = 10  # the same, of a plan that revise_task asked for


class Cause(Kind):
    """Why it happened: CAUSE_… of ExecuteTask's feedback."""

    NONE = 0
    OTHER = 1  # known to a switch rule from outside alone
    EOS = 2
    VISION = 3
    EOS_CONFIRMED_BY_VISION = 4
    EOS_NOT_CONFIRMED_BY_VISION = 5
    EOS_DENIED_BY_VISION = 6
    EOS_NOT_HEEDED = 7  # the rule goes by vision alone
    EOS_NOT_SCORED = 8  # no frame was scored in time
    TIMEOUT = 9
    NOTHING_GRASPED = 10
    DROPPED = 11
    NOT_LET_GO = 12
    POLICY_REFUSED = 13
    GUARD = 14


class HoldKind(Kind):
    """Why nothing is being played: HOLD_… of EpisodeStatus."""

    NONE = 0  # a chunk is being played
    WAITING_FOR_A_SUBSTEP = 1
    WAITING_FOR_THE_NEXT_SUBSTEP = 2  # the active one has ended by EOS
    WAITING_FOR_A_CHUNK = 3
    COMING_TO_REST = 4
    LATCHED = 5  # by the safety guard, until reset_episode
    EPISODE_OVER = 6
    PLANNER_SILENT = 7  # a substep is active, and its planner has given no sign of life
    ROBOT_DISABLED = 8  # nobody has armed it
    OBSERVATION_LOST = 9  # a sensor's messages are missing, old, or the same again and again
    ROBOT_HALTED = 10  # its driver halts it for the time being
    ROBOT_FAULT = 11  # until robot/reset


class SafetyState(Kind):
    """What may leave for a real robot: the states of RobotState."""

    DISABLED = 0  # nothing
    SHADOW = 1  # nothing: what would have been sent is published
    ARMED = 2  # commands
    HOLDING = 3  # the stop, for as long as something is amiss
    FAULT = 4  # the stop, and then nothing until reset


class ChunkReason(Kind):
    """Why a chunk was superseded or rejected: REASON_… of ChunkReport."""

    NONE = 0
    # superseded
    SUBSTEP_CHANGED = 1
    EPISODE_RESET = 2
    NEWER_CHUNK = 3
    STALE_EPISODE = 4  # the episode that it answers is not the current one
    STALE_SUBSTEP = 5  # the substep that it answers is not the active one
    # superseded or rejected
    EPISODE_OVER = 6
    # rejected
    SUBSTEP_ENDED = 7
    LATCHED = 8  # by the safety guard: what comes is rejected, what is under way is cut short
    NOT_FINITE = 9
    SHAPE = 10
    AGE = 11
    RANGE = 12
    WORKSPACE = 13  # the end effector is, or would get, out of the box
    SPEED = 14
    CHANGE = 15  # of the command, too much in too short a time
    TILT = 16  # of the end effector
    JOINT_LIMIT = 17
    # superseded
    NOT_ASKED_FOR = 18  # it answers no request that is open
    PLANNER_SILENT = 19
    ROBOT_NOT_READY = 20  # disabled, halted, in fault, or not observed
    PASSED = 21  # the steps of all its actions had passed when it came


class RefusalKind(Kind):
    """Why the policy gives no chunk: the constants of ChunkRefusal."""

    INSTRUCTION = 1  # it cannot carry out such a substep, or not in this scene
    OBSERVATION = 2  # something that it needs is missing or malformed
    NOT_FINITE = 3  # the model's output
    CONTRACT = 4  # the robot is not the one that it was activated for
    OTHER = 5
    GUIDANCE = 6  # it cannot go on from what is left of the last chunk


class SubstepEnd(StrEnum):
    """Why a substep was left, in summaries and evaluations, unless by an advance or by the task's error.

    An advance is named by the words of its ``Cause``, an error by its code's name.
    """

    TRIED_AGAIN = "tried again"  # from the pick up before it
    REPLANNED = "replanned"
    GOAL_REACHED = "goal reached"


K = TypeVar("K", bound=Kind)


@dataclass(frozen=True)
class Reason(Generic[K]):
    """A kind, and what there is to say beyond it. False where there is no reason."""

    kind: K
    detail: str = ""

    @property
    def text(self) -> str:
        """For people, as in "workspace: action 3 leads to x = 0.7 m"."""
        if not self:
            return ""
        return f"{self.kind.words}: {self.detail}" if self.detail else self.kind.words

    def __bool__(self) -> bool:
        return bool(self.kind)


class ChunkRefused(ValueError):
    """A policy gives no chunk."""

    def __init__(self, kind: RefusalKind, why: str) -> None:
        super().__init__(why)
        self.reason = Reason(kind, why)

    def __reduce__(self):
        return type(self), (self.reason.kind, self.reason.detail)  # it travels between processes


@contextmanager
def refusing(kind: RefusalKind) -> Iterator[None]:
    """A ``ValueError`` from within that says of no kind by itself is a refusal of this kind."""
    try:
        yield
    except ChunkRefused:
        raise
    except ValueError as error:
        raise ChunkRefused(kind, str(error)) from error
