"""Lifecycle node ``bridge``: a world as topics. Parameters, topics and clocks around ``ChunkPlayer``.

Everything happens in the executor's one thread, which may also own an OpenGL context. The world moves one control step
at a time, so that what others say is heard between two steps, in the middle of a chunk too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import String
from substep_interfaces.msg import ActionChunk, ActiveSubstep
from substep_interfaces.srv import ResetEpisode

from substep_bridge import parameters as bridge_parameters
from substep_bridge import simulation_services
from substep_bridge.chunk_player import ChunkPlayer, ChunkReport
from substep_bridge.guard import SafetyGuard
from substep_bridge.messages import (
    answer_from_message,
    report_to_message,
    request_to_message,
    start_from_message,
    substep_from_message,
    timing_to_message,
)
from substep_bridge.moment import RobotMoment, moment_of
from substep_bridge.parameters import ClockMode
from substep_bridge.world import WORLDS, Armable, Foresighted, Sensed, World, WorldFactory
from substep_bridge.world_publisher import WorldPublisher
from substep_core.chunk import ChunkOutcome
from substep_core.configuration import told
from substep_core.contract import contract_to_text, gripper_opening
from substep_core.episode import EpisodeEnd, EpisodeStart
from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind, Reason
from substep_core.registry import Registry, RegistryError
from substep_core.ros import topics
from substep_core.ros.diagnostics import diagnostic_status
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import to_time
from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import BadParameter

READY = Reason(HoldKind.NONE)
JUST_ARMED = Reason(HoldKind.ROBOT_HALTED, "armed just now")


class BridgeNode(GraphNode):
    """The bridge to the world that the parameter ``world`` names.

    Args:
        worlds: where worlds come from.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, worlds: Registry[Callable[[], WorldFactory]] = WORLDS, **node_options) -> None:
        super().__init__("bridge", **node_options)
        # Read once, when the node starts: which other parameters there are depends on it.
        self.parameters.declare("world", "", f"what the bridge drives: {', '.join(worlds.names)}", read_only=True)
        self._worlds = self._chosen(worlds)
        self._worlds.declare(self.parameters)  # which robot it is may be one of them
        bridge_parameters.declare(self.parameters, self._worlds.robot)
        self.parameters.tolerate(bridge_parameters.OF_SOME_WORLDS)
        self._world: World | None = None
        self._sensed: Sensed | None = None

    def _chosen(self, worlds: Registry[Callable[[], WorldFactory]]) -> WorldFactory:
        try:
            return worlds.load(self.parameters.value("world"))()
        except RegistryError as error:
            raise BadParameter(f"parameter world: {told(error)}") from error

    # --- lifecycle ---

    def configure(self) -> None:
        self._settings = bridge_parameters.read(self.parameters)
        self._world, self._start = self._worlds.build(self.parameters)
        if self._settings.clock is ClockMode.LOCKSTEP and not self._world.simulated:
            raise BadParameter("parameter clock is lockstep, expected realtime: this world does not wait for a policy")
        self._contract = bridge_parameters.limited(self._world.contract, self.parameters)
        guard = SafetyGuard(self._contract, self._settings.guard)
        self._player = ChunkPlayer(self._contract, guard, self._settings.joining)
        self._rejected, self._last_rejection = 0, ""
        self._told_latch: str | None = None
        self._told_shortfall = ""
        self._publisher = WorldPublisher(self, self._world)
        timings = self.advertise(topics.CHUNK_TIMING, while_inactive=True)
        timings.publish(timing_to_message(self._settings.joining.timing))
        contracts = self.advertise(topics.ROBOT_CONTRACT, while_inactive=True)  # a description
        contracts.publish(String(data=contract_to_text(self._contract)))
        if self._world.description:
            descriptions = self.advertise(topics.ROBOT_DESCRIPTION, while_inactive=True)
            descriptions.publish(String(data=self._world.description))
        self._requests = self.advertise(topics.CHUNK_REQUEST)
        self._reports = self.advertise(topics.CHUNK_REPORT)
        self._go_on = self.wake(self._advance)
        self.subscribe(topics.ACTIVE_SUBSTEP, self._on_substep)
        self.subscribe(topics.ACTION_CHUNK, self._on_chunk)
        self.serve(topics.RESET_EPISODE, self._on_reset)
        if self._world.simulated and simulation_services.are_provided():
            simulation_services.SimulationServices(self, self._begin, self._state_name, lambda: self._sensed)
        self.repeat(self._settings.repeat_period / 4, self._repeat_request)
        self.repeat(self._settings.planner_silence / 10, self._check_planner)
        if self._settings.idle_rate:
            self.repeat(1 / self._settings.idle_rate, self._publish_idle)
        if self._settings.clock is ClockMode.REALTIME:
            self.repeat(self._contract.period_ns / 1e9, self._tick)
        episode = self._world.episode
        self.say(f"robot {self._contract.name}, {episode.suite or 'task'}: {episode.instruction}")

    def activate(self) -> None:
        self.is_active = True  # the first episode begins at once
        self._reset(self._start)

    def release(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None

    # --- what the others say ---

    def _on_substep(self, message: ActiveSubstep) -> None:
        self._planner_heard = time.monotonic()
        substep = substep_from_message(message)  # latched: heard while inactive too
        self._publish_reports(self._player.activate(substep, message.plan_done and substep is None))
        self._advance()

    def _check_planner(self) -> None:
        """Nobody would end a substep whose planner has died or hangs: the robot holds."""
        if not self._player.heeds_planner or time.monotonic() - self._planner_heard <= self._settings.planner_silence:
            return
        why = f"nothing heard from the planner for {self._settings.planner_silence:g} s: the robot holds"
        self.complain(why)
        self._publish_reports(self._player.lose_planner())
        self._advance()
        self.publish_diagnostics()

    def _on_chunk(self, message: ActionChunk) -> None:
        if not self.is_active:
            return
        self._publish_reports(self._player.receive(answer_from_message(message), self._clock_time()))
        self._tell_shortfall()
        self._advance()

    def _begin(self, start: EpisodeStart) -> None:
        """Raises ValueError: the bridge is not active, or the world cannot begin like that."""
        if not self.is_active:
            raise ValueError("the bridge is not active: activate it first")
        self._reset(start)

    def _state_name(self) -> str:
        """As simulation_interfaces call it."""
        if not self.is_active:
            return "STOPPED"
        stands_still = self._settings.clock is ClockMode.LOCKSTEP and not self._player.may_step
        return "PAUSED" if stands_still else "PLAYING"

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            self._begin(start_from_message(request, self._world.episode.suite))
            response.success = True
        except ValueError as error:
            response.message = str(error)
            self.complain(f"reset_episode: {error}")
        response.episode = self._player.episode
        response.instruction = self._world.episode.instruction if self._world else ""
        return response

    # --- the world ---

    def _reset(self, start: EpisodeStart) -> None:
        """Raises ValueError: the world cannot begin like that and is as it was, or the robot cannot be measured."""
        self._world.reset(start)
        self._sensed = self._world.sense()
        try:
            self._measured = self._measure()
        except ValueError as error:
            self._publish_reports(self._player.lose_sight(str(error)))
            raise
        self._publish_reports(self._player.reset(self._player.episode + 1, self._measured))
        self._publisher.begin(self._sensed, self._world)
        self._advance()

    def _measure(self) -> RobotMoment:
        """Raises ValueError: something that the contract names is missing or not finite."""
        sensed, world = self._sensed, self._world
        return moment_of(self._contract, sensed.stamp, sensed.readings, world.workspace_origin, self._clock_time())

    def _clock_time(self) -> int:
        """ns; 0 in a simulated world, whose time is that of what was measured last."""
        return 0 if self._world.simulated else self.get_clock().now().nanoseconds

    def _advance(self) -> None:
        """After every event: in lockstep the world moves as long as there is something to play."""
        if not self.is_active:
            return
        lockstep = self._settings.clock is ClockMode.LOCKSTEP
        if lockstep and self._player.may_step:
            self._step()
        else:
            self._publish_status()
        if self._player.wants_request:
            self._request()
        if lockstep and self._player.may_step:
            self._go_on()

    def _tick(self) -> None:
        """Realtime: the world moves in any case."""
        if self.is_active:
            self._publish_reports(self._player.hinder(self._hindrance()))
            self._step()
            self._advance()

    def _hindrance(self) -> Reason[HoldKind]:
        """Why nothing is played in this control step."""
        world = self._world
        is_new = isinstance(world, Armable) and world.take_over()
        return world.hindrance or (JUST_ARMED if is_new else READY)

    def _step(self) -> None:
        had_succeeded = self._world.episode.success
        under_task, counts = self._player.is_under_task, self._player.step_counts
        try:
            action = self._player.next_action(self._clock_time())
            if isinstance(self._world, Foresighted):
                self._world.foresee(self._player.expected)
            self._world.step(action, under_task, counts)
            self._sensed = self._world.sense()
        except ValueError as error:  # that of a callback means a malformed message, and the node would go on
            raise RuntimeError(f"the world cannot take a step: {error}") from error
        reports = self._look(self._end(had_succeeded))
        self._publisher.publish(self._sensed, self._world, on_demand=self._settings.clock is ClockMode.LOCKSTEP)
        self._publish_status()
        self._publish_reports(reports)

    def _end(self, had_succeeded: bool) -> EpisodeEnd | None:
        """Why the episode ends with this step; that the goal once came true ends it only then."""
        episode = self._world.episode
        if episode.success and not had_succeeded:
            return EpisodeEnd.SUCCESS
        return EpisodeEnd.HORIZON if episode.out_of_time else None

    def _look(self, end: EpisodeEnd | None) -> list[ChunkReport]:
        """Where the robot is after a control step; where that cannot be told it holds."""
        try:
            self._measured = self._measure()
        except ValueError as error:
            return self._player.lose_sight(str(error))
        return self._player.after_step(self._measured, end)

    def _publish_idle(self) -> None:
        """Sensors speak while the world stands still, too: the same instant again, for whoever has just come."""
        if self.is_active and time.monotonic() - self._publisher.published_at > 0.5 / self._settings.idle_rate:
            self._publisher.publish(self._sensed, self._world)

    def _request(self) -> None:
        player, request = self._player, self._player.request()
        self._publisher.complete(self._sensed, self._world)
        self._requests.publish(request_to_message(request, player.held_action, player.left_over, player.answer_delay))
        self._requested_at = time.monotonic()

    def _repeat_request(self) -> None:
        """Best-effort messages get lost: what was asked is asked again, with what it was asked about."""
        if not self.is_active or self._player.outstanding is None:
            return
        if time.monotonic() - self._requested_at >= self._settings.repeat_period:
            self._publisher.publish(self._sensed, self._world)
            self._publisher.repeat_status()  # a sign of life
            self._request()

    # --- what is said ---

    def now(self) -> Time:
        """World time, which others hear from here."""
        return to_time(self._sensed.stamp)

    def _publish_status(self) -> None:
        player, is_over = self._player, self._player.over is not None
        self._publisher.publish_status(player.episode, self._world.episode, is_over, player.hold, self._sensed.stamp)

    def _publish_reports(self, reports: Iterable[ChunkReport]) -> None:
        for report in reports:
            opening = gripper_opening(self._contract, self._measured.proprio)
            self._reports.publish(report_to_message(report, to_time(self._sensed.stamp), self._player.gripper, opening))
            if report.outcome is ChunkOutcome.REJECTED:
                self._rejected, self._last_rejection = self._rejected + 1, report.reason.text
                self.warn(f"chunk rejected: {report.reason.text}")
                self.publish_diagnostics()
        self._tell_latch()

    def _tell_latch(self) -> None:
        if self._player.guard.latched != self._told_latch:
            self._told_latch = self._player.guard.latched
            if self._told_latch is not None:
                self.complain(f"the robot holds until reset_episode: {self._told_latch}")
            self.publish_diagnostics()

    def _tell_shortfall(self) -> None:
        """Whether the robot has to stand still now and then because chunks are too short for the time they take."""
        if bool(self._player.shortfall) != bool(self._told_shortfall):
            self._told_shortfall = self._player.shortfall
            if self._told_shortfall:
                self.warn(self._told_shortfall)
            self.publish_diagnostics()

    def diagnostics(self) -> list[DiagnosticStatus]:
        return [self._world_status(), self._safety_status()]

    def _world_status(self) -> DiagnosticStatus:
        episode, player = self._world.episode, self._player
        values = {
            "robot": self._contract.name,
            "suite": episode.suite,
            "task_index": episode.task_index,
            "episode": player.episode,
            "step": episode.step,
            "clock": self._settings.clock.value,
            "joining": self._settings.joining.name,
            "answer_delay": player.answer_delay,
            "success": episode.success,
            "error_code": int(ErrorCode.NONE),
        }
        message = player.hold.text or "playing"
        level = DiagnosticStatus.OK
        if player.hold.kind is HoldKind.PLANNER_SILENT:
            level, values["error_code"] = DiagnosticStatus.ERROR, int(ErrorCode.PLANNER_SILENT)
        elif player.shortfall:
            level, message = DiagnosticStatus.WARN, f"{message}; {player.shortfall}"
        return diagnostic_status(self.get_fully_qualified_name(), "world", message, level, values)

    def _safety_status(self) -> DiagnosticStatus:
        level, message, code = DiagnosticStatus.OK, "ok", ErrorCode.NONE
        if self._player.guard.latched is not None:
            code = ErrorCode.GUARD_LATCHED
            level, message = DiagnosticStatus.ERROR, f"latched: {self._player.guard.latched}"
        elif self._rejected:
            level, message = DiagnosticStatus.WARN, f"chunk rejected: {self._last_rejection}"
        values = {"rejected": self._rejected, "last_rejection": self._last_rejection, "error_code": int(code)}
        return diagnostic_status(self.get_fully_qualified_name(), "safety", message, level, values)


def main() -> int:
    return run_node(BridgeNode, has_last_word=True)


if __name__ == "__main__":
    raise SystemExit(main())
