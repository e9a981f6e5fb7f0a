"""Lifecycle node ``policy``: answers each chunk_request with one action_chunk, and name_substep with words."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.wait_for_message import wait_for_message
from std_msgs.msg import String
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRequest, ChunkTiming, EpisodeStatus
from substep_interfaces.srv import NameSubstep

from substep_core import chunk_timing
from substep_core.configuration import told
from substep_core.contract import RobotContract, contract_from_text
from substep_core.keys import IssuedSubstep, RequestKey, SubstepKey
from substep_core.language.skills import skills_to_text
from substep_core.latest_only_worker import LatestOnlyWorker
from substep_core.observation_sync import ObservationSync
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import chunk_to_message, refusal_to_message, stamp_of_serialized, to_nanoseconds, to_time
from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import BadParameter
from substep_policy.diagnostics import LatencyLog, inference_status
from substep_policy.loading import SuiteStatistics, load_policy
from substep_policy.parameters import declare, policy_settings, stuck_settings
from substep_policy.policy import Policy, SubstepNamer, taught_skills, why_not_guided
from substep_policy.registry import POLICIES, PolicyRegistry
from substep_policy.request_answering import RequestAnswering
from substep_policy.session.request_matcher import RequestMatcher, Work
from substep_policy.session.substep_naming import ENDED, NamingAnswer, SubstepNaming


class PolicyFault(RuntimeError):
    """The policy raised something that is no answer to a bad input; the node cannot go on."""


class PolicyNode(GraphNode):
    """Parameters, topics and lifecycle around a policy; inference runs in worker threads.

    Configure loads the policy. Activate hears the robot contract and refuses a robot that the policy does not fit.

    Args:
        registry: where policies come from.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, registry: PolicyRegistry = POLICIES, **node_options) -> None:
        super().__init__("policy", **node_options)
        self._registry = registry
        declare(self.parameters)
        self._policy: Policy | None = None
        self._answering: RequestAnswering | None = None
        self._robot: RobotContract | None = None  # as the policy was activated for
        self._contract = ""  # newest robot_contract
        self._timing: chunk_timing.ChunkTiming | None = None  # newest chunk_timing
        self._suite = ""  # of the world's newest episode
        self._episode: int | None = None  # its number
        self._latencies = LatencyLog()
        self._worker: LatestOnlyWorker[Work] | None = None
        self._naming: SubstepNaming | None = None
        self._active_substep = ActiveSubstep()
        self._sensors: list[Subscription] = []
        self._fault: Exception | None = None
        self._fault_raised = self.create_guard_condition(self._raise_fault)

    # --- lifecycle ---

    def configure(self) -> None:
        value = self.parameters.value
        policy, settings = value("policy"), policy_settings(self.parameters)
        self._stuck, self._added_latency = stuck_settings(self.parameters), value("added_latency")
        try:
            asked = policy, settings, value("suite"), self._registry
            self._policy = load_policy(*asked, value("must_name_substeps"))
            self._statistics = SuiteStatistics(self._policy, *asked)
        except ValueError as error:
            raise BadParameter(f"parameter policy: {told(error)}") from error
        except Exception as error:
            fault = f"loading {policy!r} failed: {type(error).__name__}: {error}"
            raise RuntimeError(f"parameter policy: {fault}") from error
        self._latencies = LatencyLog()
        self._chunks = self.advertise(topics.ACTION_CHUNK)
        self._refusals = self.advertise(topics.CHUNK_REFUSAL)
        self._skills = self.advertise(topics.POLICY_SKILLS)
        self.subscribe(topics.ROBOT_CONTRACT, self._on_contract)
        self.subscribe(topics.CHUNK_TIMING, self._on_timing)
        self.subscribe(topics.EPISODE_STATUS, self._on_episode)
        self.subscribe(topics.CHUNK_REQUEST, self._on_request)
        self.subscribe(topics.ACTIVE_SUBSTEP, self._on_substep)
        if isinstance(self._policy, SubstepNamer):
            self.serve(topics.NAME_SUBSTEP, self._on_name_substep, ReentrantCallbackGroup())
        self.say(f"policy {self._policy.name} is loaded")

    def activate(self) -> None:
        robot = self._robot_heard()
        self._answering, self._robot = RequestAnswering(self._policy, robot, self._stuck), robot
        if self._timing is not None:
            self._look_at_timing()
        self._sync = ObservationSync(self._answering.topics)
        self._matcher = RequestMatcher(self._sync, self._episode)
        self._tell_substep()
        self._answer: tuple[RequestKey, ActionChunk] | None = None
        self._failure: ChunkRefused | None = None
        self._worker = LatestOnlyWorker(self._work, self._worker_failed, "inference")
        if isinstance(self._policy, SubstepNamer):
            self._naming = SubstepNaming(self._words, self._worker_failed)
        self._sensors = [self._subscribe(topic) for topic in self._answering.topics.values()]
        self._skills.publish(String(data=skills_to_text(taught_skills(self._policy))))

    def deactivate(self) -> None:
        for subscription in self._sensors:
            self.destroy_subscription(subscription)
        self._sensors = []
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        if self._naming is not None:
            self._naming.stop()
            self._naming = None

    def release(self) -> None:
        self._policy = self._answering = self._robot = self._statistics = None
        self._contract = self._suite = ""
        self._timing = None
        self._episode = None

    def _subscribe(self, topic: topics.Topic) -> Subscription:
        """Raw: of the images of a chunk's eight steps one is looked at, and only that one is deserialised."""

        def receive(data: bytes) -> None:
            if self.is_active:
                self._submit(self._matcher.observe(topic.name, stamp_of_serialized(data), data))
                if self._naming is not None and self._naming.is_asked and (newest := self._sync.newest()):
                    self._naming.observe(newest)

        return topic.subscription(self, receive, raw=True)

    # --- the robot ---

    def _on_contract(self, message: String) -> None:
        self._contract = message.data

    def _on_timing(self, message: ChunkTiming) -> None:
        fields = message.joining, message.asks_ahead, message.needs_guidance, message.inference_time
        self._timing = chunk_timing.ChunkTiming(*fields)
        if self.is_active:  # it came late: what cannot be joined is refused when it is asked for
            try:
                self._look_at_timing()
            except ValueError as error:
                self.complain(str(error))

    def _look_at_timing(self) -> None:
        """Raises: ValueError: the policy's chunks cannot be joined as the bridge does it."""
        timing, policy = self._timing, self._policy
        short = timing.shortfall(policy.horizon, self._robot.rate)
        if timing.needs_guidance:
            if why := why_not_guided(policy) or short:
                raise ValueError(
                    f"the bridge joins chunks by {timing.joining}, which policy {policy.name} does not fit: {why}; or "
                    "another joining of the bridge"
                )
        elif short:
            self.warn(f"policy {policy.name}: {short}")

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._suite, self._episode = message.suite, message.episode
        if self.is_active:
            self._submit(self._matcher.set_episode(message.episode))

    def _robot_heard(self) -> RobotContract:
        """The robot that is there. Raises: ValueError: there is none."""
        topic = topics.ROBOT_CONTRACT
        if not self._contract:
            wait = self.parameters.value("contract_timeout")
            heard, message = wait_for_message(topic.type, self, topic.name, qos_profile=topic.qos, time_to_wait=wait)
            if not heard:
                raise ValueError(f"no {topic.name} was heard within {wait:g} s: is a bridge active in this namespace?")
            self._contract = message.data
        return contract_from_text(self._contract, topic.name)

    # --- requests ---

    def _on_substep(self, message: ActiveSubstep) -> None:
        self._active_substep = message  # latched: it may come before activation and is not sent again
        if self.is_active:
            self._tell_substep()

    def _tell_substep(self) -> None:
        message = self._active_substep
        key = SubstepKey(message.plan_id, message.index, message.attempt)
        substep = IssuedSubstep(key, message.instruction, message.task, message.back_off)
        self._submit(self._matcher.set_substep(substep))

    def _on_request(self, message: ChunkRequest) -> None:
        if not self.is_active:
            return
        key = _key(message)
        if self._answer is not None and self._answer[0] == key:
            self._chunks.publish(self._answer[1])
            return
        self._submit(self._matcher.request(key, message))

    def _submit(self, work: Work | None) -> None:
        if work is not None:
            self._worker.put(work)

    async def _on_name_substep(
        self, request: NameSubstep.Request, response: NameSubstep.Response
    ) -> NameSubstep.Response:
        """Answered once the policy has spoken; other messages are heard meanwhile."""
        answer, model = NamingAnswer(why_not=ENDED), self._policy.name
        if self._naming is not None:
            future = Future(executor=self.executor)
            future.add_done_callback(lambda _: None)  # without one the executor would sleep on
            self._naming.ask(request.task, future.set_result, self._sync.newest())
            answer = await future
        return naming_to_message(answer, model)

    def _words(self, task: str, messages: Mapping[str, bytes]) -> NamingAnswer:
        """In the naming thread. Raises: ValueError: there are none."""
        self._statistics.follow(self._suite)
        return self._answering.words(task, messages)

    # --- the worker's thread ---

    def _work(self, work: Work) -> None:
        try:
            message = self._answer_to(work)
        except ChunkRefused as refused:
            self._failure = refused
            self.complain(f"no chunk for {work.substep.instruction!r}: {refused}")
            if self.is_active:
                self._refusals.publish(refusal_to_message(work.request, refused.reason))
            self.publish_diagnostics()
            return
        self._failure = None
        self._answer = (work.key, message)
        if self.is_active and self._matcher.is_newest(work.key):
            self._chunks.publish(message)

    def _answer_to(self, work: Work) -> ActionChunk:
        """Raises: ChunkRefused: a message is malformed, the policy cannot carry out the substep, or the like."""
        begin = time.perf_counter()
        with refusing(RefusalKind.CONTRACT):
            robot = contract_from_text(self._contract, topics.ROBOT_CONTRACT.name)
        if robot != self._robot:
            why = "the robot contract has changed: deactivate the policy and activate it again"
            raise ChunkRefused(RefusalKind.CONTRACT, why)
        with refusing(RefusalKind.OTHER):
            self._statistics.follow(self._suite)
        chunk = self._answering.chunk(work)
        time.sleep(self._added_latency)
        latency = time.perf_counter() - begin
        self._latencies.add(latency)
        return chunk_to_message(chunk, work.request, self._policy.name, latency)

    def _worker_failed(self, error: Exception) -> None:
        self._fault = error
        self._fault_raised.trigger()

    def _raise_fault(self) -> None:
        self.publish_diagnostics()
        error = self._fault
        raise PolicyFault(f"policy {self._policy.name} failed: {type(error).__name__}: {error}") from error

    # --- diagnostics ---

    def diagnostics(self) -> list[DiagnosticStatus]:
        level, message = DiagnosticStatus.OK, "ok"
        if (error := self._fault) is not None:
            level, message = DiagnosticStatus.ERROR, f"the policy failed: {type(error).__name__}: {error}"
        elif self._failure is not None:
            level, message = DiagnosticStatus.ERROR, str(self._failure)
        elif lacks := self._matcher.waiting_for():
            level, message = DiagnosticStatus.WARN, f"a chunk request waits for {lacks}"
        return [inference_status(self.get_fully_qualified_name(), self._policy, self._latencies, level, message)]


def _key(message: ChunkRequest) -> RequestKey:
    substep = SubstepKey(message.plan_id, message.substep_index, message.attempt)
    return RequestKey(to_nanoseconds(message.header.stamp), message.episode, substep)


def naming_to_message(answer: NamingAnswer, model: str) -> NameSubstep.Response:
    if answer.named is None:
        return NameSubstep.Response(message=answer.why_not, model=model)
    return NameSubstep.Response(
        success=True,
        instruction=answer.named.text,
        probability=answer.named.probability,
        is_complete=answer.named.is_complete,
        stamp=to_time(answer.stamp),
        model=model,
    )


def main() -> int:
    logging.getLogger("substep_policy").setLevel(logging.INFO)  # what the cores have to say about a checkpoint
    return run_node(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
