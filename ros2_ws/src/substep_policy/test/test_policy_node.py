"""The policy node against a scripted bridge and planner, over real topics."""

from __future__ import annotations

import gc
import queue
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String
from substep_interfaces.msg import (
    ActionChunk,
    ActiveSubstep,
    ChunkRefusal,
    ChunkRequest,
    ChunkTiming,
    EpisodeStatus,
)
from substep_interfaces.srv import NameSubstep

from substep_core.chunk import Chunk
from substep_core.contract import Joints, RobotContract, contract_to_text, load_robot
from substep_core.named_substep import NamedSubstep
from substep_core.registry import Registry
from substep_core.ros import topics
from substep_core.ros.messages import image_to_message, joint_state_to_message, to_nanoseconds, to_time
from substep_core.ros.parameters import BadParameter
from substep_core.ros.scene_messages import pose_to_message
from substep_policy.models.kind import ModelKind
from substep_policy.node import PolicyFault, PolicyNode
from substep_policy.registry import PolicyRegistry, PolicySettings
from substep_policy.session.policy_session import StuckSettings

HALF = np.pi / np.sqrt(2)  # the hand's frame is turned by 90 degrees about z against the grip site's
PATIENCE = 20.0  # s, for what must come
CAMERAS = ("agentview", "eye_in_hand")
ROBOT = load_robot("libero_panda")
JOINTS = {"robot0_joint1": 1.0, "gripper0_finger_joint1": 0.04, "gripper0_finger_joint2": -0.04}


class ScriptedPolicy:
    """Answers with two actions; the first value counts the chunks since ``start_substep``, in hundredths.

    "refuse …" raises ValueError, "crash …" RuntimeError, "wait …" waits until ``go`` is released.
    """

    robot = None
    cameras = CAMERAS
    horizon = 2
    requires_scene = False
    robot, cameras, horizon = ROBOT, CAMERAS, 2
    device = "cpu"
    dtype = "float64"
    name = "scripted"

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self.started: list[tuple[str, str]] = []
        self.observations = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        LOADED.append(self)

    def start_substep(self, instruction: str, task: str) -> None:
        self.chunks = 0
        self.started.append((instruction, task))
        if instruction.startswith("refuse"):
            raise ValueError(f"cannot carry out {instruction!r}")

    def predict(self, observation):
        self.observations.append(observation)
        instruction = self.started[-1][0]
        self.entered.release()
        if instruction.startswith("crash"):
            raise RuntimeError("out of memory")
        if instruction.startswith("wait"):
            assert self.go.acquire(timeout=PATIENCE)
        self.chunks += 1
        actions = np.zeros((2, 7), np.float32)
        actions[0, 0] = self.chunks / 100
        return Chunk(actions, np.array([0.1, 0.9, 0.2], np.float32), eos_index=1)


class NamingPolicy(ScriptedPolicy):
    """Names what the wrist camera shows."""

    name = "naming"

    def next_substep(self, observation, task):
        if task == "refuse":
            raise ValueError("the prompt is too long")
        return NamedSubstep(f"{task}: {observation.images['eye_in_hand'][0, 0, 0]}", 0.5, True)


class TaughtPolicy(ScriptedPolicy):
    """Knows what it was taught."""

    name, skills = "taught", ("pick up", "place")


class GuidedPolicy(ScriptedPolicy):
    """Its chunks can go on from the last one."""

    name, why_not_guided = "guided", ""

    def go_on(self, observation, left_over):
        self.left_over = left_over
        return self.predict(observation)


class SuitePolicy(NamingPolicy):
    """Of a checkpoint with statistics of several suites."""

    name = "suites"

    def use_dataset(self, dataset: str | None) -> None:
        if dataset is None:
            raise ValueError("none is of the suite that is run")
        self.used = dataset


def load_broken(settings):
    raise OSError("weights.safetensors is cut short")


def load_blind(settings):
    policy = ScriptedPolicy(settings)
    policy.start_substep = lambda instruction, task: None
    policy.predict = _demand_wrist_camera
    return policy


def _demand_wrist_camera(observation):
    raise ValueError("no image of camera 'wrist'")


