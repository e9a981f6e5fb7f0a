"""The arm, its hand and the scene around them: torques in, measurements out, 2 ms of physics at a time.

Under the driver lies one of LIBERO's worlds, whose arm is driven here by torques and not by LIBERO's actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from libero_bridge.frames import JOINTS
from libero_bridge.simulation import Simulation, SimulationConfig
from substep_bridge.world import Frame
from substep_core.contract import Pose
from substep_core.episode import EpisodeStart
from substep_core.rotation import turn
from substep_core.scene import SceneState
from substep_standin.servo import PoseReference
from substep_standin.settings import ARM_JOINTS, DRIVER_JOINTS, OPEN_FINGER

ROBOT_BODIES = "robot0"  # how the names of the robot's first body begin
JOINT_STIFFNESS = 400.0  # 1/s², of the joints' own servos, critically damped


@dataclass(frozen=True)
class PlantState:
    """What is measured at an instant.

    Attributes:
        position, velocity, effort: by the names of ``DRIVER_JOINTS``, rad or m, rad/s or m/s, N·m or N.
        hand: (3,) m of the grip site in the base frame; rotation: (3, 3); twist: (6,) m/s and rad/s.
    """

    position: Mapping[str, float]
    velocity: Mapping[str, float]
    effort: Mapping[str, float]
    hand: np.ndarray
    rotation: np.ndarray
    twist: np.ndarray


class Plant:
    """Attributes: step_time: s of one step of physics."""

    def __init__(self, config: SimulationConfig) -> None:
        """Raises: ValueError: unknown task source, suite, task or asset folder."""
        self._take(Simulation(_physics_only(config)))

    def _take(self, simulation: Simulation) -> None:
        self._simulation = simulation
        environment = simulation.environment
        self._model, self._data = environment.sim.model._model, environment.sim.data._data
        self._robot = environment.robots[0]
        self._arm_actuators = np.asarray(self._robot._ref_joint_actuator_indexes)
        joints = [self._model.joint(JOINTS[name]) for name in DRIVER_JOINTS]
        self._places = np.array([joint.qposadr[0] for joint in joints])
        self._speeds = np.array([joint.dofadr[0] for joint in joints])
        arm = [DRIVER_JOINTS.index(name) for name in ARM_JOINTS]
        self._arm_places, self._arm_speeds = self._places[arm], self._speeds[arm]
        self._of_robot = np.array([self._is_of_robot(body) for body in self._model.geom_bodyid])
        self.step_time = float(self._model.opt.timestep)

    def _is_of_robot(self, body: int) -> bool:
        return self._model.body(self._model.body_rootid[body]).name.startswith(ROBOT_BODIES)

    def reset(self, start: EpisodeStart, config: SimulationConfig | None = None) -> None:
        """Arm and objects where a task begins; of another task where ``config`` says so.

        Raises:
            ValueError: there is no such task or start, see ``Simulation.reset``; all is as it was.
        """
        current = self._simulation
        config = current.config if config is None else _physics_only(config)
        simulation = current if config == current.config else Simulation(config)
        try:
            simulation.reset(start.init_state, start.seed, start.placement)
        except ValueError:
            if simulation is not current:
                simulation.close()
            raise
        if simulation is not current:
            self._take(simulation)
            current.close()
        self._controller = self._robot.controller
        self._begin_step()

    # --- measurements, as they are between two steps ---

    @property
    def arm_position(self) -> np.ndarray:
        """(7,) rad."""
        return self._data.qpos[self._arm_places].copy()

    @property
    def arm_velocity(self) -> np.ndarray:
        """(7,) rad/s."""
        return self._data.qvel[self._arm_speeds].copy()

    @property
    def hand(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,) m and (3, 3): the grip site in the base frame."""
        return self._controller.ee_pos, self._controller.ee_ori_mat

    @property
    def jacobian(self) -> np.ndarray:
        """(6, 7) from joint velocities to the grip site's."""
        return self._controller.J_full

    @property
    def finger(self) -> tuple[float, float]:
        """m and m/s of the first one."""
        return float(self._data.qpos[self._places[0]]), float(self._data.qvel[self._speeds[0]])

    @property
    def contact_force(self) -> float:
        """N with which all that is not of the robot presses on it, in sum: what is held between the fingers cancels."""
        contacts = self._data.contact.geom[: self._data.ncon]
        first, second = self._of_robot[contacts].T
        total, wrench = np.zeros(3), np.zeros(6)
        for index in np.flatnonzero(first != second):
            mujoco.mj_contactForce(self._model, self._data, int(index), wrench)
            force = self._data.contact.frame[index].reshape(3, 3).T @ wrench[:3]  # on the second geom
            total += force if second[index] else -force
        return float(np.linalg.norm(total))

    def state(self) -> PlantState:
        position, velocity = self._data.qpos[self._places], self._data.qvel[self._speeds]
        effort = self._data.qfrc_actuator[self._speeds]
        named = [dict(zip(DRIVER_JOINTS, map(float, values), strict=True)) for values in (position, velocity, effort)]
        twist = self.jacobian @ self._data.qvel[self._arm_speeds]
        return PlantState(*named, *(part.copy() for part in self.hand), twist)

    def hand_pose(self) -> Pose:
        """Of the grip site in the base frame."""
        return self._simulation.grip_site_pose()

    # --- control: one call a step ---

    def track(self, reference: PoseReference, hand_goal: float) -> None:
        """One step with the hand drawn to a moving reference by robosuite's operational space control.

        Args:
            hand_goal: m, of the first finger.
        """
        controller = self._controller
        # what its damping takes away of the velocity, and what its error alone would give late of the acceleration
        lead = (controller.kd * reference.velocity + reference.acceleration) / controller.kp
        controller.goal_pos = reference.position + lead[:3]
        controller.goal_ori = turn(lead[3:]) @ reference.rotation
        self._finish_step(controller.run_controller(), hand_goal)

    def servo_joints(self, position: np.ndarray, velocity: np.ndarray, hand_goal: float) -> None:
        """One step with the joints drawn to positions (7,) rad that move with velocities (7,) rad/s."""
        controller = self._controller
        wanted = JOINT_STIFFNESS * (position - self.arm_position)
        wanted += 2 * np.sqrt(JOINT_STIFFNESS) * (velocity - self.arm_velocity)
        controller.new_update = True  # what else only its own computation of torques says
        self._finish_step(controller.mass_matrix @ wanted + controller.torque_compensation, hand_goal)

    def _begin_step(self) -> None:
        mujoco.mj_step1(self._model, self._data)
        self._controller.update(force=True)

    def _finish_step(self, torques: np.ndarray, hand_goal: float) -> None:
        self._drive_hand(hand_goal)
        self._data.ctrl[self._arm_actuators] = np.clip(torques, *self._robot.torque_limits)
        mujoco.mj_step2(self._model, self._data)
        self._begin_step()

    def _drive_hand(self, goal: float) -> None:
        """A ramp towards the goal in steps of robosuite's hand, whose command runs from −1, closed, to 1, open."""
        gripper = self._robot.gripper
        missing = 2 * goal / OPEN_FINGER - 1 - float(np.asarray(gripper.current_action)[0])
        direction = 0.0 if abs(missing) < gripper.speed / 2 else -np.sign(missing)
        self._robot.grip_action(gripper=gripper, gripper_action=np.array([direction]))

    # --- cameras, frames, and what only a measurement of success looks at ---

    @property
    def cameras(self) -> tuple[str, ...]:
        return self._simulation.contract.camera_names

    def camera_frame(self, camera: str) -> str:
        return self._simulation.contract.camera(camera).frame

    def picture(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright."""
        return self._simulation.images((camera,))[camera]

    def intrinsics(self, camera: str) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels."""
        size = self._simulation.contract.camera(camera)
        return self._simulation.intrinsics(camera, size.height, size.width)

    def frames(self) -> list[Frame]:
        return self._simulation.frames()

    @property
    def description(self) -> str:
        """URDF, its joints named as the driver does."""
        text = self._simulation.robot_description()
        for name, simulated in JOINTS.items():
            text = text.replace(f'"{simulated}"', f'"{name}"')
        return text

    @property
    def instruction(self) -> str:
        return self._simulation.instruction

    @property
    def workspace_origin(self) -> np.ndarray:
        """(3,) m, as ``Simulation.workspace_origin``."""
        return self._simulation.workspace_origin

    @property
    def simulated_joints(self) -> dict[str, float]:
        """Positions by the names that LIBERO's contract has, rad and m."""
        return self._simulation.joint_positions()

    def scene(self) -> SceneState:
        """Ground truth of this moment."""
        return self._simulation.scene()

    @property
    def goal_holds(self) -> bool:
        return bool(self._simulation.environment._check_success())

    def close(self) -> None:
        self._simulation.close()


def _physics_only(config: SimulationConfig) -> SimulationConfig:
    """No episode ends, nothing is known about the scene, pictures are taken when a camera is due."""
    return replace(config, scene=False, render=False, horizon=0)
