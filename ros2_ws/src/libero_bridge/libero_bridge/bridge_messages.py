"""Conversions between the bridge's core types and ROS messages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest, EpisodeStatus

from libero_bridge.chunk_player import NO_EOS_PROBABILITY, Answer, Report
from libero_bridge.simulation import Simulation
from substep_policy.messages import chunk_from_message, to_nanoseconds, to_time
from substep_policy.request_desk import RequestKey, SubstepKey
from substep_policy.scene_messages import WORLD_FRAME, pose_to_message


def substep_from_message(message: ActiveSubstep) -> SubstepKey | None:
    """None: nothing is active."""
    return SubstepKey(message.plan_id, message.index, message.attempt) if message.plan_id else None


def answer_from_message(message: ActionChunk) -> Answer:
    """A chunk that cannot be read becomes a malformed answer, which the player rejects."""
    substep = SubstepKey(message.plan_id, message.substep_index, message.attempt)
    try:
        chunk, malformed = chunk_from_message(message), ""
    except ValueError as error:
        chunk, malformed = None, str(error)
    return Answer(
        request=RequestKey(to_nanoseconds(message.header.stamp), message.episode, substep),
        chunk=chunk,
        eos_probability=max(message.eos_probabilities, default=NO_EOS_PROBABILITY),
        inference_time=message.inference_time,
        malformed=malformed,
    )


def request_to_message(request: RequestKey, gripper: float) -> ChunkRequest:
    """gripper: as last commanded."""
    return ChunkRequest(
        header=Header(stamp=to_time(request.stamp)),
        episode=request.episode,
        plan_id=request.substep.plan_id,
        substep_index=request.substep.index,
        attempt=request.substep.attempt,
        gripper=gripper,
    )


def report_to_message(report: Report, stamp: Time, gripper: float, gripper_width: float) -> ChunkReport:
    """gripper: as last commanded, 1 closed; gripper_width: m."""
    request = report.answer.request
    return ChunkReport(
        header=Header(stamp=stamp),
        chunk_stamp=to_time(request.stamp),
        episode=request.episode,
        plan_id=request.substep.plan_id,
        substep_index=request.substep.index,
        attempt=request.substep.attempt,
        outcome=int(report.outcome),
        steps_played=report.steps_played,
        eos_probability=float(report.answer.eos_probability),
        inference_time=float(report.answer.inference_time),
        reason=report.reason,
        latched=report.latched,
        gripper=gripper,
        gripper_width=gripper_width,
    )


def episode_status(episode: int, simulation: Simulation, hold_reason: str, stamp: Time) -> EpisodeStatus:
    """hold_reason: why nothing is being played; empty while a chunk is."""
    return EpisodeStatus(
        header=Header(stamp=stamp),
        episode=episode,
        suite=simulation.suite,
        task_index=simulation.task_index,
        instruction=simulation.instruction,
        step=simulation.step_count,
        horizon=simulation.config.horizon,
        success=simulation.success,
        done=bool(simulation.over),
        holding=bool(hold_reason),
        hold_reason=hold_reason,
    )


def camera_info(intrinsics: np.ndarray, height: int, width: int, frame: str, stamp: Time) -> CameraInfo:
    """intrinsics: (3, 3) pinhole matrix; LIBERO's cameras have no distortion."""
    message = CameraInfo(header=Header(stamp=stamp, frame_id=frame), height=height, width=width)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = intrinsics.flatten().tolist()
    message.r = np.eye(3).flatten().tolist()
    message.p = np.hstack([intrinsics, np.zeros((3, 1))]).flatten().tolist()
    return message


def eef_pose(position: np.ndarray, quaternion: np.ndarray, stamp: Time) -> PoseStamped:
    """(3,) m and (4,) xyzw in the world frame."""
    return PoseStamped(header=Header(stamp=stamp, frame_id=WORLD_FRAME), pose=pose_to_message(position, quaternion))


def diagnostic_status(node: str, what: str, level: bytes, message: str, values: Mapping[str, object]):
    """A status named "<node>: <what>"; ``node`` is the fully qualified name."""
    name = node.lstrip("/")
    status = DiagnosticStatus(level=level, name=f"{name}: {what}", message=message, hardware_id=name)
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return status
