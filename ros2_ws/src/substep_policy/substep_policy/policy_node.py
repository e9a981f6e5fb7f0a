"""Lifecycle node ``policy``: answers each chunk_request with one action_chunk."""

from __future__ import annotations

import logging
import traceback
from dataclasses import fields

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRequest, SceneState

from substep_policy.chunk_server import EEF_POSE, JOINT_STATES, SCENE_STATE, ChunkServer, observation_topics
from substep_policy.configuration import options_of
from substep_policy.mailbox import NewestOnlyWorker
from substep_policy.messages import to_nanoseconds
from substep_policy.node_main import run_node
from substep_policy.node_parameters import BadParameter, NodeParameters
from substep_policy.observation_sync import ObservationSync
from substep_policy.policy_diagnostics import inference_diagnostics
from substep_policy.policy_session import StuckSettings
from substep_policy.registry import DTYPES, POLICIES, PolicyRegistry, PolicySettings
from substep_policy.request_desk import IssuedSubstep, RequestDesk, RequestKey, SubstepKey, Work
from substep_policy.run_modes import Execution, Quantization

HEARTBEAT_PERIOD = 1.0  # s
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MESSAGE_TYPES = {JOINT_STATES: JointState, EEF_POSE: PoseStamped, SCENE_STATE: SceneState}


class PolicyFault(RuntimeError):
    """The policy raised something that is no answer to a bad input; the node cannot go on."""


