"""What robot/state and /diagnostics say: the safety state, why, the error code, and how old each sensor's word is."""

from __future__ import annotations

import time
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import Header
from substep_interfaces.msg import RobotState

from arm_bridge.arm import Arm
from arm_bridge.safety import SafetyStates, Transition
from substep_core.protocol import SafetyState
from substep_core.ros.diagnostics import diagnostic_status

LEVELS = {
    SafetyState.DISABLED: DiagnosticStatus.WARN,
    SafetyState.SHADOW: DiagnosticStatus.OK,
    SafetyState.ARMED: DiagnosticStatus.OK,
    SafetyState.HOLDING: DiagnosticStatus.ERROR,
    SafetyState.FAULT: DiagnosticStatus.ERROR,
}


def robot_state(safety: SafetyStates, transition: Transition, stamp: Time) -> RobotState:
    """safety: as it is after ``transition``."""
    return RobotState(
        header=Header(stamp=stamp),
        state=transition.after,
        hold_kind=safety.hindrance.kind,
        error_code=safety.code,
        text=transition.cause,
    )


def robot_status(bridge: str, arm: Arm, stamp: Time, misfits: Mapping[str, str]) -> DiagnosticArray:
    """bridge: fully qualified name of its node; misfits: topic of a driver -> why it is not heard as it should be."""
    hindrance, trouble, now = arm.safety.hindrance, arm.trouble(), time.time_ns()
    state = arm.safety.state
    values: dict[str, object] = {
        "state": state.words,
        "error_code": int(arm.safety.code),
        "error": arm.safety.code.name,
        "hold_kind": int(hindrance.kind),
        "trouble": trouble.text,
    }
    for name, each in arm.intake.inputs.items():
        newest = each.newest
        values[f"{name} age"] = "never" if newest is None else f"{(now - newest.stamp) / 1e9:.3f}"
        values |= {f"{name} {why}": count for why, count in each.dropped.items() if count}
    values |= {f"{topic} misfit": why for topic, why in misfits.items()}
    message = f"{state.words}: {hindrance.text}" if hindrance else state.words
    level = LEVELS[state]
    if level == DiagnosticStatus.OK and (trouble or misfits):
        level = DiagnosticStatus.WARN
    status = diagnostic_status(bridge, "robot", message, level, values)
    return DiagnosticArray(header=Header(stamp=stamp), status=[status])
