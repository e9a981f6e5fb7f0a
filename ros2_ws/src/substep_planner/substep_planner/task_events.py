"""What the planner hears and what it does: the events and commands of the substep manager, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from substep_planner.decomposers.base import SourcedPlan
from substep_planner.errors import ErrorCode
from substep_planner.plan import Substep
from substep_policy.request_desk import SubstepKey

ADVANCED, RETRY = "advanced: ", "retry"  # how events of these kinds begin
UNKNOWN = -1.0  # an EOS probability or similarity that has not been heard


class Outcome(Enum):
    """What became of a chunk, as in ChunkReport."""

    PLAYED = 0
    PLAYED_EOS = 1
    SUPERSEDED = 2
    REJECTED = 3


# --- events ---


@dataclass(frozen=True)
class EpisodeProgress:
    """The world after a control step. ``step`` counts control steps since the reset, ``episode`` counts resets."""

    episode: int
    step: int
    success: bool
    done: bool
    instruction: str = ""
    suite: str = ""


@dataclass(frozen=True)
class ChunkAnnounced:
    """The policy answered: a chunk that may end in an EOS is about to be played."""

    key: SubstepKey
    eos: bool


@dataclass(frozen=True)
class Fingers:
    """The gripper: as last commanded, 1 closes; m between its fingers."""

    command: float
    width: float


@dataclass(frozen=True)
class ChunkPlayed:
    """The bridge's report on a chunk; ``stamp`` is world time in ns, ``fingers`` None where they are not measured."""

    key: SubstepKey
    outcome: Outcome
    stamp: int
    eos_probability: float = UNKNOWN
    reason: str = ""
    latched: bool = False
    fingers: Fingers | None = None


@dataclass(frozen=True)
class PolicyRefused:
    """The policy says that it cannot carry out the substep, and why."""

    key: SubstepKey
    reason: str


@dataclass(frozen=True)
class FrameScored:
    """The completion scorer's word on a frame of world time ``stamp`` (ns); ``completed`` is debounced."""

    key: SubstepKey
    stamp: int
    similarity: float
    completed: bool


@dataclass(frozen=True)
class PlanMade:
    """The answer to ``request``."""

    request: MakePlan
    sourced: SourcedPlan


@dataclass(frozen=True)
class PlanFailed:
    """The other answer to ``request``."""

    request: MakePlan
    code: ErrorCode
    message: str


@dataclass(frozen=True)
class Stopped:
    """Somebody ends the task: cancel, preempt, deactivation. ``code`` says who."""

    code: ErrorCode
    message: str


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    EpisodeProgress
    | ChunkAnnounced
    | ChunkPlayed
    | PolicyRefused
    | FrameScored
    | PlanMade
    | PlanFailed
    | Stopped
    | Tick
)

# --- commands ---


@dataclass(frozen=True)
class MakePlan:
    """Ask the decomposers.

    Attributes:
        done: substeps of the task that were completed already.
        trouble: what an earlier plan came to grief on; empty for the first.
    """

    instruction: str
    suite: str = ""
    done: tuple[Substep, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Activate:
    """Make a substep the active one; ``back_off``: it, or what came after it, has failed."""

    key: SubstepKey
    plan: tuple[Substep, ...]
    task: str
    back_off: bool = False

    @property
    def substep(self) -> Substep:
        return self.plan[self.key.index]


@dataclass(frozen=True)
class Hold:
    """Make nothing active: the world holds; ``plan_done``: once what was let go last has come to rest."""

    plan_done: bool = False


@dataclass(frozen=True)
class Report:
    """Feedback: where the task stands and what just happened.

    Attributes:
        done: substeps of the whole task that count as done.
        event: empty when only figures changed.
    """

    key: SubstepKey
    done: int
    plan: tuple[Substep, ...]
    source: str
    steps: int
    eos_probability: float
    similarity: float
    event: str


@dataclass(frozen=True)
class Finish:
    """The task is over."""

    code: ErrorCode
    message: str
    source: str
    completed: int
    total: int

    @property
    def success(self) -> bool:
        return self.code is ErrorCode.NONE

    @property
    def as_wished(self) -> bool:
        """It succeeded, or somebody wanted it to end."""
        return self.code in (ErrorCode.NONE, ErrorCode.CANCELED, ErrorCode.PREEMPTED)


Command = MakePlan | Activate | Hold | Report | Finish
