"""Conversions between the planner's ROS messages and its events and commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rclpy.serialization import deserialize_message
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import (
    ActionChunk,
    ActiveSubstep,
    ChunkRefusal,
    ChunkReport,
    EpisodeStatus,
    SceneState,
    TaskStatus,
)
from substep_interfaces.msg import Substep as SubstepMessage
from substep_interfaces.srv import ReviseTask

from substep_core.chunk import NO_EOS, ChunkOutcome
from substep_core.errors import ErrorCode
from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_core.protocol import HoldKind, Reason, RefusalKind
from substep_core.ros.messages import to_nanoseconds
from substep_planner.manager.episode_watch import NOT_READY
from substep_planner.manager.events import (
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    EpisodeProgress,
    Fingers,
    Finish,
    PolicyRefused,
    RevisionAnswer,
    TaskFeedback,
)


def key_from_message(message: ActionChunk | ChunkReport | ChunkRefusal) -> SubstepKey:
    return SubstepKey(message.plan_id, message.substep_index, message.attempt)


def progress_from_message(message: EpisodeStatus) -> EpisodeProgress:
    return EpisodeProgress(
        episode=message.episode,
        step=message.step,
        success=message.success,
        done=message.done,
        instruction=message.instruction,
        suite=message.suite,
        latched=message.hold_detail if message.hold_kind == HoldKind.LATCHED else "",
        hold=_not_ready(message),
    )


def _not_ready(message: EpisodeStatus) -> Reason[HoldKind]:
    """Why the robot takes no commands, if that is why it holds."""
    if message.hold_kind not in NOT_READY:
        return Reason(HoldKind.NONE)
    return Reason(HoldKind(message.hold_kind), message.hold_detail)


def announcement_from_message(message: ActionChunk) -> ChunkAnnounced:
    return ChunkAnnounced(key_from_message(message), message.eos_index != NO_EOS)


def report_from_message(message: ChunkReport) -> ChunkPlayed:
    """A chunk report as an event.

    Raises:
        ValueError: its outcome is none of the message's constants.
    """
    return ChunkPlayed(
        key=key_from_message(message),
        outcome=ChunkOutcome(message.outcome),
        stamp=to_nanoseconds(message.header.stamp),
        eos_probability=message.eos_probability,
        reason=message.reason,
        latched=message.latched,
        fingers=Fingers(message.gripper, message.gripper_width) if message.gripper_width >= 0 else None,
    )


def refusal_from_message(message: ChunkRefusal) -> PolicyRefused:
    """Raises: ValueError: its kind is none of the message's constants."""
    return PolicyRefused(key_from_message(message), Reason(RefusalKind(message.kind), message.reason))


def categories_in_scene(serialised: bytes) -> Counter[str]:
    """How many objects of each category are in a serialised SceneState; none where none was heard."""
    if not serialised:
        return Counter()
    return Counter(item.category for item in deserialize_message(serialised, SceneState).objects)


def substeps_to_messages(substeps: Iterable[Substep]) -> list[SubstepMessage]:
    return [SubstepMessage(instruction=step.instruction, expected_effect=step.expected_effect) for step in substeps]


def activation_to_message(command: Activate) -> ActiveSubstep:
    """Without its stamp."""
    return ActiveSubstep(
        plan_id=command.key.plan_id,
        index=command.key.index,
        count=len(command.plan),
        attempt=command.key.attempt,
        back_off=command.back_off,
        instruction=command.substep.instruction,
        expected_effect=command.substep.expected_effect,
        task=command.task,
    )


def feedback_to_message(command: TaskFeedback) -> ExecuteTask.Feedback:
    return ExecuteTask.Feedback(
        plan_id=command.key.plan_id,
        plan_source=command.source,
        plan=substeps_to_messages(command.plan),
        substep_index=command.key.index,
        substeps_done=command.done,
        instruction=command.plan[command.key.index].instruction,
        attempt=command.key.attempt,
        steps=command.steps,
        eos_probability=command.eos_probability,
        similarity=command.similarity,
        event=command.event,
        cause=command.cause.kind,
        event_text=command.event_text,
    )


def result_to_message(finish: Finish) -> ExecuteTask.Result:
    return ExecuteTask.Result(
        success=finish.success,
        error_code=int(finish.code),
        message=finish.message,
        clarification=finish.clarification,
        plan_source=finish.source,
        substeps_completed=finish.completed,
        substeps_total=finish.total,
    )


def answer_to_response(answer: RevisionAnswer, response: ReviseTask.Response) -> ReviseTask.Response:
    response.success, response.error_code = answer.code is ErrorCode.NONE, int(answer.code)
    response.message, response.clarification = answer.message, answer.clarification
    response.stopped, response.substeps = answer.stopped, substeps_to_messages(answer.remaining)
    return response


def feedback_to_status(told: str, command: TaskFeedback) -> TaskStatus:
    """Without its stamp. told: the task as it was said."""
    return TaskStatus(
        state=TaskStatus.RUNNING,
        task=told,
        instruction=command.plan[command.key.index].instruction,
        substeps_completed=command.done,
        substeps_total=command.done + len(command.plan) - command.key.index,
    )


def end_to_status(told: str, finish: Finish) -> TaskStatus:
    """Without its stamp. told: the task as it was said."""
    return TaskStatus(
        state=TaskStatus.SUCCEEDED if finish.success else TaskStatus.FAILED,
        task=told,
        error_code=int(finish.code),
        message=finish.message,
        clarification=finish.clarification,
        substeps_completed=finish.completed,
        substeps_total=finish.total,
    )
