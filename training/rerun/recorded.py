"""The decisions of a recorded run: what each was about, what was answered, what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from substep_bags.graph_bag import GraphBag
from substep_bags.reader import BagError
from substep_core.chunk import Chunk
from substep_core.keys import IssuedSubstep, RequestKey, SubstepKey
from substep_core.observation_sync import ObservationSync
from substep_core.plan import Substep
from substep_core.ros import topics
from substep_core.ros.messages import chunk_from_message, stamp_of_serialized, to_nanoseconds
from substep_core.ros.topics import Topic
from substep_policy.session.request_matcher import Work

ASKED = (topics.CHUNK_REQUEST, topics.ACTION_CHUNK, topics.ACTIVE_SUBSTEP, topics.EPISODE_STATUS)
HELD = 32  # instants of which a part is kept: what was published together was not recorded together


@dataclass(frozen=True)
class RecordedChunk:
    """A recorded chunk. model: policy and checkpoint that made it; inference_time in s."""

    chunk: Chunk
    model: str
    inference_time: float


@dataclass(frozen=True)
class RecordedPart:
    """What a report says was played of a chunk.

    Attributes:
        first: index in it of the first action that was.
        stamp: ns at which the step of that one began; the others' came one after the other.
        commands: (N, A) what the robot was told.
    """

    first: int
    stamp: int
    commands: np.ndarray


@dataclass(frozen=True)
class RecordedDecision:
    """A request with its observation, and the chunk that answered it in the run.

    Attributes:
        number: from 0, among all that were answered.
        step: control steps under a task before it.
        steps_played: of its chunk; None where no report was recorded.
    """

    number: int
    work: Work
    answer: RecordedChunk
    step: int
    steps_played: int | None

    @property
    def key(self) -> RequestKey:
        return self.work.key


@dataclass(frozen=True)
class RecordedGoal:
    """A task that was begun; ``suite`` as the world said it."""

    plan_id: str
    task: str
    suite: str


class RecordedRun:
    """A run of a graph, out of its bag. What is small is read once and kept; observations are read as they are used.

    Args:
        bag: with requests, chunks and substeps.

    Attributes:
        robot: its contract.
        answers: recorded chunks.
        substeps: as they were issued.
        plans: of each plan id: the plan and its source; none where feedback was not recorded.
        goals: by the id of their first plan.

    Raises:
        BagError: one of these topics is missing.
    """

    def __init__(self, bag: GraphBag) -> None:
        bag.require(ASKED, "a rerun")
        self.bag, self.robot = bag, bag.contract
        self.answers: dict[RequestKey, RecordedChunk] = {}
        self.substeps: dict[SubstepKey, IssuedSubstep] = {}
        self.plans: dict[str, tuple[tuple[Substep, ...], str]] = {}
        self.goals: dict[str, RecordedGoal] = {}
        self._played: dict[RequestKey, RecordedPart] = {}
        self._steps: dict[RequestKey, int] = {}
        self._index()

    @cached_property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Node -> what it was told, as far as the bag says it."""
        text = self.bag.bag.about.get("parameters", "")
        return json.loads(text) if text else {}

    @property
    def seconds(self) -> float:
        """s of wall time from the first message to the last."""
        return (self.bag.bag.end - self.bag.bag.start) / 1e9

    @property
    def first_goals(self) -> list[RecordedGoal]:
        """The tasks in the order in which they were begun, each under its first plan."""
        return [goal for goal in self.goals.values() if goal.plan_id == SubstepKey(goal.plan_id, 0, 0).task_id]

    def played(self, key: RequestKey) -> RecordedPart | None:
        """What was played of a chunk; None where no report of it was recorded."""
        return self._played.get(key)

    def step_of(self, key: RequestKey) -> int:
        """Control steps under a task before a request."""
        return self._steps.get(key, 0)

    def decisions(self, observed: Iterable[Topic]) -> Iterator[RecordedDecision]:
        """Those that were answered, each once, as soon as its observation is complete; those without are left out.

        A robot that waits says its request and what it sees again and again; the policy heeded them once.

        Args:
            observed: what an observation consists of; all of it was recorded.

        Raises:
            BagError: there is not one of which the observation was recorded.
        """
        by_name = {topic.name: topic for topic in observed}
        sync, waiting, first_seen = ObservationSync(by_name, HELD), {}, {}
        found: set[RequestKey] = set()
        for heard in self.bag.read([topics.CHUNK_REQUEST, *by_name.values()]):
            if heard.topic is topics.CHUNK_REQUEST:
                request = heard.message
                key = request_key(request)
                if key in self.answers and key.substep in self.substeps and key not in found:
                    waiting[key.stamp] = key, request
                stamp = key.stamp
            else:
                stamp = stamp_of_serialized(heard.data)
                sync.add(heard.topic.name, stamp, heard.data)
                first_seen.setdefault(heard.topic.name, stamp)
            if stamp in waiting and (messages := sync.messages(stamp)) is not None:
                key, request = waiting.pop(stamp)
                work = Work(key, request, messages, self.substeps[key.substep])
                steps = None if (part := self.played(key)) is None else len(part.commands)
                yield RecordedDecision(len(found), work, self.answers[key], self.step_of(key), steps)
                found.add(key)
        if not found:
            raise BagError(self._why_nothing(first_seen))

    def _why_nothing(self, first_seen: Mapping[str, int]) -> str:
        """first_seen: stamp of the first message of each topic of an observation."""
        if not self.answers:
            return f"{self.bag.path} has no chunk that answers a recorded request"
        asked = min(key.stamp for key in self.answers)
        seen = ", ".join(f"{name} begins at {stamp / 1e9:.3f} s" for name, stamp in first_seen.items())
        return (
            f"{self.bag.path}: no request was recorded with its observation, whose messages carry its stamp: requests "
            f"begin at {asked / 1e9:.3f} s, {seen}. All nodes of a graph must go by one clock (use_sim_time)"
        )

    # --- the index ---

    def _index(self) -> None:
        step, suite = 0, ""
        for heard in self.bag.read([*ASKED, topics.CHUNK_REPORT, topics.EXECUTE_TASK.feedback]):
            message = heard.message
            if heard.topic is topics.EPISODE_STATUS:
                step, suite = message.step, message.suite
            elif heard.topic is topics.CHUNK_REQUEST:
                self._steps.setdefault(request_key(message), step)
            elif heard.topic is topics.ACTION_CHUNK:
                answer = RecordedChunk(_chunk(self.bag, message), message.model, message.inference_time)
                self.answers.setdefault(request_key(message), answer)
            elif heard.topic is topics.CHUNK_REPORT:
                key = request_key(message, message.chunk_stamp)
                self._played[key] = self._part(message)
            elif heard.topic is topics.ACTIVE_SUBSTEP:
                self._hear_substep(message, suite)
            else:
                self._hear_feedback(message.feedback)

    def _part(self, message: Any) -> RecordedPart:
        width, count = self.robot.action_width, message.steps_played
        if len(message.commands) != count * width:
            raise BagError(
                f"{self.bag.path}: {topics.CHUNK_REPORT.name} has {len(message.commands)} values of {count} commands, "
                f"expected {count * width}"
            )
        commands = np.asarray(message.commands, np.float32).reshape(count, width)
        return RecordedPart(message.first_action, to_nanoseconds(message.first_stamp), commands)

    def _hear_substep(self, message: Any, suite: str) -> None:
        if not message.plan_id:
            return
        key = SubstepKey(message.plan_id, message.index, message.attempt)
        self.substeps[key] = IssuedSubstep(key, message.instruction, message.task, message.back_off)
        self.goals.setdefault(message.plan_id, RecordedGoal(message.plan_id, message.task, suite))

    def _hear_feedback(self, message: Any) -> None:
        plan = tuple(Substep(item.instruction, item.expected_effect) for item in message.plan)
        if plan:
            self.plans[message.plan_id] = plan, message.plan_source


def request_key(message: Any, stamp: Any = None) -> RequestKey:
    """Of a request, a chunk, or a report, whose chunk's stamp is ``stamp``."""
    substep = SubstepKey(message.plan_id, message.substep_index, message.attempt)
    return RequestKey(to_nanoseconds(message.header.stamp if stamp is None else stamp), message.episode, substep)


def _chunk(bag: GraphBag, message: Any) -> Chunk:
    try:
        return chunk_from_message(message)
    except ValueError as error:
        raise BagError(f"{bag.path}: {topics.ACTION_CHUNK.name}: {error}") from error
