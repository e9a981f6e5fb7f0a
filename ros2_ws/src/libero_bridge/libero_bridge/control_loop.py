"""One control step of a robosuite environment, without what robosuite does besides.

robosuite evaluates the forward dynamics three times and every observable (cameras included) at each of the 25 physics
sub-steps. MuJoCo's forward dynamics do not change the state, so one evaluation, split around the controller, gives
the same trajectory to the last bit.
"""

from __future__ import annotations

import mujoco
import numpy as np


class ControlLoop:
    """Drives the arm (OSC_POSE) of a LIBERO environment. Build it anew after each reset of the environment."""

    def __init__(self, env) -> None:
        """env: the robosuite environment inside of LIBERO's wrapper, just reset."""
        self._env = env
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        self._robot = env.robots[0]
        self._torque_limits = self._robot.torque_limits
        self._arm_actuators = np.asarray(self._robot._ref_joint_actuator_indexes)
        self._substeps = int(env.control_timestep / env.model_timestep)
        self._controller = self._robot.controller
        self._controller.update = _ControllerState(self._controller, self._model, self._data).update

    def step(self, action: np.ndarray) -> None:
        """Applies one action for a control period. action: motions of OSC_POSE in [-1, 1], the gripper last."""
        for substep in range(self._substeps):
            mujoco.mj_step1(self._model, self._data)
            if substep == 0:
                self._controller.set_goal(action[:-1])
            torques = np.clip(self._controller.run_controller(), *self._torque_limits)
            self._robot.grip_action(gripper=self._robot.gripper, gripper_action=action[-1:])
            self._data.ctrl[self._arm_actuators] = torques
            mujoco.mj_step2(self._model, self._data)
        self._env._post_process()


class _ControllerState:
    """Reads the state of the arm for a controller, as robosuite's ``Controller.update`` does, from one Jacobian."""

    def __init__(self, controller, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._controller = controller
        self._model = model
        self._data = data
        self._site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, controller.eef_name)
        self._dofs = np.asarray(controller.qvel_index)
        self._jacobian_position = np.zeros((3, model.nv))
        self._jacobian_rotation = np.zeros((3, model.nv))
        self._mass = np.zeros((model.nv, model.nv))

    def update(self, force: bool = False) -> None:
        """Once for each physics sub-step.

        The flag is robosuite's: right after a reset it is down, so that the first sub-step is controlled with the
        state from before the initial state was put in. LIBERO's trajectories contain this, so it is kept.
        """
        controller, model, data = self._controller, self._model, self._data
        if not (controller.new_update or force):
            return
        mujoco.mj_jacSite(model, data, self._jacobian_position, self._jacobian_rotation, self._site)
        mujoco.mj_fullM(model, self._mass, data.qM)
        controller.ee_pos = data.site_xpos[self._site].copy()
        controller.ee_ori_mat = data.site_xmat[self._site].reshape(3, 3).copy()
        controller.ee_pos_vel = self._jacobian_position @ data.qvel
        controller.ee_ori_vel = self._jacobian_rotation @ data.qvel
        controller.joint_pos = data.qpos[controller.qpos_index]
        controller.joint_vel = data.qvel[self._dofs]
        controller.J_pos = self._jacobian_position[:, self._dofs]
        controller.J_ori = self._jacobian_rotation[:, self._dofs]
        controller.J_full = np.vstack([controller.J_pos, controller.J_ori])
        controller.mass_matrix = self._mass[self._dofs, :][:, self._dofs]
        controller.new_update = False
