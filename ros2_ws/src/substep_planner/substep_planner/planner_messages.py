"""Conversions between the planner's ROS messages and its events and commands."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, EpisodeStatus, SceneState
from substep_interfaces.msg import Substep as SubstepMessage

from substep_planner.plan import Substep
from substep_planner.task_events import (
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    EpisodeProgress,
    Fingers,
    Finish,
    Outcome,
    PolicyRefused,
    Report,
)
from substep_policy.chunk import NO_EOS
from substep_policy.messages import to_nanoseconds
from substep_policy.request_desk import SubstepKey


def key_from_message(message: ActionChunk | ChunkReport) -> SubstepKey:
    return SubstepKey(message.plan_id, message.substep_index, message.attempt)


def progress_from_message(message: EpisodeStatus) -> EpisodeProgress:
    return EpisodeProgress(
        message.episode, message.step, message.success, message.done, message.instruction, message.suite
    )


def announcement_from_message(message: ActionChunk) -> ChunkAnnounced:
    return ChunkAnnounced(key_from_message(message), message.eos_index != NO_EOS)


def report_from_message(message: ChunkReport) -> ChunkPlayed:
    """A chunk report as an event.

    Raises:
        ValueError: its outcome is none of the message's constants.
    """
    return ChunkPlayed(
        key=key_from_message(message),
        outcome=Outcome(message.outcome),
        stamp=to_nanoseconds(message.header.stamp),
        eos_probability=message.eos_probability,
        reason=message.reason,
        latched=message.latched,
        fingers=Fingers(message.gripper, message.gripper_width) if message.gripper_width >= 0 else None,
    )


def refusal_from_diagnostics(status: DiagnosticStatus) -> PolicyRefused | None:
    """The policy's ERROR about one substep; None for every other status."""
    if status.level != DiagnosticStatus.ERROR or not status.name.endswith(": inference"):
        return None
    values = {item.key: item.value for item in status.values}
    try:
        key = SubstepKey(values["plan_id"], int(values["substep_index"]), int(values["attempt"]))
    except (KeyError, ValueError):  # an error that is not about a substep
        return None
    return PolicyRefused(key, status.message)


def categories_in_scene(serialised: bytes) -> frozenset[str]:
    """Categories of the objects of a serialised SceneState; none where none was heard."""
    if not serialised:
        return frozenset()
    return frozenset(item.category for item in deserialize_message(serialised, SceneState).objects)


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


def feedback_to_message(command: Report) -> ExecuteTask.Feedback:
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
    )


def result_to_message(finish: Finish) -> ExecuteTask.Result:
    return ExecuteTask.Result(
        success=finish.success,
        error_code=int(finish.code),
        message=finish.message,
        plan_source=finish.source,
        substeps_completed=finish.completed,
        substeps_total=finish.total,
    )