LOADED: list[ScriptedPolicy] = []
REGISTRY = PolicyRegistry(
    named=Registry(
        "policy",
        "",
        {
            "scripted": ScriptedPolicy,
            "naming": NamingPolicy,
            "guided": GuidedPolicy,
            "taught": TaughtPolicy,
            "broken": load_broken,
            "blind": load_blind,
        },
    ),
    kinds=Registry("model kind", "", {"suites": ModelKind(dict, dict, lambda folder, told: SuitePolicy(told), str)}),
)


class ScriptedWorld:
    """Bridge and planner as the policy node sees them, and the node itself, on one executor in a thread."""

    def __init__(self, robot: RobotContract | None = ROBOT, timing: ChunkTiming | None = None, **parameters) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in {"policy": "scripted", **parameters}.items()]
        self.policy_node = PolicyNode(REGISTRY, context=self.context, parameter_overrides=overrides)
        self.node = rclpy.create_node("scripted_world", context=self.context)
        self.chunks: queue.Queue[ActionChunk] = queue.Queue()
        self.refusals: queue.Queue[ChunkRefusal] = queue.Queue()
        self.skills: queue.Queue[String] = queue.Queue()
        self.diagnostics: queue.Queue[DiagnosticStatus] = queue.Queue()
        self.log: queue.Queue[str] = queue.Queue()
        self._create_entities(robot, timing)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.policy_node)
        self.executor.add_node(self.node)
        self.fault: queue.Queue[Exception] = queue.Queue()
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _create_entities(self, robot: RobotContract | None, timing: ChunkTiming | None) -> None:
        node = self.node
        topics.ACTION_CHUNK.subscription(node, self.chunks.put)
        topics.CHUNK_REFUSAL.subscription(node, self.refusals.put)
        topics.POLICY_SKILLS.subscription(node, self.skills.put)
        topics.DIAGNOSTICS.subscription(node, self._on_diagnostics)
        self.change_state = node.create_client(ChangeState, "policy/change_state")
        self.get_state = node.create_client(GetState, "policy/get_state")
        self.name_substep = topics.NAME_SUBSTEP.client(node)
        self.requests = topics.CHUNK_REQUEST.publisher(node)
        self.statuses = topics.EPISODE_STATUS.publisher(node)
        self.substeps = topics.ACTIVE_SUBSTEP.publisher(node)
        self.timings = topics.CHUNK_TIMING.publisher(node)
        if timing is not None:
            self.timings.publish(timing)
        self.contracts = topics.ROBOT_CONTRACT.publisher(node)
        if robot is not None:
            self.contracts.publish(String(data=contract_to_text(robot)))
        self.joint_states = topics.JOINT_STATES.publisher(node)
        self.eef_pose = topics.EEF_POSE.publisher(node)
        self.images = {camera: topics.camera_image(camera).publisher(node) for camera in CAMERAS}

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except rclpy.executors.ExternalShutdownException:
            pass
        except PolicyFault as error:
            self.fault.put(error)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics.put(status)

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.policy_node.destroy_node()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        self.context.destroy()
        vars(self).clear()
        gc.collect()  # rclpy's participant, and with it the node's services, live as long as reference cycles hold it

    def call(self, client, request):
        assert client.wait_for_service(PATIENCE)
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE)
        return future.result()

    def transition(self, transition: int) -> bool:
        return self.call(self.change_state, ChangeState.Request(transition=Transition(id=transition))).success

    def state(self) -> int:
        return self.call(self.get_state, GetState.Request()).current_state.id

    def activate(self) -> ScriptedWorld:
        assert self.transition(Transition.TRANSITION_CONFIGURE)
        assert self.transition(Transition.TRANSITION_ACTIVATE)
        self.wait_for_subscribers()
        return self

    def wait_for_subscribers(self) -> None:
        publishers = [
            self.requests,
            self.substeps,
            self.statuses,
            self.joint_states,
            self.eef_pose,
            *self.images.values(),
        ]
        changed = threading.Event()
        timer = self.node.create_timer(0.01, changed.set)
        while not all(publisher.get_subscription_count() for publisher in publishers):
            changed.clear()
            assert changed.wait(PATIENCE)
        self.node.destroy_timer(timer)

    def wait_for_timing(self) -> None:
        """Latched, so that it comes with the subscription."""
        changed = threading.Event()
        timer = self.node.create_timer(0.01, changed.set)
        while self.policy_node._timing is None:
            changed.clear()
            assert changed.wait(PATIENCE)
        self.node.destroy_timer(timer)

    def set_substep(
        self, plan="p", index=0, attempt=0, instruction="pick up the bowl", task="the task", back_off=False
    ) -> None:
        self.substeps.publish(
            ActiveSubstep(
                plan_id=plan, index=index, attempt=attempt, instruction=instruction, task=task, back_off=back_off
            )
        )

    def observe(self, stamp: int, skip=()) -> None:
        if "joint_states" not in skip:
            self.joint_states.publish(joint_state_to_message(Joints(JOINTS), to_time(stamp)))
        pose = PoseStamped(pose=pose_to_message((0.1, 0.2, 0.3), (1.0, 0.0, 0.0, 0.0)))
        pose.header.stamp = to_time(stamp)
        self.eef_pose.publish(pose)
        for value, camera in enumerate(CAMERAS):
            image = np.full((16, 16, 3), 100 + value, np.uint8)
            self.images[camera].publish(image_to_message(image, to_time(stamp), camera))

    def request(self, stamp: int, episode=1, plan="p", index=0, attempt=0, gripper=-1.0, left_over=(), delay=0) -> None:
        message = ChunkRequest(episode=episode, plan_id=plan, substep_index=index, attempt=attempt, delay=delay)
        message.left_over = list(left_over)
        message.held_action = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, gripper]
        message.header.stamp = to_time(stamp)
        self.requests.publish(message)

    def ask(self, stamp: int, **which) -> ActionChunk:
        self.observe(stamp)
        self.request(stamp, **which)
        return self.chunks.get(timeout=PATIENCE)

    def diagnostic(self, level: bytes) -> DiagnosticStatus:
        while True:
            status = self.diagnostics.get(timeout=PATIENCE)
            if status.level == level:
                return status


