"""The simulated world: one LIBERO task as an object that is reset, stepped and looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from libero_bridge import libero_setup
from libero_bridge.control_loop import ControlLoop
from libero_bridge.environment import build_environment, reset_environment, set_state
from libero_bridge.ground_truth import GroundTruth, xyzw
from libero_bridge.placement import Placement, WidenedPlacement
from libero_bridge.rendering import CameraRenderer, check_image_size
from libero_bridge.tasks import load_task
from substep_policy.observation import ACTION_DIM, Observation, proprioception
from substep_policy.scene import SceneState

CONTROL_PERIOD_NS = 50_000_000
IDLE_ACTION = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)
LIBERO_CAMERAS = {"agentview": "agentview", "eye_in_hand": "robot0_eye_in_hand"}


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate.

    Attributes:
        suite, task_index: one of the 130 tasks, e.g. "libero_object", 0.
        assets: "embedded" (the project's scene pack), "libero" (LIBERO's own) or the path of a LIBERO asset folder.
        image_size: (height, width) of observations in pixels.
        cameras: names out of ``LIBERO_CAMERAS``.
        horizon: control steps after which the episode is over.
        settle_steps: idle steps after a reset, gripper open, before the first observation; LIBERO's evaluations
            do the same because initial states leave objects a few millimetres in the air.
        render: False leaves ``Observation.images`` empty.
        effects: shadows, reflections and smoothed edges as LIBERO's own renderer draws them, at a tenth of the speed
            without a GPU. Policies that were trained on LIBERO's images may want it.
        scene: False leaves ``Observation.scene`` empty.
    """

    suite: str
    task_index: int
    assets: str = libero_setup.EMBEDDED_ASSETS
    image_size: tuple[int, int] = (128, 128)
    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    horizon: int = 1000
    settle_steps: int = 10
    render: bool = True
    effects: bool = False
    scene: bool = True

    def __post_init__(self) -> None:
        for camera in self.cameras:
            if camera not in LIBERO_CAMERAS:
                raise ValueError(f"unknown camera {camera!r}: expected one of {', '.join(LIBERO_CAMERAS)}")
        check_image_size(*self.image_size)
        if self.horizon < 1:
            raise ValueError(f"horizon {self.horizon} is out of range: expected at least 1 step")
        if self.settle_steps < 0:
            raise ValueError(f"settle_steps {self.settle_steps} is out of range: expected 0 or more")


