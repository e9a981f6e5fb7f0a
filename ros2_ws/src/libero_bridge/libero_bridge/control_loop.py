"""One control step of a robosuite environment, without what robosuite does besides.

robosuite evaluates the forward dynamics three times and every observable (cameras included) at each of the 25 physics
sub-steps. MuJoCo's forward dynamics do not change the state, so one evaluation, split around the controller, gives
the same trajectory to the last bit.
"""

from __future__ import annotations

import mujoco
import numpy as np

from libero_bridge.operational_space import arm_state, command_arm, command_fingers


class ControlLoop:
    """Drives the arm (OSC_POSE) of a LIBERO environment. Build it anew after each reset of the environment."""

    def __init__(self, env) -> None:
        """env: the robosuite environment inside of LIBERO's wrapper, just reset."""
        self._env = env
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        self._substeps = int(env.control_timestep / env.model_timestep)
        self._arm, self._fingers = ControlledArm(env.robots[0], self._model, self._data), _Fingers(env)

    def step(self, action: np.ndarray) -> None:
        """Applies one action for a control period. action: motions of OSC_POSE in [-1, 1], the gripper last."""
        self._fingers.head_for(action[-1:])
        for substep in range(self._substeps):
            mujoco.mj_step1(self._model, self._data)
            if substep == 0:
                self._arm.head_for(action[:-1])
            else:
                self._arm.drive()
            self._fingers.drive()
            mujoco.mj_step2(self._model, self._data)
        self._env._post_process()


class ControlledArm:
    """robosuite's controller, told of the arm's state from one Jacobian."""

    def __init__(self, robot, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._controller = robot.controller
        self._model = model
        self._data = data
        self._site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, self._controller.eef_name)
        self._places, self._dofs = np.asarray(self._controller.qpos_index), np.asarray(self._controller.qvel_index)
        self._actuators = np.asarray(robot._ref_joint_actuator_indexes)
        self._limits = tuple(np.asarray(limit, float) for limit in robot.torque_limits)
        self._position, self._rotation = data.site_xpos[self._site], data.site_xmat[self._site]
        self._moving = data.qpos, data.qvel
        self._jacobians = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._mass = np.zeros((model.nv, model.nv))
        self._bias, self._control = data.qfrc_bias, data.ctrl
        self._controller.update = self.update

    def head_for(self, motions: np.ndarray) -> None:
        """The first sub-step of a control step, which sets the goal. motions: (6,) in [-1, 1]."""
        self._controller.set_goal(motions)
        self.drive_as_robosuite()

    def drive_as_robosuite(self) -> None:
        """A sub-step by robosuite's own Python, which knows the state from before a reset."""
        self._control[self._actuators] = np.clip(self._controller.run_controller(), *self._limits)

    def drive(self) -> None:
        """A further sub-step."""
        controller = self._controller
        self._measure()
        command_arm(
            (self._position, self._rotation, self._places, self._dofs, self._actuators),
            self._moving,
            self._jacobians,
            self._mass,
            (controller.goal_pos, controller.goal_ori),
            (controller.kp, controller.kd),
            controller.initial_joint,
            self._bias,
            self._limits,
            self._control,
        )

    def update(self, force: bool = False) -> None:
        """In place of robosuite's ``Controller.update``.

        The flag is robosuite's: right after a reset it is down, so that the first sub-step is controlled with the
        state from before the initial state was put in. LIBERO's trajectories contain this, so it is kept.
        """
        controller = self._controller
        if not (controller.new_update or force):
            return
        self._measure()
        site = self._position, self._rotation
        (
            controller.ee_pos,
            controller.ee_ori_mat,
            controller.ee_pos_vel,
            controller.ee_ori_vel,
            controller.joint_pos,
            controller.joint_vel,
            controller.J_pos,
            controller.J_ori,
            controller.J_full,
            controller.mass_matrix,
        ) = arm_state(site, self._moving, self._jacobians, self._mass, self._places, self._dofs)
        controller.new_update = False

    def _measure(self) -> None:
        mujoco.mj_jacSite(self._model, self._data, *self._jacobians, self._site)
        mujoco.mj_fullM(self._model, self._mass, self._data.qM)


class _Fingers:
    """robosuite's gripper, whose command goes to its end in small steps."""

    def __init__(self, env) -> None:
        model, self._gripper = env.sim.model, env.robots[0].gripper
        self._actuators = np.array([model.actuator_name2id(name) for name in self._gripper.actuators])
        low, high = model.actuator_ctrlrange[self._actuators].T
        self._scale = 0.5 * (high + low), 0.5 * (high - low)
        self._control = env.sim.data._data.ctrl
        self._change = np.zeros(len(self._actuators))
        self._command = np.zeros(len(self._actuators))

    def head_for(self, action: np.ndarray) -> None:
        """action: (1,) below 0 to open, above to close."""
        gripper, before = self._gripper, self._gripper.current_action
        gripper.current_action = np.zeros_like(self._command)
        self._change = gripper.format_action(action)  # of one sub-step, from the middle
        self._command = gripper.current_action = np.array(np.broadcast_to(before, self._change.shape))

    def drive(self) -> None:
        """One sub-step."""
        command_fingers(self._command, self._change, self._scale, self._actuators, self._control)
