"""Conversions between the bridge's core types and ROS messages."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from substep_interfaces import msg
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRequest, ChunkTiming, EpisodeStatus
from substep_interfaces.srv import ResetEpisode

from substep_bridge.answer import NO_EOS_PROBABILITY, ChunkAnswer, ChunkReport
from substep_core import chunk_timing
from substep_core.contract import Pose
from substep_core.episode import EpisodeStart, EpisodeState, Placement
from substep_core.keys import RequestKey, SubstepKey
from substep_core.protocol import HoldKind, Reason
from substep_core.ros.messages import chunk_from_message, to_nanoseconds, to_time
from substep_core.ros.scene_messages import pose_to_message

NOT_KNOWN = -1.0  # of ChunkReport.gripper_width
PLACEMENTS = {ResetEpisode.Request.BENCHMARK: Placement.BENCHMARK, ResetEpisode.Request.WIDENED: Placement.WIDENED}
CURRENT_TASK = -1


def substep_from_message(message: ActiveSubstep) -> SubstepKey | None:
    """None: nothing is active."""
    return SubstepKey(message.plan_id, message.index, message.attempt) if message.plan_id else None


def answer_from_message(message: ActionChunk) -> ChunkAnswer:
    """A chunk that cannot be read becomes a malformed answer, which the player rejects."""
    substep = SubstepKey(message.plan_id, message.substep_index, message.attempt)
    try:
        chunk, malformed = chunk_from_message(message), ""
    except ValueError as error:
        chunk, malformed = None, str(error)
    return ChunkAnswer(
        request=RequestKey(to_nanoseconds(message.header.stamp), message.episode, substep),
        chunk=chunk,
        eos_probability=max(message.eos_probabilities, default=NO_EOS_PROBABILITY),
        inference_time=message.inference_time,
        malformed=malformed,
    )


def start_from_message(request: ResetEpisode.Request, current_suite: str) -> EpisodeStart:
    """Raises: ValueError: there is no such placement, or it is not said which task of another suite."""
    if request.placement not in PLACEMENTS:
        raise ValueError(f"placement {request.placement} is unknown: expected one of {sorted(PLACEMENTS)}")
    if request.task_index == CURRENT_TASK and request.suite not in ("", current_suite):
        raise ValueError(
            f"suite {request.suite!r} comes without a task_index, and the current task is one of {current_suite!r}: "
            "expected both, or neither for the current task"
        )
    return EpisodeStart(
        suite=request.suite,
        task_index=None if request.task_index == CURRENT_TASK else request.task_index,
        placement=PLACEMENTS[request.placement],
        init_state=request.init_state,
        seed=request.seed,
    )


def request_to_message(request: RequestKey, held: np.ndarray, left_over: np.ndarray, delay: int) -> ChunkRequest:
    """Message of a request.

    Args:
        held: (A,) what the robot is told while nothing is played.
        left_over: (N, A) what the answer goes on from; N is 0 where it need not.
        delay: control steps that are expected to begin before the answer comes.
    """
    return ChunkRequest(
        header=Header(stamp=to_time(request.stamp)),
        episode=request.episode,
        plan_id=request.substep.plan_id,
        substep_index=request.substep.index,
        attempt=request.substep.attempt,
        held_action=held.tolist(),
        left_over=left_over.flatten().tolist(),
        delay=min(delay, len(left_over)),
    )


def timing_to_message(timing: chunk_timing.ChunkTiming) -> ChunkTiming:
    return ChunkTiming(
        joining=timing.joining,
        asks_ahead=timing.asks_ahead,
        needs_guidance=timing.needs_guidance,
        inference_time=timing.inference_time,
    )


def report_to_message(report: ChunkReport, stamp: Time, gripper: float, opening: float | None) -> msg.ChunkReport:
    """gripper: as last commanded, 1 closed; opening: m between the fingers, None where it is not known."""
    request = report.answer.request
    return msg.ChunkReport(
        header=Header(stamp=stamp),
        chunk_stamp=to_time(request.stamp),
        episode=request.episode,
        plan_id=request.substep.plan_id,
        substep_index=request.substep.index,
        attempt=request.substep.attempt,
        outcome=int(report.outcome),
        steps_played=report.steps_played,
        first_action=report.part.first,
        first_stamp=to_time(report.part.stamp),
        commands=report.part.commands.flatten().tolist(),
        eos_probability=float(report.answer.eos_probability),
        inference_time=float(report.answer.inference_time),
        reason_kind=report.reason.kind,
        reason=report.reason.text,
        latched=report.latched,
        gripper=gripper,
        gripper_width=NOT_KNOWN if opening is None else opening,
    )


def episode_status(
    number: int, episode: EpisodeState, is_over: bool, hold: Reason[HoldKind], stamp: Time
) -> EpisodeStatus:
    """number: counts resets; hold: why nothing is being played."""
    return EpisodeStatus(
        header=Header(stamp=stamp),
        episode=number,
        suite=episode.suite,
        task_index=episode.task_index,
        instruction=episode.instruction,
        step=episode.step,
        horizon=episode.horizon,
        success=episode.success,
        done=is_over,
        hold_kind=hold.kind,
        hold_detail=hold.detail,
        hold_reason=hold.text,
    )


def camera_info(intrinsics: np.ndarray, height: int, width: int, frame: str, stamp: Time) -> CameraInfo:
    """intrinsics: (3, 3) pinhole matrix, without distortion."""
    message = CameraInfo(header=Header(stamp=stamp, frame_id=frame), height=height, width=width)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = intrinsics.flatten().tolist()
    message.r = np.eye(3).flatten().tolist()
    message.p = np.hstack([intrinsics, np.zeros((3, 1))]).flatten().tolist()
    return message


def pose_stamped(pose: Pose, frame: str, stamp: Time) -> PoseStamped:
    return PoseStamped(header=Header(stamp=stamp, frame_id=frame), pose=pose_to_message(pose.position, pose.quaternion))
