"""A LIBERO world stepped without its robot: the arm is held where it is, objects and joints are moved by hand."""

from __future__ import annotations

import mujoco
import numpy as np

TOUCH = -0.0005  # m: contacts deeper than this count as "in the way"


class HeldWorld:
    """Plain MuJoCo physics of a LIBERO environment."""

    def __init__(self, env, init_state: np.ndarray, settle: float = 0.5) -> None:
        """Takes an initial state, (1 + nq + nv,), and lets it settle for so many seconds."""
        self.env = env
        self.model, self.data = env.sim.model._model, env.sim.data._data
        self._arm = [int(self.model.jnt_qposadr[joint]) for joint in self._robot_joints()]
        self._arm_dofs = [int(self.model.jnt_dofadr[joint]) for joint in self._robot_joints()]
        self._joints = {name: self._free_joint(instance) for name, instance in env.objects_dict.items()}
        env.sim.set_state_from_flattened(init_state)
        self.data.ctrl[:] = 0
        mujoco.mj_forward(self.model, self.data)
        self._arm_pose = self.data.qpos[self._arm].copy()
        self.run(settle)

    def run(self, seconds: float) -> None:
        """Steps the physics."""
        for _ in range(round(seconds / self.model.opt.timestep)):
            self._step()
        mujoco.mj_forward(self.model, self.data)

    def drive(self, joint: str, target: float, seconds: float) -> None:
        """Moves a hinge or slide joint to a position at even speed, pushing what is in its way."""
        index = self.model.joint(joint).id
        address, dof = self.model.jnt_qposadr[index], self.model.jnt_dofadr[index]
        steps = round(seconds / self.model.opt.timestep)
        start = self.data.qpos[address]
        for position in np.linspace(start, target, steps):
            self._step()
            self.data.qpos[address], self.data.qvel[dof] = position, (target - start) / seconds
        self.data.qvel[dof] = 0.0
        mujoco.mj_forward(self.model, self.data)

    def lift_until_free(self, name: str, position: np.ndarray, quaternion: np.ndarray, lifts: np.ndarray) -> bool:
        """Puts an object at the first of the heights above `position` where it is in nothing's way, at rest."""
        start, dof = self._joints[name]
        self.data.qvel[dof : dof + 6] = 0
        for lift in lifts:
            self.data.qpos[start : start + 7] = [*position[:2], position[2] + lift, *quaternion]
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_collision(self.model, self.data)
            if not self._is_blocked(name):
                return True
        return False

    def quaternion(self, name: str) -> np.ndarray:
        """(4,) wxyz of an object."""
        start = self._joints[name][0]
        return self.data.qpos[start + 3 : start + 7].copy()

    def save(self) -> tuple[np.ndarray, np.ndarray]:
        """What `restore` needs to come back to now."""
        return self.data.qpos.copy(), self.data.qvel.copy()

    def restore(self, saved: tuple[np.ndarray, np.ndarray]) -> None:
        """Goes back to a moment kept by `save`."""
        self.data.qpos[:], self.data.qvel[:] = saved
        mujoco.mj_forward(self.model, self.data)

    def _step(self) -> None:
        mujoco.mj_step(self.model, self.data)
        self.data.qpos[self._arm] = self._arm_pose
        self.data.qvel[self._arm_dofs] = 0

    def _is_blocked(self, name: str) -> bool:
        root = self.env.obj_body_id[name]
        contacts = self.data.contact
        bodies = self.model.body_rootid[self.model.geom_bodyid[contacts.geom]]
        return bool(np.any((bodies == root).any(axis=1) & (contacts.dist < TOUCH)))

    def _free_joint(self, instance) -> tuple[int, int]:
        joint = self.model.body_jntadr[self.model.body(instance.root_body).id]
        return int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])

    def _robot_joints(self) -> list[int]:
        names = (self.model.joint(index).name for index in range(self.model.njnt))
        return [index for index, name in enumerate(names) if name.startswith(("robot0_", "gripper0_"))]


def turn(axis: np.ndarray | tuple[float, float, float], angle: float) -> np.ndarray:
    """(4,) quaternion wxyz of a turn about a unit axis (rad)."""
    return np.array([np.cos(angle / 2), *(np.sin(angle / 2) * np.asarray(axis))])


def quat_multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The turn `second` followed by `first`; quaternions (4,) wxyz."""
    product = np.zeros(4)
    mujoco.mju_mulQuat(product, first, second)
    return product


def quat_matrix(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) rotation matrix of a quaternion (4,) wxyz."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
