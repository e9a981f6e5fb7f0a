"""A task on a robot that does not wait: chunks come when they are ready, by the robot's own clock."""

from __future__ import annotations

from substep_bridge.moment import RobotMoment, moment_of
from training.bench.delayed_task import DelayedTask
from training.lockstep import LockstepTask


class LateTask(DelayedTask):
    """Args: latency: s that the policy takes for a chunk, one after the other. The rest as ``LockstepTask``."""

    def __init__(self, *arguments, latency: float, **options) -> None:
        self._latency, self._free = round(latency * 1e9), 0  # ns; when it has done with what it was asked
        super().__init__(*arguments, delay=0, **options)

    def _receive(self, request, chunk, inference_time: float) -> None:
        self._free = max(self._free, self._simulation.now) + self._latency
        self._flying.append((self._free, request, chunk, self._latency / 1e9))

    def _deliver(self) -> None:
        now = self._simulation.now
        due = [answer for answer in self._flying if answer[0] <= now]
        self._flying = [answer for answer in self._flying if answer[0] > now]
        for _, *answer in due:
            self.answers += 1
            LockstepTask._receive(self, *answer)
        self._drain()

    def _moment(self) -> RobotMoment:
        world = self._simulation
        origin = world.workspace_origin
        return moment_of(world.contract, self._observation.stamp, world.readings(), origin, world.now)
