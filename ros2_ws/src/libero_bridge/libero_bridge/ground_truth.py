"""Reads the ground truth of a LIBERO environment: objects, joints, regions, grasps and goal predicates."""

from __future__ import annotations

import mujoco
import numpy as np

from libero_bridge.collision_boxes import collision_box
from substep_core.scene import SceneJoint, SceneObject, SceneRegion, SceneState

_HELPER_SITES = ("default_site", "bottom_site", "top_site", "horizontal_radius_site")
_MOVING_JOINTS = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


def xyzw(wxyz: np.ndarray) -> np.ndarray:
    """MuJoCo's quaternion order -> the order of ROS."""
    return np.asarray(wxyz)[[1, 2, 3, 0]]


class GroundTruth:
    """What never changes is looked up once; ``read`` fills in the poses of the moment."""

    def __init__(self, env) -> None:
        """env: the robosuite environment inside of LIBERO's wrapper."""
        self._env = env
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        instances = {**env.objects_dict, **env.fixtures_dict}
        self._categories = _categories(env.parsed_problem)
        self._roots = {name: self._model.body(instance.root_body).id for name, instance in instances.items()}
        self._by_root = {body: name for name, body in self._roots.items()}
        self._boxes = {name: collision_box(self._model, self._data, body) for name, body in self._roots.items()}
        self._movable = {name: self._model.body_dofnum[body] == 6 for name, body in self._roots.items()}
        self._joints = self._find_joints()
        self._regions = self._find_regions()
        self._grasp = GraspDetector(env, instances)

    def read(self) -> SceneState:
        return SceneState(
            objects={name: self._object(name) for name in self._roots},
            joints={name: self._joint(name, *rest) for name, rest in self._joints.items()},
            regions={name: self._region(name, *rest) for name, rest in self._regions.items()},
            grasped=self._grasp.grasped(),
            predicates=self.predicates(),
        )

    def predicates(self) -> dict[str, bool]:
        """The task's goal predicates in LIBERO's words, and which of them hold."""
        goal = self._env.parsed_problem["goal_state"]
        return {" ".join(state): bool(self._env._eval_predicate(state)) for state in goal}

    def _object(self, name: str) -> SceneObject:
        body = self._roots[name]
        return SceneObject(
            name,
            self._categories[name],
            bool(self._movable[name]),
            self._data.xpos[body].copy(),
            xyzw(self._data.xquat[body]),
            *self._boxes[name],
        )

    def _joint(self, name: str, joint: int, owner: str, box: tuple[np.ndarray, np.ndarray]) -> SceneJoint:
        body = self._model.jnt_bodyid[joint]
        return SceneJoint(
            name,
            owner,
            float(self._data.qpos[self._model.jnt_qposadr[joint]]),
            self._data.xanchor[joint].copy(),
            self._data.xaxis[joint].copy(),
            self._data.xpos[body].copy(),
            xyzw(self._data.xquat[body]),
            *box,
        )

    def _region(self, name: str, site: int, owner: str) -> SceneRegion:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self._data.site_xmat[site])
        half_size = self._model.site_size[site].copy()
        return SceneRegion(name, owner, self._data.site_xpos[site].copy(), xyzw(quaternion), half_size)

    def _find_joints(self) -> dict[str, tuple]:
        found = {}
        for joint in range(self._model.njnt):
            owner = self._owner(self._model.jnt_bodyid[joint])
            if owner is not None and self._model.jnt_type[joint] in _MOVING_JOINTS:
                box = collision_box(self._model, self._data, self._model.jnt_bodyid[joint])
                found[self._model.joint(joint).name] = (joint, owner, box)
        return found

    def _find_regions(self) -> dict[str, tuple]:
        """Sites of objects and the regions that the task's BDDL draws on the table."""
        found = {}
        for site in range(self._model.nsite):
            name = self._model.site(site).name
            owner = self._owner(self._model.site_bodyid[site])
            if owner is not None and not name.endswith(_HELPER_SITES):
                found[name] = (site, owner)
        for name, region in self._env.parsed_problem["regions"].items():
            site = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_SITE, name)
            if site >= 0 and name not in found:
                found[name] = (site, region["target"])
        return found

    def _owner(self, body: int) -> str | None:
        """Name of the instance that a body belongs to; None for the robot and the arena."""
        while body > 0:
            if body in self._by_root:
                return self._by_root[body]
            body = self._model.body_parentid[body]
        return None


class GraspDetector:
    """Which objects touch both fingers."""

    def __init__(self, env, instances: dict) -> None:
        self._data = env.sim.data._data
        self._names = list(instances)
        model = env.sim.model
        fingers = env.robots[0].gripper.important_geoms
        self._finger = np.zeros(model.ngeom, np.uint8)
        for bit, group in ((1, "left_finger"), (2, "right_finger")):
            self._finger[[model.geom_name2id(name) for name in fingers[group]]] = bit
        self._object = np.full(model.ngeom, -1)
        for index, instance in enumerate(instances.values()):
            self._object[[model.geom_name2id(name) for name in instance.contact_geoms]] = index

    def grasped(self) -> frozenset[str]:
        pairs = self._data.contact.geom[: self._data.ncon]
        touching = np.zeros(len(self._names), np.uint8)
        for one, other in ((0, 1), (1, 0)):
            fingers, objects = self._finger[pairs[:, one]], self._object[pairs[:, other]]
            hit = (fingers > 0) & (objects >= 0)
            np.bitwise_or.at(touching, objects[hit], fingers[hit])
        return frozenset(name for name, bits in zip(self._names, touching, strict=True) if bits == 3)


def _categories(problem: dict) -> dict[str, str]:
    groups = {**problem["objects"], **problem["fixtures"]}
    return {instance: category for category, instances in groups.items() for instance in instances}
