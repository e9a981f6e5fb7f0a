"""Lifecycle node ``bridge``: the simulated world as topics. Parameters, topics and clocks around ``ChunkPlayer``.

Everything happens in the executor's one thread, which also owns the OpenGL context. The world moves one control step
at a time, so that what others say is heard between two steps, in the middle of a chunk too.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest
from substep_interfaces.srv import ResetEpisode

from libero_bridge import bridge_parameters
from libero_bridge.bridge_messages import (
    answer_from_message,
    diagnostic_status,
    report_to_message,
    request_to_message,
    substep_from_message,
)
from libero_bridge.bridge_parameters import BridgeSettings, ClockMode
from libero_bridge.chunk_player import ChunkPlayer, Outcome, Report
from libero_bridge.placement import Placement
from libero_bridge.safety import SafetyGuard
from libero_bridge.simulation import CONTROL_PERIOD_NS, Simulation
from libero_bridge.world_publisher import LATCHED_QOS, WorldPublisher
from substep_policy.messages import to_time
from substep_policy.node_main import run_node
from substep_policy.node_parameters import BadParameter, NodeParameters

DIAGNOSTICS_PERIOD = 1.0  # s
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
REPORTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
PLACEMENTS = {ResetEpisode.Request.BENCHMARK: Placement.BENCHMARK, ResetEpisode.Request.WIDENED: Placement.WIDENED}


class BridgeNode(LifecycleNode):
    """Args: node_options: handed to ``rclpy.node.Node``."""

    def __init__(self, **node_options) -> None:
        super().__init__("bridge", **node_options)
        self._declared = NodeParameters(self)
        bridge_parameters.declare(self._declared)
        self._is_active = False
        self._simulation: Simulation | None = None
        self._world: WorldPublisher | None = None
        self._entities: list = []

    # --- lifecycle ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._settings = bridge_parameters.read(self._declared)
            self._simulation = Simulation(self._settings.simulation)
        except BadParameter as error:
            return self._refuse(str(error))
        except ValueError as error:
            return self._refuse(f"parameters suite, task_index, assets: {error}")
        except Exception as error:  # rclpy would swallow it; whatever building a scene raises is a failed configure
            self.get_logger().error(traceback.format_exc())
            return self._refuse(f"building {self._settings.simulation}: {type(error).__name__}: {error}")
        self._player = ChunkPlayer(SafetyGuard(self._settings.limits))
        self._rejected, self._last_rejection = 0, ""
        self._create_entities(self._settings)
        self.get_logger().info(f"{self._settings.simulation.suite}: {self._simulation.instruction}")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        self._is_active = True
        settings = self._settings
        try:
            self._reset(settings.init_state, settings.seed, settings.placement)
        except Exception as error:  # rclpy would swallow it
            self._is_active = False
            self.get_logger().error(f"activate failed: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._is_active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        self._release()
        super().destroy_node()

    def _refuse(self, why: str) -> TransitionCallbackReturn:
        self.get_logger().error(f"configure failed: {why}")
        return TransitionCallbackReturn.FAILURE

    def _create_entities(self, settings: BridgeSettings) -> None:
        self._world = WorldPublisher(self, settings.simulation.cameras)
        self._requests = self.create_lifecycle_publisher(ChunkRequest, "chunk_request", RELIABLE)
        self._reports = self.create_lifecycle_publisher(ChunkReport, "chunk_report", REPORTS)
        self._diagnostics = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 10)
        self._go_on = self.create_guard_condition(self._advance)
        subscriptions = [
            self.create_subscription(ActiveSubstep, "active_substep", self._on_substep, LATCHED_QOS),
            self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, RELIABLE),
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timers = [
            self.create_timer(settings.repeat_period / 4, self._repeat_request, clock=steady),
            self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady),
        ]
        if settings.clock is ClockMode.REALTIME:
            timers.append(self.create_timer(CONTROL_PERIOD_NS / 1e9, self._tick, clock=steady))
        service = self.create_service(ResetEpisode, "reset_episode", self._on_reset)
        publishers = (self._requests, self._reports, self._diagnostics)
        self._entities = [
            *((self.destroy_subscription, item) for item in subscriptions),
            *((self.destroy_timer, item) for item in timers),
            (self.destroy_service, service),
            (self.destroy_guard_condition, self._go_on),
            *((self.destroy_lifecycle_publisher, item) for item in publishers),
        ]

    def _release(self) -> None:
        self._is_active = False
        if self._simulation is None:
            return
        for destroy, entity in self._entities:
            destroy(entity)
        self._entities = []
        if self._world is not None:  # None: a signal came while configure was under way
            self._world.destroy()
            self._world = None
        self._simulation.close()
        self._simulation = None

    # --- what the others say ---

    def _on_substep(self, message: ActiveSubstep) -> None:
        substep = substep_from_message(message)  # latched: heard while inactive too
        self._publish_reports(self._player.activate(substep, message.plan_done and substep is None))
        self._advance()

    def _on_chunk(self, message: ActionChunk) -> None:
        if not self._is_active:
            return
        eef_position = self._simulation.eef_pose()[0] - self._simulation.workspace_origin
        answer = answer_from_message(message)
        self._publish_reports(self._player.receive(answer, self._observation.stamp, eef_position))
        self._advance()

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            self._reset_to(request)
            response.success = True
        except ValueError as error:
            response.message = str(error)
            self.get_logger().error(f"reset_episode: {error}")
        response.episode = self._player.episode
        response.instruction = self._simulation.instruction
        return response

    def _reset_to(self, request: ResetEpisode.Request) -> None:
        """Raises ValueError: the request cannot be met; the world is as it was."""
        if not self._is_active:
            raise ValueError("the bridge is not active: activate it first")
        if request.placement not in PLACEMENTS:
            raise ValueError(f"placement {request.placement} is unknown: expected one of {sorted(PLACEMENTS)}")
        current = self._simulation.config
        suite = request.suite or current.suite
        task_index = current.task_index if request.task_index == -1 else request.task_index
        simulation = self._simulation
        if (suite, task_index) != (current.suite, current.task_index):
            simulation = Simulation(replace(current, suite=suite, task_index=task_index), self._observation.stamp)
        if not 0 <= request.init_state < simulation.init_state_count:
            raise ValueError(
                f"init_state {request.init_state} does not exist: expected 0 to {simulation.init_state_count - 1}"
            )
        if simulation is not self._simulation:
            self._simulation.close()
            self._simulation = simulation
        self._reset(request.init_state, request.seed, PLACEMENTS[request.placement])

    # --- the world ---

    def _reset(self, init_state: int, seed: int, placement: Placement) -> None:
        self._observation = self._simulation.reset(init_state, seed, placement)
        self._publish_reports(self._player.reset(self._player.episode + 1))
        self._world.publish(self._observation, self._simulation)
        self._advance()

    def _advance(self) -> None:
        """After every event: in lockstep the world moves as long as there is something to play."""
        if not self._is_active:
            return
        lockstep = self._settings.clock is ClockMode.LOCKSTEP
        if lockstep and self._player.may_step:
            self._step()
        else:
            self._publish_status()
        if self._player.wants_request:
            self._request()
        if lockstep and self._player.may_step:
            self._go_on.trigger()

    def _tick(self) -> None:
        """Realtime: the world moves in any case, until the episode is over."""
        if self._is_active and not self._simulation.over:
            self._step()
            self._advance()

    def _step(self) -> None:
        self._observation = self._simulation.step(self._player.next_action())
        reports = self._player.after_step(self._simulation.over)
        self._world.publish(self._observation, self._simulation)
        self._publish_status()
        self._publish_reports(reports)

    def _request(self) -> None:
        request = self._player.request(self._observation.stamp)
        self._requests.publish(request_to_message(request, self._player.gripper))
        self._requested_at = time.monotonic()

    def _repeat_request(self) -> None:
        """Best-effort messages get lost: what was asked is asked again, with what it was asked about."""
        if not self._is_active or self._player.outstanding is None:
            return
        if time.monotonic() - self._requested_at >= self._settings.repeat_period:
            self._world.publish(self._observation, self._simulation)
            self._world.repeat_status()  # a sign of life
            self._request()

    # --- what is said ---

    def _publish_status(self) -> None:
        self._world.publish_status(
            self._player.episode, self._simulation, self._player.hold_reason, self._observation.stamp
        )

    def _publish_reports(self, reports: Iterable[Report]) -> None:
        for report in reports:
            stamp, width = to_time(self._observation.stamp), self._observation.gripper_width
            self._reports.publish(report_to_message(report, stamp, self._player.gripper, width))
            if report.outcome is Outcome.REJECTED:
                self._rejected, self._last_rejection = self._rejected + 1, report.reason
                self.get_logger().warning(f"chunk rejected: {report.reason}")
                self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        if not self._is_active:
            return
        array = DiagnosticArray(status=[self._world_status(), self._safety_status()])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _world_status(self) -> DiagnosticStatus:
        simulation, player = self._simulation, self._player
        values = {
            "suite": simulation.suite,
            "task_index": simulation.task_index,
            "episode": player.episode,
            "step": simulation.step_count,
            "clock": self._settings.clock.value,
            "success": simulation.success,
        }
        message = player.hold_reason or "playing"
        return diagnostic_status(self.get_fully_qualified_name(), "world", DiagnosticStatus.OK, message, values)

    def _safety_status(self) -> DiagnosticStatus:
        level, message = DiagnosticStatus.OK, "ok"
        if self._player.guard.latched:
            level, message = DiagnosticStatus.ERROR, f"latched: {self._player.guard.latched}"
        elif self._last_rejection:
            level, message = DiagnosticStatus.WARN, f"chunk rejected: {self._last_rejection}"
        values = {"rejected": self._rejected, "last_rejection": self._last_rejection}
        return diagnostic_status(self.get_fully_qualified_name(), "safety", level, message, values)


def main() -> int:
    return run_node(BridgeNode)


if __name__ == "__main__":
    raise SystemExit(main())
