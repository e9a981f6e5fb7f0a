"""The graph of ``./substep real`` on the stand-in robot, kept up over episodes; this process is its session."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ChunkReport, EpisodeStatus, RobotState
from substep_interfaces.srv import ResetEpisode

from arm_bridge.settings import load_arm
from substep_bringup.child_process import ChildProcess, ProcessSpec, describe_exit
from substep_bringup.commands import node_process
from substep_bringup.graph import BAG, RECORDER, simulation_graph
from substep_bringup.graph_config import RealConfig
from substep_bringup.managed_node import ACTIVATE, CONFIGURE, SHUTDOWN, ManagedNode
from substep_bringup.run_folder import RunFolder
from substep_core.protocol import HoldKind, SafetyState
from substep_core.ros import topics
from substep_core.ros.messages import to_nanoseconds

KEPT = 1000  # messages of a topic
ANSWER = 60.0  # s for a service; the driver may load a scene
COMES_UP = 300.0  # s for nodes to start and to load what they need
BECOMES_ARMED = 60.0  # s
COMES_TO_REST = 10.0  # s for the world to say whether that is the goal
TAIL = 15  # lines of the log of a process that has died
TURN = 0.05  # s
BUSY = (HoldKind.NONE, HoldKind.WAITING_FOR_A_CHUNK)  # there is a substep to carry out


class Operator(Node):
    """What the session and the person beside the robot say and hear.

    Attributes:
        commands: (stamp, arrival) in ns of ROS time of each command that has left for the arm; one without a stamp has
            its arrival twice.
        rate: Hz of control steps.
        statuses: of the episode; states: of the robot; reports: of chunks. Newest last.
    """

    def __init__(self, robot: str) -> None:
        super().__init__("operator")
        self.commands: list[tuple[int, int]] = []
        self.statuses: list[EpisodeStatus] = []
        self.states: list[RobotState] = []
        self.reports: list[ChunkReport] = []
        arm, contract = load_arm(robot)
        self.rate = contract.rate
        arm_commands = arm.arm.message_type(), arm.arm.topic
        self.create_subscription(*arm_commands, self._on_command, QoSProfile(depth=KEPT))
        topics.EPISODE_STATUS.with_depth(KEPT).subscription(self, self.statuses.append)
        topics.ROBOT_STATE.with_depth(KEPT).subscription(self, self.states.append)
        topics.CHUNK_REPORT.with_depth(KEPT).subscription(self, self.reports.append)
        services = (topics.ROBOT_RESET, topics.ROBOT_SHADOW, topics.ROBOT_ARM)
        self.robot = {service.name: service.client(self) for service in services}
        self.reset_episode = topics.RESET_EPISODE.client(self)
        self.execute_task = topics.EXECUTE_TASK.client(self)

    def _on_command(self, message: Any) -> None:
        now = time.time_ns()
        self.commands.append((to_nanoseconds(message.header.stamp) if hasattr(message, "header") else now, now))


class StandInGraph:
    """Driver, bridge, policy and planner, and a recorder where one is asked for; from ``running_graph``."""

    def __init__(self, config: RealConfig, folder: Path) -> None:
        """Raises: ExecutableNotFound: the workspace is not built. OSError: a process does not start."""
        at = RunFolder.open(folder)
        graph = simulation_graph(config, at.path)
        self._folder = at.path
        specs = [
            node_process(spec, at.parameters, graph.environment, at.logs / f"{spec.name}.log")
            for spec in (*graph.drivers, *graph.nodes)
        ]
        self.operator = Operator(config.robot)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.operator)
        self._managed = [ManagedNode(self.operator, spec.name) for spec in graph.nodes]
        self.processes: dict[str, ChildProcess] = {}
        self._start(specs)

    def _start(self, specs: Sequence[ProcessSpec]) -> None:
        """Where one does not start, those before it are ended."""
        try:
            for spec in specs:
                self.processes[spec.name] = ChildProcess(spec)
        except BaseException:
            self.close()
            raise

    @property
    def rate(self) -> float:
        """Control steps a second."""
        return self.operator.rate

    @property
    def bag(self) -> Path:
        """Folder of the recorder's bag."""
        return self._folder / BAG

    def bring_up(self) -> None:
        """Raises: RuntimeError: a node does not come up."""
        for managed in self._managed:
            self.wait(managed.is_there, f"node {managed.name}", COMES_UP)
        for transition in (CONFIGURE, ACTIVATE):
            for managed in self._managed:
                answer = managed.request(transition)
                self.wait(answer.done, f"lifecycle transition {transition} of {managed.name}", COMES_UP)
                if not answer.result().success:
                    why = self._tail(managed.name)
                    raise RuntimeError(f"{managed.name} refuses lifecycle transition {transition}:\n{why}")
        self.wait(self.operator.execute_task.server_is_ready, "the planner's action", ANSWER)

    def begin(self, init_state: int, seed: int) -> None:
        """An episode, with the robot armed. Raises: RuntimeError: it cannot be."""
        answer = self._call(self.operator.reset_episode, ResetEpisode.Request(init_state=init_state, seed=seed))
        if not answer.success:
            raise RuntimeError(f"the world cannot be reset: {answer.message}")
        episode = answer.episode
        statuses = self.operator.statuses
        self.wait(lambda: bool(statuses) and statuses[-1].episode == episode, "the new episode", ANSWER)
        self._arm()

    def _arm(self) -> None:
        """Whatever state the robot is in."""
        states, ask = self.operator.states, self.operator.robot
        asked = {
            SafetyState.FAULT: topics.ROBOT_RESET,
            SafetyState.DISABLED: topics.ROBOT_SHADOW,
            SafetyState.SHADOW: topics.ROBOT_ARM,
        }
        deadline = time.monotonic() + BECOMES_ARMED
        self.wait(lambda: bool(states), "the robot's state", ANSWER)
        while (state := SafetyState(states[-1].state)) is not SafetyState.ARMED:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the robot is not armed within {BECOMES_ARMED:g} s: {states[-1].text}")
            if state in asked:
                self._call(ask[asked[state].name], Trigger.Request())
            self._executor.spin_once(timeout_sec=TURN)

    def execute(self, until: float, meanwhile: Callable[[], None] = lambda: None) -> ExecuteTask.Result | None:
        """The task of the episode.

        Args:
            until: s of ``time.monotonic`` at which it is cancelled.
            meanwhile: called again and again.

        Returns:
            its result; None: it was cancelled.

        Raises:
            RuntimeError: a node has died, or does not answer.
        """
        sent = self.operator.execute_task.send_goal_async(ExecuteTask.Goal())
        self.wait(sent.done, "an answer to the goal", ANSWER)
        handle = sent.result()
        if not handle.accepted:
            raise RuntimeError(f"the planner does not take the task:\n{self._tail('planner')}")
        result = handle.get_result_async()
        while not result.done() and time.monotonic() < until:
            self._turn()
            meanwhile()
        if result.done():
            self._let_it_rest(result.result().result)
            return result.result().result
        self.wait(handle.cancel_goal_async().done, "an answer to the cancel request", ANSWER)
        self.wait(result.done, "the end of the task", ANSWER)
        return None

    def _let_it_rest(self, result: ExecuteTask.Result) -> None:
        """Whether the goal holds shows once what was let go has come to rest."""
        statuses, deadline = self.operator.statuses, time.monotonic() + COMES_TO_REST
        while result.success and time.monotonic() < deadline:
            newest = statuses[-1]
            if newest.done or newest.hold_kind == HoldKind.WAITING_FOR_A_SUBSTEP:
                return
            self._turn()

    def wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Raises: RuntimeError: a process has died, or it takes longer."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} has not come within {seconds:g} s; logs: {self._folder / 'logs'}")
            self._turn()

    def _call(self, client: Any, request: Any) -> Any:
        self.wait(client.service_is_ready, f"service {client.srv_name}", ANSWER)
        answer = client.call_async(request)
        self.wait(answer.done, f"an answer of {client.srv_name}", ANSWER)
        return answer.result()

    def _turn(self) -> None:
        self._executor.spin_once(timeout_sec=TURN)
        for name, process in self.processes.items():
            if process.exit_code is not None:
                raise RuntimeError(f"{name} {describe_exit(process.exit_code)}:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return "\n".join(self.processes[name].log_tail(TAIL))

    def finish_bag(self) -> None:
        """The recorder closes its bag. Raises: RuntimeError: it does not answer."""
        (recorder,) = (managed for managed in self._managed if managed.name == RECORDER)
        state = recorder.ask_state()
        self.wait(state.done, "the recorder's state", ANSWER)
        answer = recorder.request(SHUTDOWN[state.result().current_state.id])
        self.wait(answer.done, "the recorder's end", ANSWER)

    def close(self) -> None:
        """The bridge stops the arm before it ends."""
        for process in self.processes.values():
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + COMES_TO_REST
        while any(process.exit_code is None for process in self.processes.values()) and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=TURN)
        for process in self.processes.values():
            process.kill_group()
            process.reap()
            process.close()
        self._executor.shutdown()
        self.operator.destroy_node()


