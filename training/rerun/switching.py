"""Where each switch rule would have ended the substeps of a recorded run.

The recorded world goes on as it did: a rule is asked about one substep after the other, from its recorded beginning to
its recorded end, and what is noted is the first moment at which it would have left the substep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from substep_core.chunk import NO_EOS, Chunk, ChunkOutcome
from substep_core.keys import RequestKey, SubstepKey
from substep_core.ros import topics
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_planner.completion.frame_scorer import FrameScorer, WatchSettings
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.views import CameraViews
from substep_planner.manager.events import FrameScored
from substep_planner.manager.switch_rules import SwitchRule, Verdict
from training.rerun.recorded import RecordedRun, request_key

RECORDED, NEW = "recorded", "new"


@dataclass(frozen=True)
class SwitchMoment:
    """Where a rule leaves a substep, or has it tried again, and why.

    Attributes:
        step: control step of the episode.
        stamp: ns of world time.
    """

    step: int
    stamp: int
    cause: str


@dataclass(frozen=True)
class SubstepEnds:
    """One substep of a recorded run.

    Attributes:
        began: when it did.
        left: when it was left in the run; None: it was the last thing that the bag has.
        ends: rule, and whose EOS it goes by -> where it would have left; None: nowhere.
    """

    key: SubstepKey
    instruction: str
    began: SwitchMoment
    left: SwitchMoment | None
    ends: Mapping[tuple[str, str], SwitchMoment | None]


@dataclass(frozen=True)
class _Event:
    """What rules are told.

    Attributes:
        log_time: of the recorded message that it is, or comes with.
        request: of a chunk that is announced.
    """

    kind: str
    key: SubstepKey
    step: int
    stamp: int = 0
    eos: bool = False
    frame: FrameScored | None = None
    log_time: int = 0
    request: RequestKey | None = None


def scored_frames(run: RecordedRun, scorer: CompletionScorer, settings: WatchSettings) -> dict[int, FrameScored]:
    """Log time -> frame, of every frame that the planner would have scored for the substep that was active.

    Raises:
        BagError: its cameras, or the plans, were not recorded.
    """
    cameras = {name: topics.camera_image(run.robot.camera_called(name)) for name in scorer.cameras}
    run.bag.require([*cameras.values(), topics.EXECUTE_TASK.feedback], "the completion scorer")
    names = {topic.name: name for name, topic in cameras.items()}
    views, frames, active, found = CameraViews(scorer.cameras), FrameScorer(scorer, settings), None, {}
    for heard in run.bag.read([topics.ACTIVE_SUBSTEP, *cameras.values()]):
        message = heard.message
        if heard.topic is topics.ACTIVE_SUBSTEP:
            active = _key(message) if message.plan_id in run.plans else None
            if active is not None:
                frames.watch(active, run.plans[active.plan_id][0])
            continue
        name, stamp = names[heard.topic.name], to_nanoseconds(message.header.stamp)
        seen = views.add(name, stamp, message)
        if seen is not None and active is not None and frames.is_due(stamp):
            images = {camera: image_from_message(view, camera) for camera, view in seen.items()}
            found[heard.log_time] = frames.score(images, stamp)
    return found


def substep_ends(
    run: RecordedRun,
    rules: Mapping[str, SwitchRule],
    chunks: Mapping[RequestKey, Chunk],
    frames: Mapping[int, FrameScored],
) -> list[SubstepEnds]:
    """Every substep of the run, and where each rule would have left it.

    Args:
        rules: by name.
        chunks: of the policy that was asked again; empty: its EOS is not followed.
        frames: from ``scored_frames``; empty: rules that look see nothing.
    """
    told = {RECORDED: list(_recorded_events(run, frames))}
    if chunks:
        told[NEW] = list(_new_events(run, told[RECORDED], chunks))
    visits = _visits(run, told[RECORDED])
    ends: list[dict[tuple[str, str], SwitchMoment | None]] = [{} for _ in visits]
    for name, rule in rules.items():
        for whose, events in told.items():
            for place, visit in enumerate(visits):
                own = [event for event in events if _place(event.key) == _place(visit.key)]
                ends[place][name, whose] = _first_end(rule, own)
    return [replace(visit, ends=found) for visit, found in zip(visits, ends, strict=True)]


def _first_end(rule: SwitchRule, events: Sequence[_Event]) -> SwitchMoment | None:
    rule.begin()
    for event in events:
        now = event.log_time / 1e9
        match event.kind:
            case "begin":
                rule.begin()
                continue
            case "announced":
                rule.on_chunk(event.eos)
                continue
            case "eos":
                decision = rule.on_eos(event.stamp, event.step, now)
            case "played":
                rule.on_chunk(False)
                decision = rule.on_time(now)
            case "frame":
                decision = rule.on_frame(event.frame, event.step)
        if decision.verdict in (Verdict.ADVANCE, Verdict.RETRY):
            again = "retry: " if decision.verdict is Verdict.RETRY else ""
            return SwitchMoment(event.step, event.stamp, again + decision.reason.text)
    return None


def _recorded_events(run: RecordedRun, frames: Mapping[int, FrameScored]) -> Iterator[_Event]:
    """In the order in which they were recorded."""
    wanted = [topics.ACTIVE_SUBSTEP, topics.EPISODE_STATUS, topics.ACTION_CHUNK, topics.CHUNK_REPORT]
    waiting = sorted(frames.items(), reverse=True)
    step, now, active = 0, 0, None
    for heard in run.bag.read(wanted):
        while waiting and waiting[-1][0] <= heard.log_time:
            log_time, frame = waiting.pop()
            yield _Event("frame", frame.key, step, frame.stamp, frame=frame, log_time=log_time)
        message = heard.message
        if heard.topic is topics.EPISODE_STATUS:
            step, now = message.step, to_nanoseconds(message.header.stamp)
        elif heard.topic is topics.ACTIVE_SUBSTEP and message.plan_id and _key(message) != active:
            active = _key(message)
            yield _Event("begin", active, step, now, log_time=heard.log_time)
        elif heard.topic is topics.ACTION_CHUNK:
            key = request_key(message)
            yield _Event("announced", key.substep, step, now, eos=message.eos_index != NO_EOS, request=key)
        elif heard.topic is topics.CHUNK_REPORT:
            ended = message.outcome == ChunkOutcome.PLAYED_EOS
            key, stamp = request_key(message).substep, to_nanoseconds(message.header.stamp)
            yield _Event("eos" if ended else "played", key, step, stamp, log_time=heard.log_time)


def _new_events(run: RecordedRun, recorded: Sequence[_Event], chunks: Mapping[RequestKey, Chunk]) -> Iterator[_Event]:
    """The recorded ones with the EOS of other chunks in the place of the recorded ones.

    An EOS counts where the recorded chunk was played at least as far: what comes after, nobody knows.
    """
    coming: _Event | None = None
    for event in recorded:
        if coming is not None and event.step >= coming.step and event.kind != "announced":
            yield replace(coming, log_time=event.log_time)
            coming = None
        if event.kind == "announced":
            coming = _new_end(run, event.request, chunks.get(event.request))
            yield replace(event, eos=coming is not None)
        else:
            yield replace(event, kind="played") if event.kind == "eos" else event
    if coming is not None:
        yield coming


def _new_end(run: RecordedRun, request: RequestKey, chunk: Chunk | None) -> _Event | None:
    part = run.played(request)
    if chunk is None or not chunk.has_eos or part is None or not len(part.commands):
        return None
    steps = max(0, chunk.eos_index + 1 - part.first)  # an end whose step has passed ends the substep at once
    if steps > len(part.commands):
        return None
    stamp = part.stamp + steps * run.robot.period_ns
    return _Event("eos", request.substep, run.step_of(request) + part.first + steps, stamp)


def _visits(run: RecordedRun, events: Sequence[_Event]) -> list[SubstepEnds]:
    """Substeps in their order; another attempt at one belongs to it."""
    begins = [event for event in events if event.kind == "begin"]
    found: list[SubstepEnds] = []
    for event in begins:
        if found and _place(found[-1].key) == _place(event.key):
            continue
        if found:
            found[-1] = replace(found[-1], left=SwitchMoment(event.step, event.stamp, "the run"))
        instruction = run.substeps[event.key].instruction
        found.append(SubstepEnds(event.key, instruction, SwitchMoment(event.step, event.stamp, "the run"), None, {}))
    return found


def _place(key: SubstepKey) -> tuple[str, int]:
    return key.plan_id, key.index


def _key(message: Any) -> SubstepKey:
    return SubstepKey(message.plan_id, message.index, message.attempt)
