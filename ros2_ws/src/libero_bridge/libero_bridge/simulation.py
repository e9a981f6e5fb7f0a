"""Simulation of one LIBERO task: reset, step, observation, ground truth."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from libero_bridge import libero_setup
from libero_bridge.control_loop import ControlLoop
from libero_bridge.environment import ModelFilter, build_environment, drawn_state, reset_environment, set_state
from libero_bridge.frames import RobotFrames, robot_description
from libero_bridge.ground_truth import GroundTruth, xyzw
from libero_bridge.look import VariedLook, drawn_values, restore
from libero_bridge.placement import NoRoomError, WidenedPlacement
from libero_bridge.rendering import CameraRenderer, check_image_size
from libero_bridge.tasks import INIT_STATES, LIBERO, ROBOT, LiberoTask, libero_task
from substep_bridge.world import Frame
from substep_core.contract import (
    Camera,
    Joints,
    Pose,
    Readings,
    RobotContract,
    StateQuantity,
    initial_action,
    load_robot,
    state_vector,
)
from substep_core.episode import EpisodeEnd, Placement
from substep_core.observation import Observation
from substep_core.rotation import conjugate, quaternion_product
from substep_core.scene import SceneState

EEF_POSE, JOINT_STATES = "eef_pose", "joint_states"  # topics that the contract's state comes from


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate.

    Attributes:
        suite, task_index: one of the source's tasks, e.g. "libero_object", 0.
        assets: "embedded" (the project's scene pack), "libero" (LIBERO's own) or the path of a LIBERO asset folder.
        robot: its contract; LIBERO's worlds have the Panda.
        cameras: names of those that are rendered; None: all of the robot's.
        image_size: (height, width) of observations in pixels; None: as the robot has them.
        horizon: control steps under a task after which the episode is over; 0: it goes on until the next reset.
        settle_steps: idle steps after a reset, gripper open, before the first observation; LIBERO's evaluations
            do the same because initial states leave objects a few millimetres in the air.
        render: False leaves ``Observation.images`` empty.
        effects: shadows, reflections and smoothed edges as LIBERO's own renderer draws them, at a tenth of the speed
            without a GPU. Policies that were trained on LIBERO's images may want it.
        scene: False leaves ``Observation.scene`` empty.
        tasks_from: the task source, see ``substep_core.tasks``.
    """

    suite: str
    task_index: int
    assets: str = libero_setup.EMBEDDED_ASSETS
    robot: RobotContract = field(default_factory=lambda: load_robot(ROBOT))
    cameras: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None
    horizon: int = 1000
    settle_steps: int = 10
    render: bool = True
    effects: bool = False
    scene: bool = True
    tasks_from: str = LIBERO

    def __post_init__(self) -> None:
        contract = self.contract  # what is left out is the robot's
        object.__setattr__(self, "cameras", contract.camera_names)
        for camera in contract.cameras:
            check_image_size(camera.height, camera.width)
        if self.horizon < 0:
            raise ValueError(f"horizon {self.horizon} is out of range: expected 0 (none) or more steps")
        if self.settle_steps < 0:
            raise ValueError(f"settle_steps {self.settle_steps} is out of range: expected 0 or more")

    @property
    def contract(self) -> RobotContract:
        """The robot's, with these cameras of this size. Raises: ValueError: it has no such camera."""
        names = self.robot.camera_names if self.cameras is None else self.cameras
        return self.robot.with_cameras(names, *(self.image_size or (None, None)))


