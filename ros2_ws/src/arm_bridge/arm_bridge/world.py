"""An arm with ROS drivers as the world of a bridge."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from arm_bridge.arm_node import ArmNode
from arm_bridge.intake import SensorSample
from arm_bridge.sensors import Pictures, intrinsics
from arm_bridge.settings import ArmSettings, camera_input, load_arm
from substep_bridge.parameters import declare_task, read_start
from substep_bridge.world import Frame, Sensed
from substep_core.contract import Joints, Pose, Readings, RobotContract
from substep_core.episode import EpisodeStart, EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_core.tasks import task_source


class ArmWorld:
    """Implements ``substep_bridge.world.World``, ``Foresighted`` and ``Armable``."""

    simulated = False
    description = ""  # the drivers publish it, and the frames

    def __init__(self, node: ArmNode, contract: RobotContract, settings: ArmSettings, episode: EpisodeState) -> None:
        self.contract, self._settings, self._node = contract, settings, node
        self.workspace_origin = np.array(settings.workspace_origin)
        self._begun = episode
        self._steps, self._success = 0, False
        self._pictures = Pictures()
        self._sensed: Sensed | None = None
        self._ahead = np.zeros((0, contract.action_width))
        self._arming = 0  # that actions are computed under, counted
        node.start()

    @property
    def episode(self) -> EpisodeState:
        begun = self._begun
        return EpisodeState(begun.instruction, self._steps, begun.horizon, self._success, begun.suite, begun.task_index)

    @property
    def hindrance(self) -> Reason[HoldKind]:
        return self._node.arm.hindrance

    def take_over(self) -> bool:
        before, self._arming = self._arming, self._node.arm.times_armed
        return self._arming != before

    def reset(self, start: EpisodeStart) -> None:
        task = (
            start.suite or self._begun.suite,
            self._begun.task_index if start.task_index is None else start.task_index,
        )
        if task != (self._begun.suite, self._begun.task_index):
            raise ValueError(f"the robot's cell has task {self._begun.suite!r} {self._begun.task_index}, not {task}")
        self._come_to_rest()
        self._node.arm.pause()
        values = {"suite": task[0], "task_index": task[1], "init_state": start.init_state, "seed": start.seed}
        self._node.put_back({**values, "placement": start.placement.value})
        self._node.arm.pause()  # what was seen while it was put back does not count
        self._steps, self._success = 0, False
        self._look_until_everything_speaks()

    def foresee(self, actions: np.ndarray) -> None:
        self._ahead = actions

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> None:
        self._node.arm.step(action, self._ahead, self._arming)
        self._steps += counts
        if under_task:
            self._success = self._success or self._node.judged

    def sense(self) -> Sensed:
        """A picture that cannot be decoded is dropped, and counted; how old the one before it may be is its input's."""
        has_dropped = False
        while (found := self._node.arm.observation()) is not None:
            stamp, samples = found
            known = self._sensed.stamp if self._sensed is not None else None
            if stamp == known or (has_dropped and known is not None and stamp < known):
                break
            if (images := self._images(samples)) is not None:
                values = {name: sample.value for name, sample in samples.items()}
                poses = {name: value for name, value in values.items() if isinstance(value, Pose)}
                joints = {name: value for name, value in values.items() if isinstance(value, Joints)}
                self._sensed = Sensed(stamp, Readings(poses, joints), images)
                break
            has_dropped = True
        return self._sensed

    def _images(self, samples: Mapping[str, SensorSample]) -> dict[str, np.ndarray] | None:
        """Of every camera; None: one could not be decoded."""
        images = {}
        for camera in self.contract.cameras:
            name = camera_input(camera.name)
            try:
                images[camera.name] = self._pictures.picture(camera, self._settings.cameras[camera.name], samples[name])
            except ValueError as error:
                self._node.arm.read(name, samples[name], str(error))
                return None
            self._node.arm.read(name, samples[name])
        return images

    def intrinsics(self, camera: str) -> np.ndarray:
        return intrinsics(self._node.infos.get(camera), self.contract.camera(camera), self._settings.cameras[camera])

    def frames(self) -> tuple[Frame, ...]:
        return ()

    def close(self) -> None:
        self._node.close()

    def _come_to_rest(self) -> None:
        while not self._node.arm.is_at_rest:
            self._node.arm.stop()
            time.sleep(1 / self.contract.rate)

    def _look_until_everything_speaks(self) -> None:
        """Raises: ValueError: a sensor does not speak; the message says which, and why."""
        deadline = time.monotonic() + self._settings.start_timeout
        while True:
            trouble = self._node.arm.trouble()
            if trouble.kind is not HoldKind.OBSERVATION_LOST and self._node.arm.observation() and self.sense():
                return
            if time.monotonic() > deadline:
                misfits = "".join(f"; {topic}: {why}" for topic, why in self._node.drivers.complaints.items())
                waited = f"after {self._settings.start_timeout:g} s"
                raise ValueError(f"{waited} the robot is not observed: {trouble.text}{misfits}")
            time.sleep(0.02)


class ArmWorlds:
    """Implements ``substep_bridge.world.WorldFactory``: which robot it is, a parameter says."""

    def declare(self, parameters: NodeParameters) -> None:
        parameters.declare("robot", "", "name of an arm, or the path of its parameter file", read_only=True)
        declare_task(parameters, "", "", "whose task is laid out in front of the robot; empty: none")
        self._settings, self.robot = load_arm(parameters.value("robot"))
        self._bridge = parameters.node_name

    def build(self, parameters: NodeParameters) -> tuple[ArmWorld, EpisodeStart]:
        value = parameters.value
        suite, index, tasks_from = value("suite"), value("task_index"), value("tasks_from")
        if suite and not tasks_from:
            raise BadParameter(f"parameter tasks_from is empty, expected whose suite {suite!r} is")
        instruction = task_source(tasks_from).task(suite, index).instruction if suite else ""
        episode = EpisodeState(instruction, 0, value("horizon"), False, suite, index if suite else 0)
        node = ArmNode(self.robot, self._settings, self._bridge)
        return ArmWorld(node, self.robot, self._settings, episode), read_start(parameters)
