"""The numbers that nodes tell each other by, and the topics that they travel on."""

from __future__ import annotations

import pytest
from substep_interfaces import msg
from substep_interfaces.action import ExecuteTask
from substep_interfaces.srv import DecomposeTask, ResetEpisode, StartTask

from substep_core.chunk import ChunkOutcome
from substep_core.errors import ErrorCode
from substep_core.protocol import (
    Cause,
    ChunkReason,
    ChunkRefused,
    HoldKind,
    Reason,
    RefusalKind,
    SafetyState,
    TaskEvent,
    refusing,
)
from substep_core.ros import topics


def constants(message: type, prefix: str = "") -> dict[str, int]:
    declared = (name for name in dir(message) if name.isupper() and not name.endswith("__DEFAULT"))
    names = [name for name in declared if name.startswith(prefix)]
    found = {name.removeprefix(prefix): getattr(message, name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, int)}


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        (ErrorCode, constants(ExecuteTask.Result)),
        (TaskEvent, constants(ExecuteTask.Feedback, "EVENT_")),
        (Cause, constants(ExecuteTask.Feedback, "CAUSE_")),
        (HoldKind, constants(msg.EpisodeStatus, "HOLD_")),
        (ChunkReason, constants(msg.ChunkReport, "REASON_")),
        (ChunkOutcome, {name: value for name, value in constants(msg.ChunkReport).items() if "REASON_" not in name}),
        (RefusalKind, constants(msg.ChunkRefusal)),
        (SafetyState, constants(msg.RobotState)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_enumerations_are_the_constants_of_their_messages(kind, declared):
    assert {member.name: member.value for member in kind} == declared


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (ResetEpisode.Request, {"suite": "", "task_index": -1, "placement": ResetEpisode.Request.BENCHMARK}),
        (ExecuteTask.Goal, {"task": ""}),
        (ExecuteTask.Feedback, {"eos_probability": -1.0, "similarity": -1.0}),
        (DecomposeTask.Request, {"task": ""}),
        (StartTask.Request, {"task": ""}),
        (msg.ActionChunk, {"eos_index": -1}),
        (msg.ChunkReport, {"eos_probability": -1.0, "gripper": 0.0, "gripper_width": -1.0}),
        (msg.ChunkRefusal, {"kind": RefusalKind.OTHER}),
        (msg.ActiveSubstep, {"plan_id": "", "back_off": False}),
        (msg.EpisodeStatus, {"horizon": 0}),
        (msg.TaskStatus, {"state": msg.TaskStatus.NONE}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_nobody_has_filled_in_means_the_current_or_nothing(message, meaning):
    """As the comments of the messages say: ``ros2 service call /reset_episode … "{}"`` must change no task."""
    assert {name: getattr(message(), name) for name in meaning} == meaning


def test_a_reason_is_told_in_words_and_none_is_silent():
    assert Reason(ChunkReason.WORKSPACE, "x = 0.7 m").text == "workspace: x = 0.7 m"
    assert Reason(HoldKind.WAITING_FOR_A_CHUNK).text == "waiting for a chunk"
    assert not Reason(HoldKind.NONE) and Reason(HoldKind.NONE, "x").text == ""


def test_a_value_error_becomes_a_refusal_of_the_kind_that_is_at_work_unless_it_says_its_own():
    with pytest.raises(ChunkRefused, match="no image") as of_the_place, refusing(RefusalKind.OBSERVATION):
        raise ValueError("no image of camera 'wrist'")
    assert of_the_place.value.reason == Reason(RefusalKind.OBSERVATION, "no image of camera 'wrist'")
    with pytest.raises(ChunkRefused) as of_its_own, refusing(RefusalKind.OBSERVATION):
        raise ChunkRefused(RefusalKind.NOT_FINITE, "NaN")
    assert of_its_own.value.reason.kind is RefusalKind.NOT_FINITE


def test_a_namespace_moves_every_name_but_those_that_ros_fixes():
    named = [*topics.TOPICS, *topics.SERVICES, *topics.ACTIONS]
    assert len({item.name for item in named}) == len(named)
    assert {item.name for item in named if item.name.startswith("/")} == {"/diagnostics", "/rosout"}