@contextlib.contextmanager
def running_graph(config: RealConfig, folder: Path) -> Iterator[StandInGraph]:
    """A graph that is up, in the ROS domain of this process's environment.

    Raises:
        RuntimeError: a node does not come up.
        ExecutableNotFound: the workspace is not built.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is KeyboardInterrupt here
    try:
        with contextlib.closing(StandInGraph(config, folder)) as graph:
            graph.bring_up()
            yield graph
    finally:
        rclpy.try_shutdown()


def parameter_file(folder: Path, nodes: Mapping[str, Mapping[str, Any]]) -> Path:
    """A ROS parameter file with these parameters of nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {f"/**/{name}": {"ros__parameters": dict(values)} for name, values in nodes.items()}
    file = folder / "told.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def idle_share(statuses: list[EpisodeStatus]) -> float:
    """Share of the time with a substep to carry out in which no chunk was there."""
    lasted: Counter[HoldKind] = Counter()  # ns; of two words on one instant the last one counts
    for status, next_one in pairwise(statuses):
        lasted[HoldKind(status.hold_kind)] += to_nanoseconds(next_one.header.stamp) - to_nanoseconds(
            status.header.stamp
        )
    return lasted[HoldKind.WAITING_FOR_A_CHUNK] / max(1, sum(lasted[hold] for hold in BUSY))