class Simulation:
    """A LIBERO task. Deterministic: the same reset followed by the same actions gives the same bits.

    World time goes on across resets, one control period for each control step and one for a reset.
    """

    def __init__(self, config: SimulationConfig, stamp: int = 0) -> None:
        """Builds the world; call ``reset`` before anything else.

        Args:
            stamp: ns of world time to go on from, when it takes another one's place.

        Raises:
            ValueError: unknown task source, suite, task or asset folder, or initial states that do not fit the world;
                the message names it.
        """
        self.config, self.contract = config, config.contract
        task = libero_task(config.tasks_from, config.suite, config.task_index)
        self._task = task.in_assets(libero_setup.asset_folder(config.assets))
        self.suite, self.task_index, self.instruction = config.suite, config.task_index, self._task.instruction
        libero_setup.use_assets(config.assets)
        self._env = build_environment(self._task, config.robot, self._model_filter())
        if self._task.change is not None:
            self._task.change.prepare(self._env)
        self._model = self._env.sim.model._model
        self._init_states = self._task.init_states()
        _check_width(self._init_states, self._model.nq + self._model.nv + 1, self._task)
        self._data = self._env.sim.data._data
        self._arm = self._env.robots[0]
        site = self._model.site(self._arm.eef_site_id).name
        self._frames = RobotFrames(self._model, self._data, site, self.contract.cameras, self.contract.base_frame)
        self._site_in_hand = conjugate(_hand_in_site(config.robot))
        self._renderers: dict[tuple[int, int], CameraRenderer] = {}
        self._ground_truth = GroundTruth(self._env)
        self._loop: ControlLoop | None = None
        self._stamp, self._step_count, self._success = stamp, 0, False
        self._seed = 0
        self._home = np.array(self._arm.init_qpos)
        self._look: VariedLook | None = None
        self._plain: Mapping[str, np.ndarray] | None = None  # what a look changes, as the task has it

    @property
    def environment(self):
        """robosuite's own, for whoever drives its arm by other commands than ``step`` takes."""
        return self._env

    def _model_filter(self) -> ModelFilter | None:
        """The task's change of the model, then that of the assets."""
        filters = [self._task.model_filter, libero_setup.model_filter(self.config.assets)]
        chain = [change for change in filters if change is not None]
        return (lambda xml: reduce(lambda text, change: change(text), chain, xml)) if chain else None

    @property
    def workspace_origin(self) -> np.ndarray:
        """(3,) m, world frame: the middle of the table's top, or of the floor where the task has no table."""
        return np.array(self._env.workspace_offset, np.float64)

    @property
    def init_state_count(self) -> int:
        return INIT_STATES if self._init_states is None else len(self._init_states)

    @property
    def stamp(self) -> int:
        """ns of world time."""
        return self._stamp

    @property
    def step_count(self) -> int:
        """Control steps under a task since the reset, settling not counted."""
        return self._step_count

    @property
    def success(self) -> bool:
        """LIBERO's verdict; stays true within an episode."""
        return self._success

    @property
    def over(self) -> EpisodeEnd | None:
        """Why the episode has ended; None while it goes on."""
        return EpisodeEnd.SUCCESS if self._success else self.out_of_time

    @property
    def out_of_time(self) -> EpisodeEnd | None:
        """As ``over``, whether the goal holds or not."""
        return EpisodeEnd.HORIZON if 0 < self.config.horizon <= self._step_count else None

    def show(self, look: VariedLook | None) -> None:
        """Another look from the next reset on, in place of an earlier one; None: the task's own."""
        if self._plain is None:
            self._plain = drawn_values(self._model)
        restore(self._model, self._plain)
        if look is not None:
            look.prepare(self._env)
        self._look = look
        self._close_renderers()  # they keep textures

    def reset(
        self,
        init_state: int = 0,
        seed: int = 0,
        placement: Placement = Placement.BENCHMARK,
        arm_distance: float = 0.0,
    ) -> Observation:
        """Starts an episode.

        Args:
            init_state: one of the task's; ``WIDENED`` moves its objects about.
            seed: of everything drawn at random: LIBERO's fixture positions, and the objects' for ``WIDENED``.
            placement: where the objects start.
            arm_distance: rad, length of the vector of joint angles by which the arm is off its home when the controller
                is reset, in a direction drawn from ``seed``. As in LIBERO-plus, the initial state puts the arm back,
                and the controller pulls it most of the way there while the world settles.

        Raises:
            ValueError: there is no such initial state; a ``NoRoomError``: no place for an object was found, and the
                world goes on from where it was.
        """
        self.check_init_state(init_state)
        before = self.state()
        try:
            self._place(init_state, seed, placement, arm_distance)
        except NoRoomError:
            set_state(self._env, before)
            self._loop = self._loop and ControlLoop(self._env)
            raise
        self._seed = seed
        self._loop = ControlLoop(self._env)
        for _ in range(self.config.settle_steps):
            self._loop.step(initial_action(self.contract))
        self._step_count, self._success = 0, False
        self._stamp += self.contract.period_ns
        return self.observe()

    def _place(self, init_state: int, seed: int, placement: Placement, arm_distance: float) -> None:
        direction = np.random.default_rng((seed, 2)).normal(size=len(self._home))
        self._arm.init_qpos = self._home + arm_distance * direction / np.linalg.norm(direction)
        if self._init_states is None:
            set_state(self._env, drawn_state(self._env, init_state))
        else:
            reset_environment(self._env, seed)
            set_state(self._env, self._init_states[init_state])
        if placement is Placement.WIDENED:
            WidenedPlacement(self._env).place(np.random.default_rng(seed))
            self._env.sim.forward()

    def check_init_state(self, init_state: int) -> None:
        """Raises: ValueError: there is no such initial state."""
        if not 0 <= init_state < self.init_state_count:
            raise ValueError(f"init_state {init_state} does not exist: expected 0 to {self.init_state_count - 1}")

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> Observation:
        """Moves the world on by a control period.

        Args:
            action: (A,) as the contract has it, motions OSC_POSE's.
            under_task: False: whether the goal holds does not matter.
            counts: it is one of the episode's steps.

        Raises:
            ValueError: the action has another shape or is not finite.
            RuntimeError: no episode was started.
        """
        if self._loop is None:
            raise RuntimeError("no episode was started: call reset first")
        action = np.asarray(action, np.float64)
        if action.shape != (self.contract.action_width,) or not np.isfinite(action).all():
            raise ValueError(f"action {action} is not a finite vector of {self.contract.action_width} values")
        self._loop.step(action)
        self._stamp += self.contract.period_ns
        self._step_count += counts
        if under_task:
            self._success = self._success or bool(self._env._check_success())
        return self.observe()

    def observe(self, images: bool = True) -> Observation:
        """What is seen now. Images only if asked for here and by the configuration."""
        return Observation(
            images=self.images(self.config.cameras) if images and self.config.render else {},
            proprio=state_vector(self.contract, self.readings()),
            stamp=self._stamp,
            scene=self.scene() if self.config.scene else None,
        )

    def readings(self) -> Readings:
        """The grip site's pose in the world and all joints, as the topics of the contract carry them."""
        return Readings(poses={EEF_POSE: self.grip_site_pose()}, joints={JOINT_STATES: Joints(self.joint_positions())})

    def grip_site_pose(self) -> Pose:
        """Of the site between the finger pads: x along which they close, z out of the palm; world frame.

        Its quaternion goes on without a jump in sign, as that of LIBERO's robot0_eef_quat does, which the contract's
        rotation is derived from: ``turned_by`` leads from this frame to the hand's.
        """
        hand = xyzw(self._env.sim.data.get_body_xquat(self._arm.robot_model.eef_name))
        return Pose(self._data.site_xpos[self._arm.eef_site_id].copy(), quaternion_product(hand, self._site_in_hand))

    def robot_state(self) -> np.ndarray:
        """(9,) as LIBERO's files keep it: fingers (m), robot0_eef_pos (m), robot0_eef_quat (xyzw, of the hand)."""
        hand = xyzw(self._env.sim.data.get_body_xquat(self._arm.robot_model.eef_name))
        fingers = self._data.qpos[self._arm._ref_gripper_joint_pos_indexes]
        return np.concatenate([fingers, self._data.site_xpos[self._arm.eef_site_id], hand])

    def frames(self) -> list[Frame]:
        """Coordinate frames of the arm's links, its grip site and the cameras."""
        return self._frames.read()

    def robot_description(self) -> str:
        """URDF of the arm."""
        return robot_description(self._model)

    def joint_positions(self) -> dict[str, float]:
        """Joint name -> position: the arm's (rad), then the fingers' (m)."""
        return self.arm_joint_positions() | self._positions(self._arm.gripper_joints)

    def arm_joint_positions(self) -> dict[str, float]:
        """Joint name -> rad."""
        return self._positions(self._arm.robot_joints)

    def _positions(self, joints: Iterable[str]) -> dict[str, float]:
        return {name: float(self._data.joint(name).qpos[0]) for name in joints}

    def state(self) -> np.ndarray:
        """(1 + nq + nv,) float64: time, qpos and qvel, as LIBERO's initial states."""
        return self._env.sim.get_state().flatten()

    def scene(self) -> SceneState:
        """Ground truth of this moment."""
        return self._ground_truth.read()

    def images(self, cameras: Iterable[str]) -> dict[str, np.ndarray]:
        """Camera name -> image, of the contract's size."""
        return {name: self.render(name, camera.height, camera.width) for name, camera in self._cameras(cameras)}

    def render(self, camera: str, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB, upright."""
        size = (height, width)
        if size not in self._renderers:
            self._renderers[size] = CameraRenderer(self._model, height, width, self.config.effects)
        image = self._renderers[size].render(self._data, self.config.robot.camera(camera).driver_name)
        for change in filter(None, (self._task.change, self._look)):
            drawn = np.random.default_rng((self._seed, self._step_count))  # whoever else looks, and however often
            image = change.image(camera, image, drawn)
        return image

    def intrinsics(self, camera: str, height: int, width: int) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels; pixel centres lie at whole numbers."""
        field_of_view = np.radians(self._model.cam(self.config.robot.camera(camera).driver_name).fovy[0])
        focal_length = height / 2 / np.tan(field_of_view / 2)
        return np.array([[focal_length, 0, (width - 1) / 2], [0, focal_length, (height - 1) / 2], [0, 0, 1]])

    def _cameras(self, names: Iterable[str]) -> Iterator[tuple[str, Camera]]:
        return ((name, self.contract.camera(name)) for name in names)

    def close(self) -> None:
        """Let go of the world now. robosuite's refer to themselves, and Python, which sees not how many megabytes their
        models and meshes have, would collect them after dozens of others."""
        self._close_renderers()
        self._env = self._model = self._data = self._arm = self._frames = self._ground_truth = self._loop = None
        gc.collect()

    def _close_renderers(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _hand_in_site(robot: RobotContract) -> np.ndarray:
    """(4,) xyzw: the turn from the grip site's frame to the hand's, whose rotation LIBERO's data have."""
    (group,) = robot.state_groups(StateQuantity.ROTATION)
    return np.array(group.source.turned_by)


def _check_width(init_states: np.ndarray | None, width: int, task: LiberoTask) -> None:
    if init_states is not None and init_states.shape[1] != width:
        raise ValueError(
            f"{task.init_states_file} has {init_states.shape[1]} values in a state, but the world of {task.bddl_file} "
            f"has {width} (time, qpos, qvel): they belong to different scenes"
        )