@pytest.fixture
def world(request):
    LOADED.clear()
    built = ScriptedWorld(**getattr(request, "param", {}))
    yield built
    built.close()


def test_a_request_is_answered_by_one_chunk_that_carries_its_identity(world):
    world.activate()
    world.set_substep(plan="plan-7", index=2, attempt=1)
    chunk = world.ask(150_000_000, episode=3, plan="plan-7", index=2, attempt=1)
    assert (chunk.header.stamp.nanosec, chunk.episode) == (150_000_000, 3)
    assert (chunk.plan_id, chunk.substep_index, chunk.attempt) == ("plan-7", 2, 1)
    assert (chunk.horizon, chunk.action_dim, len(chunk.actions), chunk.eos_index) == (2, 7, 14, 1)
    np.testing.assert_allclose(chunk.eos_probabilities, [0.1, 0.9, 0.2], rtol=1e-6)
    assert chunk.model == "scripted" and chunk.inference_time > 0.0
    policy = LOADED[0]
    assert policy.started == [("warm up", "warm up"), ("pick up the bowl", "the task")]
    seen = policy.observations[-1]
    assert {name: int(image[0, 0, 0]) for name, image in seen.images.items()} == {"agentview": 100, "eye_in_hand": 101}
    np.testing.assert_allclose(seen.proprio, [0.1, 0.2, 0.3, HALF, -HALF, 0, 0.04, -0.04], rtol=1e-6)


@pytest.mark.parametrize("world", [{"added_latency": 0.3}], indirect=True)
def test_a_chunk_comes_later_by_the_latency_that_is_added(world):
    world.activate()
    world.set_substep()
    begun = time.monotonic()
    chunk = world.ask(1)
    assert time.monotonic() - begun >= 0.3 and chunk.inference_time >= 0.3


def test_the_same_request_again_gets_the_same_chunk_without_another_inference(world):
    world.activate()
    world.set_substep()
    first = world.ask(1)
    assert world.ask(1) == first
    assert world.ask(2) != first
    assert len(LOADED[0].observations) == 3  # the warm-up's and two


def test_the_order_of_arrival_does_not_matter(world):
    world.activate()
    world.request(5)
    world.observe(5)
    world.set_substep()
    assert world.chunks.get(timeout=PATIENCE).header.stamp.nanosec == 5


