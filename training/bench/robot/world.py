"""The stand-in robot in a time of its own: its driver, controller and cameras as they are, the clock moved by hand.

What happens when, and with which delay, is as in real time; how long it takes to compute does not matter, so that a
slow or busy machine plays the same episodes as a fast one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from libero_bridge.simulation import EEF_POSE, JOINT_STATES, SimulationConfig
from substep_core.contract import Joints, Readings, RobotContract, commanded_velocity, state_vector
from substep_core.episode import EpisodeEnd, EpisodeStart, Placement
from substep_core.observation import Observation
from substep_core.scene import SceneState
from substep_core.units import NANOSECONDS
from substep_standin.cameras import CameraSettings, CameraStream, Exposure
from substep_standin.driver import Controller, Driver
from substep_standin.plant import Plant
from substep_standin.servo import Twist
from substep_standin.settings import FINGER_JOINTS, OPEN_FINGER, DriverSettings

TICK = NANOSECONDS // 100  # ns between two looks of the driver at its commands
START = NANOSECONDS  # ns at which the clock begins
REMEMBERED = 100  # ticks of measurements
KEPT = 4  # pictures of a camera


class StandInWorld:
    """What ``LockstepTask`` wants of a simulation, with the stand-in behind it.

    Args:
        config: of the scene; its horizon ends episodes.
    """

    def __init__(self, config: SimulationConfig) -> None:
        """Raises: ValueError: unknown task source, suite, task or asset folder."""
        self.config = config
        self.contract: RobotContract = config.contract
        self._plant = Plant(config)
        self.suite, self.task_index, self.instruction = config.suite, config.task_index, self._plant.instruction
        self.step_count, self.success = 0, False
        self._now = START
        self._closes: bool | None = None

    @property
    def workspace_origin(self) -> np.ndarray:
        return self._plant.workspace_origin

    def reset(self, init_state: int, seed: int, placement: Placement = Placement.BENCHMARK) -> Observation:
        """Arm and objects where the episode begins. Raises: ValueError: there is no such start."""
        self._plant.reset(EpisodeStart(placement=placement, init_state=init_state, seed=seed))
        self._driver = Driver(self._plant, DriverSettings(), self._now, Controller.SERVO)
        random, names = np.random.default_rng(seed), self.contract.camera_names
        self._cameras = [
            CameraStream(name, CameraSettings(), self._taker(name), index / len(names), self._now, random)
            for index, name in enumerate(names)
        ]
        self._pictures = {name: [Exposure(name, self._now, self._plant.picture(name))] for name in names}
        self._measured = deque([(self._now, self._measure())], maxlen=REMEMBERED)
        self.step_count, self.success, self._closes = 0, False, None
        self._tick()  # the driver obeys what is newer than its start
        return self._observation()

    def _taker(self, camera: str):
        return lambda: self._plant.picture(camera)

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> Observation:
        """A control period with an action (A,) as the contract has it."""
        self._command(np.asarray(action, np.float64))
        for _ in range(self.contract.period_ns // TICK):
            self._tick()
        self.step_count += counts
        if under_task:
            self.success = self.success or self._plant.goal_holds
        return self._observation()

    def _tick(self) -> None:
        self._now += TICK
        self._driver.advance(self._now)
        self._look()

    def _command(self, action: np.ndarray) -> None:
        """Motions as velocities that cover as much as the contract's ``response`` says; the hand where it changes."""
        parts = []
        for group in self.contract.action:
            if group.is_motion:
                parts.append(commanded_velocity(self.contract, group, action))
                frame = group.frame
            else:
                closes = bool(group.closedness(float(action[self.contract.action_slice(group)][0])) > 0)
        self._driver.twist(Twist(self._now, frame, *parts), self._now)
        if closes is not self._closes:
            self._closes = closes
            self._driver.grip({FINGER_JOINTS[0]: 0.0 if closes else OPEN_FINGER})

    def _look(self) -> None:
        self._measured.append((self._now, self._measure()))
        for camera in self._cameras:
            if camera.periods_due(self._now):
                camera.expose(self._now)
            for picture in camera.arrived(self._now):
                self._pictures[picture.camera] = [*self._pictures[picture.camera], picture][-KEPT:]

    def _measure(self) -> Readings:
        return Readings({EEF_POSE: self._plant.hand_pose()}, {JOINT_STATES: Joints(self._plant.simulated_joints)})

    @property
    def now(self) -> int:
        """ns of the clock, which is later than what is seen."""
        return self._now

    @property
    def _seen_at(self) -> int:
        """ns: the newest instant that every camera has shown."""
        return min(pictures[-1].stamp for pictures in self._pictures.values())

    @property
    def stopped(self) -> str:
        """By which fault the robot stands; empty: by none."""
        status = self._driver.status()
        return "" if status.fault == "none" else str(status.fault)

    def readings(self) -> Readings:
        """What was measured at the instant of the observation."""
        seen = self._seen_at
        return min(self._measured, key=lambda measured: abs(measured[0] - seen))[1]

    def images(self, cameras: Iterable[str]) -> Mapping[str, np.ndarray]:
        """The pictures nearest to the instant of the observation, (H, W, 3) uint8 RGB each."""
        seen = self._seen_at
        return {name: min(self._pictures[name], key=lambda one: abs(one.stamp - seen)).image for name in cameras}

    def scene(self) -> SceneState:
        return self._plant.scene()

    @property
    def over(self) -> EpisodeEnd | None:
        return EpisodeEnd.SUCCESS if self.success else self.out_of_time

    @property
    def out_of_time(self) -> EpisodeEnd | None:
        return EpisodeEnd.HORIZON if 0 < self.config.horizon <= self.step_count else None

    def _observation(self) -> Observation:
        seen = Observation({}, state_vector(self.contract, self.readings()), self._seen_at)
        return replace(seen, scene=self.scene())

    def close(self) -> None:
        self._plant.close()