class Simulation:
    """A LIBERO task. Deterministic: the same reset followed by the same actions gives the same bits.

    World time goes on across resets, 50 ms for each control step and one step for a reset.
    """

    def __init__(self, config: SimulationConfig, stamp: int = 0) -> None:
        """Builds the world; call ``reset`` before anything else.

        Args:
            stamp: ns of world time to go on from, when it takes another one's place.

        Raises:
            ValueError: unknown suite, task or asset folder; the message names it.
        """
        self.config = config
        self._task = load_task(config.suite, config.task_index)
        self.suite, self.task_index, self.instruction = config.suite, config.task_index, self._task.instruction
        self._init_states = self._task.init_states()
        libero_setup.use_assets(config.assets)
        self._env = build_environment(self._task, libero_setup.model_filter(config.assets))
        self._model = self._env.sim.model._model
        self._data = self._env.sim.data._data
        self._arm = self._env.robots[0]
        self._renderers: dict[tuple[int, int], CameraRenderer] = {}
        self._ground_truth = GroundTruth(self._env)
        self._loop: ControlLoop | None = None
        self._stamp, self._step_count, self._success = stamp, 0, False

    @property
    def workspace_origin(self) -> np.ndarray:
        """(3,) m, world frame: the middle of the table's top, or of the floor where the task has no table."""
        return np.array(self._env.workspace_offset, np.float64)

    @property
    def init_state_count(self) -> int:
        return len(self._init_states)

    @property
    def step_count(self) -> int:
        """Control steps since the reset, settling not counted."""
        return self._step_count

    @property
    def success(self) -> bool:
        """LIBERO's verdict; stays true within an episode."""
        return self._success

    @property
    def over(self) -> str:
        """Why the episode has ended ("success" or "horizon reached"); empty while it goes on."""
        if self._success:
            return "success"
        return "horizon reached" if self._step_count >= self.config.horizon else ""

    def reset(self, init_state: int = 0, seed: int = 0, placement: Placement = Placement.BENCHMARK) -> Observation:
        """Starts an episode.

        Args:
            init_state: benchmark initial state; ``WIDENED`` moves its objects about.
            seed: of everything drawn at random: LIBERO's fixture positions, and the objects' for ``WIDENED``.
            placement: where the objects start.

        Raises:
            ValueError: there is no such initial state.
        """
        if not 0 <= init_state < self.init_state_count:
            raise ValueError(f"initial state {init_state} does not exist: expected 0 to {self.init_state_count - 1}")
        reset_environment(self._env, seed)
        set_state(self._env, self._init_states[init_state])
        if placement is Placement.WIDENED:
            WidenedPlacement(self._env).place(np.random.default_rng(seed))
            self._env.sim.forward()
        self._loop = ControlLoop(self._env)
        for _ in range(self.config.settle_steps):
            self._loop.step(IDLE_ACTION)
        self._step_count, self._success = 0, False
        self._stamp += CONTROL_PERIOD_NS
        return self.observe()

    def step(self, action: np.ndarray) -> Observation:
        """Moves the world on by 50 ms. action: (7,) in [-1, 1], OSC_POSE deltas and gripper (1 closes).

        Raises:
            ValueError: the action has another shape or is not finite.
            RuntimeError: no episode was started.
        """
        if self._loop is None:
            raise RuntimeError("no episode was started: call reset first")
        action = np.asarray(action, np.float64)
        if action.shape != (ACTION_DIM,) or not np.isfinite(action).all():
            raise ValueError(f"action {action} is not a finite vector of {ACTION_DIM} values")
        self._loop.step(action)
        self._step_count += 1
        self._stamp += CONTROL_PERIOD_NS
        self._success = self._success or bool(self._env._check_success())
        return self.observe()

    def observe(self, images: bool = True) -> Observation:
        """What is seen now. Images only if asked for here and by the configuration."""
        height, width = self.config.image_size
        cameras = self.config.cameras if images and self.config.render else ()
        return Observation(
            images={camera: self.render(camera, height, width) for camera in cameras},
            proprio=proprioception(*self.eef_pose(), self.gripper_position()),
            stamp=self._stamp,
            scene=self.scene() if self.config.scene else None,
        )

    def eef_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """LIBERO's robot0_eef_pos (3,) m and robot0_eef_quat (4,) xyzw, world frame."""
        quaternion = self._env.sim.data.get_body_xquat(self._arm.robot_model.eef_name)
        return self._data.site_xpos[self._arm.eef_site_id].copy(), xyzw(quaternion)

    def gripper_position(self) -> np.ndarray:
        """(2,) m: positions of the two finger joints."""
        return self._data.qpos[self._arm._ref_gripper_joint_pos_indexes]

    def joint_positions(self) -> dict[str, float]:
        """Joint name -> position: the arm's seven (rad), then the two fingers' (m)."""
        names = (*self._arm.robot_joints, *self._arm.gripper_joints)
        return {name: float(self._data.joint(name).qpos[0]) for name in names}

    def state(self) -> np.ndarray:
        """(1 + nq + nv,) float64: time, qpos and qvel, as LIBERO's initial states."""
        return self._env.sim.get_state().flatten()

    def scene(self) -> SceneState:
        """Ground truth of this moment."""
        return self._ground_truth.read()

    def render(self, camera: str, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB, upright."""
        size = (height, width)
        if size not in self._renderers:
            self._renderers[size] = CameraRenderer(self._model, height, width, self.config.effects)
        return self._renderers[size].render(self._data, LIBERO_CAMERAS[camera])

    def intrinsics(self, camera: str, height: int, width: int) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels; pixel centres lie at whole numbers."""
        field_of_view = np.radians(self._model.cam(LIBERO_CAMERAS[camera]).fovy[0])
        focal_length = height / 2 / np.tan(field_of_view / 2)
        return np.array([[focal_length, 0, (width - 1) / 2], [0, focal_length, (height - 1) / 2], [0, 0, 1]])

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
