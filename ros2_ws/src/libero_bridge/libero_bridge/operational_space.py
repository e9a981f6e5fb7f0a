"""What robosuite's operational space control (OSC_POSE) and its gripper do at each physics sub-step, compiled.

The formulas are robosuite's own compiled functions in the order in which its Python calls them, on arrays laid out in
memory as there, so that the torques are its own to the last bit. J: joints of the arm.
"""

from __future__ import annotations

import numba
import numpy as np

from libero_bridge.libero_setup import import_robosuite

_control_utils = import_robosuite("utils.control_utils")
nullspace_torques = _control_utils.nullspace_torques
opspace_matrices = _control_utils.opspace_matrices
orientation_error = _control_utils.orientation_error


@numba.njit(cache=True)
def command_arm(arm, moving, jacobians, mass, goal, gains, resting_posture, bias, limits, control):
    """Writes the torques of OSC_POSE into the actuators' controls.

    Args:
        arm: grip site's position (3,) m and rotation (9,); places (J,) of the arm's joints in positions, in velocities
            and of its actuators in the controls.
        moving, jacobians, mass: as in ``arm_state``.
        goal, gains, resting_posture: as in ``torques``.
        bias: (nv,) N·m of gravity and of velocities.
        limits: lowest and highest (J,) N·m.
        control: (nu,) of all actuators.
    """
    position, rotation, places, dofs, actuators = arm
    lowest, highest = limits
    state = arm_state((position, rotation), moving, jacobians, mass, places, dofs)
    found = torques(state, goal, gains, resting_posture, bias[dofs])
    for joint in range(len(dofs)):
        control[actuators[joint]] = min(max(found[joint], lowest[joint]), highest[joint])


@numba.njit(cache=True)
def command_fingers(command, change, scale, actuators, control):
    """Moves the fingers' command on by a sub-step and writes it into the actuators' controls.

    Args:
        command: (2,) in [-1, 1], changed in place.
        change: (2,) in a sub-step.
        scale: what a command of 0 is as a control (2,), and what 1 adds to it (2,).
    """
    middle, half = scale
    for finger in range(len(command)):
        command[finger] = min(max(command[finger] + change[finger], -1.0), 1.0)
        control[actuators[finger]] = middle[finger] + half[finger] * command[finger]


@numba.njit(cache=True)
def torques(state, goal, gains, resting_posture, compensation):
    """(J,) N·m, not limited.

    Args:
        state: ``arm_state``'s.
        goal: position (3,) m and rotation (3, 3) of the grip site.
        gains: stiffness (6,) and damping (6,).
        resting_posture: (J,) rad, that the null space is drawn to.
        compensation: (J,) N·m of gravity and of velocities.
    """
    position, rotation, linear, angular, joints, speeds, jacobian_position, jacobian_rotation, jacobian, mass = state
    goal_position, goal_rotation = goal
    stiffness, damping = gains
    force = (goal_position - position) * stiffness[:3] + -linear * damping[:3]
    torque = orientation_error(goal_rotation, rotation) * stiffness[3:6] + -angular * damping[3:6]
    _, inertia_position, inertia_rotation, null_space = opspace_matrices(
        mass, jacobian, jacobian_position, jacobian_rotation
    )
    wrench = np.concatenate((np.dot(inertia_position, force), np.dot(inertia_rotation, torque)))
    found = np.dot(jacobian.T, wrench) + compensation
    return found + nullspace_torques(mass, null_space, resting_posture, joints, speeds)


@numba.njit(cache=True)
def arm_state(site, moving, jacobians, mass, places, dofs):
    """What robosuite's ``Controller.update`` reads.

    Args:
        site: position (3,) m and rotation (9,) of the grip site.
        moving: positions (nq,) and velocities (nv,) of all joints.
        jacobians: (3, nv) of the site's position and of its rotation.
        mass: (nv, nv) of all joints.
        places, dofs: (J,) of the arm's joints in positions and in velocities.

    Returns:
        Position (3,) m, rotation (3, 3), velocities (3,) m/s and (3,) rad/s; joints (J,) rad and (J,) rad/s;
        Jacobians (3, J), (3, J) and both (6, J); mass (J, J).
    """
    position, rotation = site
    positions, velocities = moving
    of_position, of_rotation = jacobians
    count = len(dofs)
    jacobian = np.empty((count, 6)).T  # laid out column by column, as numpy's indexing by a list does
    jacobian_position, jacobian_rotation = np.empty((count, 3)).T, np.empty((count, 3)).T
    arm_mass = np.empty((count, count)).T
    for column in range(count):
        for row in range(3):
            jacobian_position[row, column] = jacobian[row, column] = of_position[row, dofs[column]]
            jacobian_rotation[row, column] = jacobian[row + 3, column] = of_rotation[row, dofs[column]]
        for row in range(count):
            arm_mass[row, column] = mass[dofs[row], dofs[column]]
    return (
        position.copy(),
        rotation.copy().reshape(3, 3),
        np.dot(of_position, velocities),
        np.dot(of_rotation, velocities),
        positions[places],
        velocities[dofs],
        jacobian_position,
        jacobian_rotation,
        jacobian,
        arm_mass,
    )
