"""A world that counts its steps, and a plan of two substeps for it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from substep_core.contract import Joints, Pose, Readings, load_robot
from substep_core.episode import EpisodeEnd
from substep_core.observation import Observation
from substep_core.plan import Plan, Substep
from substep_core.rotation import conjugate, quaternion_product
from substep_core.scene import SceneState
from substep_planner.decomposers.base import SourcedPlan

PLAN = Plan("tidy up", (Substep("pick up the cup", "it is held"), Substep("place the cup", "it stands")))
PERIOD = 50_000_000


class World:
    """Counts steps; its goal holds once ``goal`` of them have counted."""

    suite, instruction, task_index = "toys", "tidy up", 0
    contract = load_robot("libero_panda")

    def __init__(self, goal: int = 10_000, horizon: int = 200, held_from: int = 0) -> None:
        """held_from: step from which there is something between the fingers."""
        self.step_count, self._goal, self._horizon, self._held_from = 0, goal, horizon, held_from
        self._now = 0
        self._gripper = -1.0

    @property
    def proprio(self) -> np.ndarray:
        finger = 0.04 if self._gripper < 0 else 0.02 if self.step_count >= self._held_from else 0.0005
        return np.array([0, 0, 0, np.pi, 0, 0, finger, -finger], np.float32)

    @property
    def success(self) -> bool:
        return self.step_count >= self._goal

    @property
    def over(self) -> EpisodeEnd | None:
        return EpisodeEnd.SUCCESS if self.success else self.out_of_time

    @property
    def out_of_time(self) -> EpisodeEnd | None:
        return EpisodeEnd.HORIZON if self.step_count >= self._horizon else None

    def step(self, action: np.ndarray, counts: bool = True) -> Observation:
        self._now += PERIOD
        self.step_count += counts
        self._gripper = action[-1]
        return self.observe()

    def observe(self) -> Observation:
        scene = SceneState({}, {}, {}, frozenset(), {"step": self.step_count})
        return Observation({}, self.proprio, self._now, scene)

    workspace_origin = np.zeros(3)

    def readings(self) -> Readings:
        hand = conjugate(self.contract.rotation.source.turned_by)
        upright = quaternion_product(np.array([1.0, 0.0, 0.0, 0.0]), hand)
        fingers = dict(zip(self.contract.state_group("fingers").source.names, self.proprio[-2:], strict=True))
        arm = {limit.name: (limit.low + limit.high) / 2 for limit in self.contract.joint_limits}
        return Readings({"eef_pose": Pose(np.zeros(3), upright)}, {"joint_states": Joints(fingers | arm)})

    def images(self, cameras: Iterable[str]) -> dict[str, np.ndarray]:
        return {camera: np.full((16, 16, 3), min(self.step_count, 255), np.uint8) for camera in cameras}


class Shelf:
    """A decomposer with one plan."""

    name = "shelf"
    wants_picture = False

    def decompose(self, request) -> SourcedPlan:
        return SourcedPlan(Plan(PLAN.instruction, PLAN.substeps[len(request.done) :]), self.name)
