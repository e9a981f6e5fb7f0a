"""The substep manager's inputs (events) and outputs (commands), without ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from substep_core.chunk import ChunkOutcome
from substep_core.errors import ErrorCode
from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_core.protocol import Cause, HoldKind, Reason, RefusalKind, TaskEvent
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.revision import Revision, Running

UNKNOWN = -1.0  # an EOS probability or similarity that has not been heard


# --- events ---


@dataclass(frozen=True)
class EpisodeProgress:
    """The world after a control step. ``step`` counts control steps since the reset, ``episode`` counts resets.

    ``latched`` is why the safety guard holds the arm; empty: it does not. ``hold`` is why the robot takes no commands,
    where it is one of ``NOT_READY``.
    """

    episode: int
    step: int
    success: bool
    done: bool
    instruction: str = ""
    suite: str = ""
    latched: str = ""
    hold: Reason[HoldKind] = Reason(HoldKind.NONE)


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
    """The bridge's report on a chunk.

    Attributes:
        stamp: ns of world time.
        reason: why it was superseded or rejected, for people.
        fingers: None where they are not measured.
    """

    key: SubstepKey
    outcome: ChunkOutcome
    stamp: int
    eos_probability: float = UNKNOWN
    reason: str = ""
    latched: bool = False
    fingers: Fingers | None = None


@dataclass(frozen=True)
class PolicyRefused:
    """The policy gives no chunk for the substep, and says why."""

    key: SubstepKey
    reason: Reason[RefusalKind]


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
    clarification: str = ""  # a question that the user can answer by asking again


@dataclass(frozen=True)
class ReviseTask:
    """Somebody wants the task changed, in words. ``answer``: hears once how they were taken."""

    words: str
    answer: Callable[[RevisionAnswer], None]


@dataclass(frozen=True)
class RevisionMade:
    """The answer to ``request``."""

    request: MakeRevision
    revision: Revision


@dataclass(frozen=True)
class RevisionFailed:
    """The other answer to ``request``."""

    request: MakeRevision
    code: ErrorCode
    message: str
    clarification: str = ""


@dataclass(frozen=True)
class AnotherPlan:
    """Somebody else publishes the active substep. ``plan_id``: whose; empty: nothing is to be active."""

    plan_id: str


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
    | ReviseTask
    | RevisionMade
    | RevisionFailed
    | AnotherPlan
    | Stopped
    | Tick
)

# --- commands ---


@dataclass(frozen=True)
class MakePlan:
    """Ask the decomposers.

    Attributes:
        done: substeps of the task that were completed already.
        failure: why the previous plan failed; None for the first.
    """

    instruction: str
    suite: str = ""
    done: tuple[Substep, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class MakeRevision:
    """Find out what words ask for, of a task as it stands."""

    words: str
    running: Running


@dataclass(frozen=True)
class RevisionAnswer:
    """Tell who wanted the task changed.

    Attributes:
        code: why it goes on as it was; NONE: it was changed, or ended as was asked for.
        message: what was wrong, or how the words were taken.
        remaining: what is left to do, the active substep first.
    """

    code: ErrorCode
    message: str
    clarification: str = ""
    stopped: bool = False
    remaining: tuple[Substep, ...] = ()


@dataclass(frozen=True)
class AnswerRevision:
    """Give an answer to who asked."""

    asked: ReviseTask
    answer: RevisionAnswer


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
class Deactivate:
    """Make nothing active: the world holds; ``plan_done``: once what was let go last has come to rest."""

    plan_done: bool = False


@dataclass(frozen=True)
class TaskFeedback:
    """Feedback: where the task stands and what just happened.

    Attributes:
        done: substeps of the whole task that count as done.
        event, cause: what just happened, and why.
    """

    key: SubstepKey
    done: int
    plan: tuple[Substep, ...]
    source: str
    steps: int
    eos_probability: float
    similarity: float
    event: TaskEvent = TaskEvent.NONE
    cause: Reason[Cause] = Reason(Cause.NONE)

    @property
    def event_text(self) -> str:
        """For people, as in "advanced: eos"; empty when only figures have changed."""
        if self.event is TaskEvent.NONE:
            return ""
        if self.event is TaskEvent.REPLANNED:
            return f"replanned by {self.source}"
        return f"{self.event.words}: {self.cause.text}" if self.cause else self.event.words


@dataclass(frozen=True)
class Finish:
    """The task is over."""

    code: ErrorCode
    message: str
    source: str
    completed: int
    total: int
    clarification: str = ""  # a question that the user can answer by asking again

    @property
    def success(self) -> bool:
        return self.code is ErrorCode.NONE

    @property
    def as_wished(self) -> bool:
        """It succeeded, or it was asked to end."""
        return self.code in (ErrorCode.NONE, ErrorCode.CANCELED, ErrorCode.PREEMPTED)


Command = MakePlan | MakeRevision | AnswerRevision | Activate | Deactivate | TaskFeedback | Finish
