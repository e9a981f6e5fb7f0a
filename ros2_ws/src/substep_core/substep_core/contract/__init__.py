"""The robot contract: the one description of a robot that bridge, policy, planner, recorder and training share."""

from substep_core.contract.command import (
    action_limits,
    commanded_velocity,
    gripper_command,
    hold_action,
    initial_action,
    motion_values,
)
from substep_core.contract.compare import misfit, state_selection, vector_misfit
from substep_core.contract.groups import (
    ActionGroup,
    ActionQuantity,
    Hold,
    JointSource,
    PoseSource,
    StateGroup,
    StateQuantity,
)
from substep_core.contract.load import LIBERO_PANDA, NamedRobot, contract_from_text, contract_to_text, load_robot
from substep_core.contract.paths import first_within
from substep_core.contract.robot import (
    SKILL_NAME,
    Camera,
    CameraRole,
    JointLimit,
    KeepOut,
    MotionLimits,
    RobotContract,
    SingularityLimits,
    Workspace,
)
from substep_core.contract.state import Joints, Pose, Readings, gripper_opening, state_vector

__all__ = [
    "LIBERO_PANDA",
    "SKILL_NAME",
    "ActionGroup",
    "ActionQuantity",
    "Camera",
    "CameraRole",
    "Hold",
    "JointLimit",
    "JointSource",
    "Joints",
    "KeepOut",
    "MotionLimits",
    "NamedRobot",
    "Pose",
    "PoseSource",
    "Readings",
    "RobotContract",
    "SingularityLimits",
    "StateGroup",
    "StateQuantity",
    "Workspace",
    "action_limits",
    "commanded_velocity",
    "contract_from_text",
    "contract_to_text",
    "first_within",
    "gripper_command",
    "gripper_opening",
    "hold_action",
    "initial_action",
    "load_robot",
    "misfit",
    "motion_values",
    "state_selection",
    "state_vector",
    "vector_misfit",
]