def test_a_substep_starts_once_until_plan_index_attempt_or_episode_change(world):
    world.activate()
    world.set_substep()
    starts = [world.ask(stamp).actions[0] for stamp in (1, 2)]
    np.testing.assert_allclose(starts, [0.01, 0.02])
    world.set_substep(attempt=1)
    np.testing.assert_allclose(world.ask(3, attempt=1).actions[0], 0.01)
    np.testing.assert_allclose(world.ask(4, attempt=1, episode=2).actions[0], 0.01)


@pytest.fixture
def checkpoint_of_suites(tmp_path) -> str:
    (tmp_path / "config.json").write_text('{"model_type": "suites"}')
    (tmp_path / "dataset_statistics.json").write_text('{"libero_goal_no_noops": {}, "libero_10": {}}')
    return str(tmp_path)


def test_a_reset_to_another_suite_chooses_that_suites_statistics(world, checkpoint_of_suites):
    told = {"policy": checkpoint_of_suites, "suite": "libero_10"}
    world.policy_node.set_parameters([Parameter(name, value=value) for name, value in told.items()])
    world.activate()
    policy = LOADED[0]
    assert policy.settings.dataset == "libero_10"
    policy.used = None
    world.set_substep()
    world.ask(1)
    world.statuses.publish(EpisodeStatus(episode=1, suite="libero_goal"))
    stamps = iter(range(2, 1000))
    while policy.used is None:  # until the status is heard
        world.ask(next(stamps))
    assert policy.used == "libero_goal_no_noops"
    world.observe(1001)
    world.request(1001, episode=2)  # overtakes the status of its episode
    assert world.diagnostic(DiagnosticStatus.WARN).message == "a chunk request waits for episode_status"
    world.statuses.publish(EpisodeStatus(episode=2, suite="libero_10"))
    world.chunks.get(timeout=PATIENCE)
    assert policy.used == "libero_10"
    world.statuses.publish(EpisodeStatus(episode=3, suite="kitchens"))
    world.observe(1002)
    world.request(1002, episode=3)
    refusal = world.refusals.get(timeout=PATIENCE)
    assert (refusal.kind, refusal.reason) == (ChunkRefusal.OTHER, "none is of the suite that is run")
    question = NameSubstep.Request(task="tidy up")
    refused = world.call(world.name_substep, question)
    assert (refused.success, refused.message) == (False, "none is of the suite that is run")
    world.statuses.publish(EpisodeStatus(episode=4, suite="libero_goal"))
    while not world.call(world.name_substep, question).success:  # until the status is heard
        pass
    assert policy.used == "libero_goal_no_noops", "words come before the first chunk"


def test_a_contract_that_is_none_is_a_refusal_and_the_node_goes_on(world):
    """Anybody may publish it."""
    world.activate()
    world.set_substep()
    world.ask(1)
    world.contracts.publish(String(data="["))
    stamps = iter(range(2, 1000))
    while world.refusals.empty():
        world.observe(stamp := next(stamps))
        world.request(stamp)
        world.call(world.get_state, GetState.Request())
    refusal = world.refusals.get(timeout=PATIENCE)
    assert refusal.kind == ChunkRefusal.CONTRACT and "robot_contract is not YAML" in refusal.reason
    assert world.state() == State.PRIMARY_STATE_ACTIVE and world.fault.empty()


