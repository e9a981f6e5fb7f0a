"""Error codes of a task, as in ExecuteTask.action, and the exception that carries one."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """The codes of ExecuteTask.action, for code that does not depend on ROS. A test compares the two."""

    NONE = 0
    EMPTY_INSTRUCTION = 100
    BUSY = 101
    NOT_ACTIVE = 102
    CANCELED = 103
    PREEMPTED = 104
    NO_PLAN = 120
    INVALID_PLAN = 121
    BACKEND_FAILED = 122
    SUBSTEP_TIMEOUT = 140
    EPISODE_ENDED = 141
    GUARD_LATCHED = 142
    GRASP_LOST = 143
    ROBOT_DISABLED = 144
    OBSERVATION_LOST = 145
    ROBOT_HALTED = 146
    ROBOT_FAULT = 147
    POLICY_SILENT = 160
    BRIDGE_SILENT = 161
    POLICY_FAILED = 162
    PLANNER_SILENT = 163
    ANOTHER_PLANNER = 164


SUGGESTING = "did you mean"  # begins a question that can be answered by yes


class PlanningError(ValueError):
    """An instruction has no plan. ``code`` says what kind of failure it was, the message why.

    Attributes:
        clarification: a question that the user can answer by asking again; empty: there is none.
        is_refusal: it was understood, and cannot be done: to plan it by its words alone would be wrong.
    """

    def __init__(self, code: ErrorCode, message: str, clarification: str = "", *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.code, self.clarification, self.is_refusal = code, clarification, is_refusal