class PolicyNode(LifecycleNode):
    """Parameters, topics and lifecycle around a ``ChunkServer``; inference runs in a worker thread.

    Args:
        registry: where policies come from.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, registry: PolicyRegistry = POLICIES, **node_options) -> None:
        super().__init__("policy", **node_options)
        self._registry = registry
        self._declared = NodeParameters(self)
        declare(self._declared)
        self._is_active = False
        self._server: ChunkServer | None = None
        self._worker: NewestOnlyWorker[Work] | None = None
        self._active_substep = ActiveSubstep()
        self._entities: list = []
        self._fault: Exception | None = None
        self._fault_raised = self.create_guard_condition(self._raise_fault)

    # --- lifecycle ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            policy = self._declared.value("policy")
            settings = _settings(self._declared)
            stuck = StuckSettings(**{item.name: self._declared.value(item.name) for item in fields(StuckSettings)})
        except BadParameter as error:
            return self._refuse(str(error))
        try:
            self._server = ChunkServer(self._registry.load(policy, settings), settings.cameras, stuck)
            self._server.warm_up()
        except ValueError as error:
            return self._refuse(f"parameter policy: {error}")
        except Exception as error:  # rclpy would swallow it; whatever a model's loading raises is a failed configure
            self.get_logger().error(traceback.format_exc())
            return self._refuse(f"parameter policy: loading {policy!r} failed: {type(error).__name__}: {error}")
        self._topics = observation_topics(self._server.policy, settings.cameras)
        self._create_entities()
        self.get_logger().info(f"policy {self._server.policy.name} is loaded")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._desk = RequestDesk(ObservationSync(self._topics))
        self._tell_substep()
        self._answer: tuple[RequestKey, ActionChunk] | None = None
        self._failure: tuple[RequestKey, str] | None = None
        self._worker = NewestOnlyWorker(self._work, self._worker_failed, "inference")
        self._is_active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        self._stop()
        super().destroy_node()

    def _refuse(self, why: str) -> TransitionCallbackReturn:
        self._server = None
        self.get_logger().error(f"configure failed: {why}")
        return TransitionCallbackReturn.FAILURE

    def _create_entities(self) -> None:
        self._chunks = self.create_lifecycle_publisher(ActionChunk, "action_chunk", RELIABLE)
        self._diagnostics = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 10)
        subscriptions = [
            self.create_subscription(ChunkRequest, "chunk_request", self._on_request, RELIABLE),
            self.create_subscription(ActiveSubstep, "active_substep", self._on_substep, LATCHED),
        ]
        for topic in self._topics:
            subscriptions.append(self._subscribe(topic))
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # beats on when simulated time stands still
        timer = self.create_timer(HEARTBEAT_PERIOD, self._publish_diagnostics, clock=steady)
        self._entities = [(self.destroy_subscription, item) for item in subscriptions]
        self._entities += [(self.destroy_timer, timer)]
        self._entities += [(self.destroy_lifecycle_publisher, item) for item in (self._chunks, self._diagnostics)]

    def _subscribe(self, topic: str):
        def receive(message) -> None:
            if self._is_active:
                self._submit(self._desk.observe(topic, to_nanoseconds(message.header.stamp), message))

        return self.create_subscription(MESSAGE_TYPES.get(topic, Image), topic, receive, qos_profile_sensor_data)

    def _stop(self) -> None:
        self._is_active = False
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _release(self) -> None:
        self._stop()
        for destroy, entity in self._entities:
            destroy(entity)
        self._entities = []
        self._server = None

    # --- requests ---

    def _on_substep(self, message: ActiveSubstep) -> None:
        self._active_substep = message  # latched: it may come before activation and is not sent again
        if self._is_active:
            self._tell_substep()

    def _tell_substep(self) -> None:
        message = self._active_substep
        key = SubstepKey(message.plan_id, message.index, message.attempt)
        substep = IssuedSubstep(key, message.instruction, message.task, message.back_off)
        self._submit(self._desk.set_substep(substep))

    def _on_request(self, message: ChunkRequest) -> None:
        if not self._is_active:
            return
        key = _key(message)
        if self._answer is not None and self._answer[0] == key:
            self._chunks.publish(self._answer[1])
            return
        self._submit(self._desk.request(key, message))

    def _submit(self, work: Work | None) -> None:
        if work is not None:
            self._worker.put(work)

    # --- the worker's thread ---

    def _work(self, work: Work) -> None:
        try:
            message = self._server.answer(work)
        except ValueError as error:
            self._failure = (work.key, str(error))
            self.get_logger().error(f"no chunk for {work.substep.instruction!r}: {error}")
            self._publish_diagnostics()
            return
        self._failure = None
        self._answer = (work.key, message)
        if self._is_active and self._desk.is_newest(work.key):
            self._chunks.publish(message)

    def _worker_failed(self, error: Exception) -> None:
        self._fault = error
        self._fault_raised.trigger()

    def _raise_fault(self) -> None:
        error = self._fault
        self._publish(DiagnosticStatus.ERROR, f"the policy failed: {type(error).__name__}: {error}")
        raise PolicyFault(f"policy {self._server.policy.name} failed: {type(error).__name__}: {error}") from error

    # --- diagnostics ---

    def _publish_diagnostics(self) -> None:
        if not self._is_active:
            return
        if self._failure is not None:
            key, why = self._failure
            self._publish(DiagnosticStatus.ERROR, why, key.substep)
        elif lacks := self._desk.waiting_for():
            self._publish(DiagnosticStatus.WARN, f"a chunk request waits for {lacks}")
        else:
            self._publish(DiagnosticStatus.OK, "ok")

    def _publish(self, level: bytes, message: str, substep: SubstepKey | None = None) -> None:
        stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name()
        self._diagnostics.publish(inference_diagnostics(name, stamp, self._server, level, message, substep))


def _key(message: ChunkRequest) -> RequestKey:
    substep = SubstepKey(message.plan_id, message.substep_index, message.attempt)
    return RequestKey(to_nanoseconds(message.header.stamp), message.episode, substep)


def declare(parameters: NodeParameters) -> None:
    """Declare every parameter of the policy."""
    parameters.declare("policy", "demonstrator", "a policy's name, the folder of a checkpoint, or a hub id")
    parameters.declare("device", "auto", "where the model runs: auto, cpu, cuda or cuda:N")
    parameters.declare("dtype", "auto", "number type of the model's weights", choices=DTYPES)
    parameters.declare(
        "quantization", "none", "numbers that a large model's linear layers are kept in", choices=tuple(Quantization)
    )
    parameters.declare("execution", "eager", "how a large model's network is carried out", choices=tuple(Execution))
    parameters.declare(
        "eos_threshold",
        -1.0,
        "EOS probability that ends a substep; negative: the checkpoint's own",
        bounds=(-1.0, 1.0),
    )
    parameters.declare(
        "dataset", "", "whose statistics a checkpoint works with, by name; empty: those of the only data set it has"
    )
    parameters.declare("seed", 0, "of what the policy draws at random", bounds=(0, 2**31 - 1))
    for option in options_of(StuckSettings):
        parameters.declare(option.name, option.default, option.description, bounds=option.bounds)
    parameters.declare("cameras", ["agentview", "eye_in_hand"], "cameras whose images the policy gets; ['']: none")


def _settings(parameters: NodeParameters) -> PolicySettings:
    threshold = parameters.value("eos_threshold")
    try:
        return PolicySettings(
            device=parameters.value("device"),
            dtype=parameters.value("dtype"),
            quantization=Quantization(parameters.value("quantization")),
            execution=Execution(parameters.value("execution")),
            eos_threshold=None if threshold < 0.0 else threshold,
            dataset=parameters.value("dataset") or None,
            seed=parameters.value("seed"),
            cameras=tuple(camera for camera in parameters.value("cameras") if camera),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter {error}") from error


def main() -> int:
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("substep_policy").setLevel(logging.INFO)  # what the cores have to say about a checkpoint
    return run_node(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