def test_what_failed_begins_with_backing_off_the_gripper_as_the_bridge_says(world):
    world.activate()
    world.set_substep(attempt=1, back_off=True)
    chunk = world.ask(1, attempt=1, gripper=1.0)
    assert len(chunk.actions) == 7 * StuckSettings().back_off_steps
    np.testing.assert_allclose(chunk.actions[:7], [0, 0, 0.6, 0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(world.ask(2, attempt=1).actions[0], 0.01)


def test_a_request_superseded_during_inference_gets_no_chunk(world):
    world.activate()
    policy = LOADED[0]
    assert policy.entered.acquire(timeout=PATIENCE)  # the warm-up
    world.set_substep(instruction="wait for it")
    world.observe(1)
    world.request(1)
    assert policy.entered.acquire(timeout=PATIENCE)
    world.set_substep(index=1, instruction="place the bowl")
    world.observe(2)
    world.request(2, index=1)
    world.call(world.get_state, GetState.Request())  # the executor has taken the request by now
    policy.go.release()
    assert world.chunks.get(timeout=PATIENCE).substep_index == 1
    assert world.chunks.empty()


def test_a_refused_substep_gives_a_refusal_an_error_in_diagnostics_and_no_chunk(world):
    world.activate()
    world.set_substep(instruction="refuse to dance")
    world.observe(1)
    world.request(1)
    refusal = world.refusals.get(timeout=PATIENCE)
    assert (refusal.kind, refusal.reason) == (ChunkRefusal.INSTRUCTION, "cannot carry out 'refuse to dance'")
    assert (refusal.plan_id, refusal.substep_index, refusal.attempt) == ("p", 0, 0)
    assert (refusal.episode, to_nanoseconds(refusal.header.stamp)) == (1, 1)
    status = world.diagnostic(DiagnosticStatus.ERROR)
    assert (status.name, status.message) == ("policy: inference", refusal.reason)
    assert world.chunks.empty()
    world.set_substep(index=1)
    assert world.ask(2, index=1).substep_index == 1  # it goes on with the next


def test_a_malformed_observation_gives_an_error_that_names_it(world):
    world.activate()
    world.set_substep()
    world.joint_states.publish(joint_state_to_message(Joints({"elbow": 0.0}), to_time(1)))
    world.observe(1, skip=("joint_states",))
    world.request(1)
    status = world.diagnostic(DiagnosticStatus.ERROR)
    assert "joint_states has no position of gripper0_finger_joint1, gripper0_finger_joint2" in status.message


def test_the_heartbeat_tells_model_device_and_latency(world):
    world.activate()
    world.set_substep()
    world.ask(1)
    values = {}
    while values.get("chunks") != "1":
        values = {item.key: item.value for item in world.diagnostic(DiagnosticStatus.OK).values}
    assert (values["model"], values["device"], values["dtype"]) == ("scripted", "cpu", "float64")
    assert float(values["memory_mib"]) > 10.0
    assert float(values["latency_median_ms"]) >= 0.0 and float(values["latency_p99_ms"]) >= 0.0


def test_a_request_without_its_observation_is_told_in_diagnostics(world):
    world.activate()
    world.set_substep()
    world.observe(1, skip=("joint_states",))
    world.request(1)
    assert world.diagnostic(DiagnosticStatus.WARN).message == "a chunk request waits for joint_states"


def test_a_crash_of_the_policy_ends_the_node_with_its_reason(world):
    world.activate()
    world.set_substep(instruction="crash now")
    world.observe(1)
    world.request(1)
    assert "scripted failed: RuntimeError: out of memory" in str(world.fault.get(timeout=PATIENCE))


def test_nothing_is_answered_unless_active_and_a_second_activation_starts_afresh(world):
    world.activate()
    world.set_substep()
    world.ask(1)
    assert world.transition(Transition.TRANSITION_DEACTIVATE)
    world.observe(2)
    world.request(2)
    assert world.transition(Transition.TRANSITION_CLEANUP)
    assert world.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert world.chunks.empty()
    world.activate()
    assert world.ask(3).header.stamp.nanosec == 3
    assert len(LOADED) == 2
    assert world.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert world.state() == State.PRIMARY_STATE_FINALIZED


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ({"policy": "telepathy"}, "unknown policy 'telepathy': expected one of blind (given here), broken"),
        ({"policy": "broken"}, "loading 'broken' failed: OSError: weights.safetensors is cut short"),
        ({"policy": "blind"}, "parameter policy: policy scripted predicts nothing for an empty picture and 8 values"),
        ({"eos_threshold": 3.0}, "parameter eos_threshold must be from -1.0 to 1.0"),
        ({"eos_threshold": float("nan")}, "parameter eos_threshold must be from -1.0 to 1.0"),
        ({"seed": -1}, "parameter seed must be from 0 to 2147483647"),
        ({"seed": "lucky"}, "parameter seed must be from 0 to 2147483647"),
        ({"device": "abacus"}, "parameter device is 'abacus', expected 'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ({"dtype": "float8"}, "parameter dtype is 'float8', expected one of auto, float32, bfloat16, float16"),
    ],
    indirect=["world"],
)
def test_a_bad_parameter_fails_configure_and_names_itself(world, expected, capfd):
    assert not world.transition(Transition.TRANSITION_CONFIGURE)
    assert world.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert expected in capfd.readouterr().err


def test_a_bad_parameter_can_be_put_right(world):
    world.policy_node.set_parameters([Parameter("policy", value="telepathy")])
    assert not world.transition(Transition.TRANSITION_CONFIGURE)
    world.policy_node.set_parameters([Parameter("policy", value="scripted")])
    assert world.transition(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize(
    ("world", "expected"),
    [({"eos_threshold": 0.25}, 0.25), ({"eos_threshold": -1.0}, None)],
    indirect=["world"],
)
def test_the_eos_threshold_reaches_the_policy(world, expected):
    world.activate()
    assert LOADED[0].settings.eos_threshold == expected


def wrist_camera_only() -> RobotContract:
    return ROBOT.with_cameras(["eye_in_hand"])


@pytest.mark.parametrize(
    ("world", "sentence"),
    [
        ({"robot": wrist_camera_only()}, "the policy needs camera 'agentview', and robot libero_panda has eye_in_hand"),
        (
            {"robot": replace(ROBOT, rate=30.0)},
            "the policy was made for 20 Hz, and robot libero_panda",
        ),
        ({"robot": replace(ROBOT, max_horizon=1)}, "the policy's chunks have 2 actions"),
        (
            {"robot": replace(ROBOT, action=(replace(ROBOT.action[0], scale=0.01), *ROBOT.action[1:]))},
            "action group 'translation': the policy needs scale 0.05, and robot libero_panda has 0.01",
        ),
    ],
    indirect=["world"],
)
def test_a_robot_that_the_policy_does_not_fit_is_refused_in_one_sentence(world, sentence, capfd):
    assert world.transition(Transition.TRANSITION_CONFIGURE)
    assert not world.transition(Transition.TRANSITION_ACTIVATE)
    assert f"activate failed: policy scripted does not fit: {sentence}" in capfd.readouterr().err
    assert world.chunks.empty()


def test_state_groups_reach_the_policy_in_its_own_order_whatever_the_robots(world):
    position, _, fingers = ROBOT.state
    ScriptedPolicy.robot = replace(ROBOT, state=(fingers, position), workspace=None)
    try:
        world.activate()
        world.set_substep()
        world.ask(1)
    finally:
        ScriptedPolicy.robot = ROBOT
    np.testing.assert_allclose(LOADED[0].observations[-1].proprio, [0.04, -0.04, 0.1, 0.2, 0.3], rtol=1e-6)


def timing(joining: str, inference_time: float = 0.0, needs_guidance: bool = False) -> ChunkTiming:
    said = {"needs_guidance": needs_guidance, "inference_time": inference_time}
    return ChunkTiming(joining=joining, asks_ahead=True, **said)


GUIDED, GUIDED_SLOWLY = (timing("real_time_chunking", seconds, True) for seconds in (0.0, 0.15))


@pytest.mark.parametrize("world", [{"policy": "guided", "timing": GUIDED}], indirect=True)
def test_what_is_left_of_the_last_chunk_reaches_a_policy_that_can_go_on_from_it(world):
    world.activate()
    world.set_substep()
    left = np.arange(21, dtype=np.float32).reshape(3, 7) / 100
    world.ask(1, left_over=left.flatten().tolist(), delay=2)
    np.testing.assert_array_equal(LOADED[0].left_over.actions, left)
    assert LOADED[0].left_over.delay == 2


def test_a_policy_that_cannot_go_on_refuses_a_request_to(world):
    world.activate()
    world.set_substep()
    world.observe(1)
    world.request(1, left_over=[0.0] * 14, delay=1)
    refusal = world.refusals.get(timeout=PATIENCE)
    assert refusal.kind == ChunkRefusal.GUIDANCE and "cannot go on from a chunk" in refusal.reason


@pytest.mark.parametrize("world", [{"policy": "guided"}], indirect=True)
@pytest.mark.parametrize(
    ("values", "what"), [([0.0] * 8, "has 8 values"), ([0.0] * 6 + [np.nan], "values that are not finite")]
)
def test_left_over_actions_that_are_none_are_refused(world, values, what):
    world.activate()
    world.set_substep()
    world.observe(1)
    world.request(1, left_over=values, delay=1)
    refusal = world.refusals.get(timeout=PATIENCE)
    assert refusal.kind == ChunkRefusal.CONTRACT and what in refusal.reason


@pytest.mark.parametrize(
    ("world", "why"),
    [
        ({"timing": GUIDED}, "policy scripted does not fit: it has no way to be guided"),
        (
            {"policy": "guided", "timing": GUIDED_SLOWLY},
            "policy guided does not fit: chunks of 2 actions hide 1 control steps (0.05 s)",
        ),
    ],
    indirect=["world"],
)
def test_a_policy_whose_chunks_cannot_be_joined_as_the_bridge_does_it_is_refused(world, why, capfd):
    assert world.transition(Transition.TRANSITION_CONFIGURE)
    world.wait_for_timing()
    assert not world.transition(Transition.TRANSITION_ACTIVATE)
    assert why in capfd.readouterr().err


@pytest.mark.parametrize("world", [{"timing": timing("replace", 0.15)}], indirect=True)
def test_chunks_too_short_for_the_stated_time_are_told_and_played(world, capfd):
    assert world.transition(Transition.TRANSITION_CONFIGURE)
    world.wait_for_timing()
    assert world.transition(Transition.TRANSITION_ACTIVATE)
    assert "it takes 3 (0.15 s): the robot stands still 60% of the time" in capfd.readouterr().err


@pytest.mark.parametrize("world", [{"contract_timeout": 0.2, "robot": None}], indirect=True)
def test_without_a_bridge_activation_fails_and_says_so(world, capfd):
    assert world.transition(Transition.TRANSITION_CONFIGURE)
    assert not world.transition(Transition.TRANSITION_ACTIVATE)
    assert "no robot_contract was heard within 0.2 s: is a bridge active" in capfd.readouterr().err


@pytest.mark.parametrize("world", [{"policy": "naming", "must_name_substeps": True}], indirect=True)
def test_a_policy_with_words_names_substeps_by_the_newest_observation(world):
    world.activate()
    first = world.name_substep.call_async(NameSubstep.Request(task="tidy up"))  # waits for an observation
    world.observe(5, skip=("joint_states",))
    world.observe(7)
    while not first.done():
        assert world.state() == State.PRIMARY_STATE_ACTIVE
    found = first.result()
    assert (found.success, found.instruction, found.model) == (True, "tidy up: 101", "naming")
    assert (found.probability, found.is_complete, found.stamp.nanosec) == (0.5, True, 7)
    world.set_substep()
    assert world.ask(9).horizon == 2  # and it acts
    assert world.call(world.name_substep, NameSubstep.Request(task="tidy up")).stamp.nanosec == 9
    refused = world.call(world.name_substep, NameSubstep.Request(task="refuse"))
    assert (refused.success, refused.message) == (False, "the prompt is too long")


@pytest.mark.parametrize("world", [{"policy": "naming"}], indirect=True)
def test_who_waits_for_words_is_told_when_the_policy_stops(world):
    world.activate()
    waiting = world.name_substep.call_async(NameSubstep.Request(task="tidy up"))
    assert world.transition(Transition.TRANSITION_DEACTIVATE)
    while not waiting.done():
        assert world.state() == State.PRIMARY_STATE_INACTIVE
    assert (waiting.result().success, waiting.result().message) == (False, "the policy is not active")


def test_a_policy_without_words_is_refused_where_it_is_to_name_substeps(world):
    world.policy_node.set_parameters([Parameter("must_name_substeps", value=True)])
    with pytest.raises(BadParameter, match="policy: policy scripted names no substeps, its model has no words: take"):
        world.policy_node.configure()
    assert not world.transition(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize(("world", "told"), [({"policy": "taught"}, "pick up\nplace"), ({}, "")], indirect=["world"])
def test_it_says_which_skills_its_policy_was_taught_where_that_is_known(world, told: str):
    world.activate()
    assert world.skills.get(timeout=PATIENCE).data == told
