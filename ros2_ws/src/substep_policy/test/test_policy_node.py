"""The policy node against a scripted bridge and planner, over real topics."""

from __future__ import annotations

import gc
import queue
import threading
from types import MappingProxyType

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRequest

from substep_policy.chunk import Chunk
from substep_policy.messages import image_to_message, joint_state_to_message, to_time
from substep_policy.policy_node import LATCHED, RELIABLE, PolicyFault, PolicyNode
from substep_policy.policy_session import StuckSettings
from substep_policy.registry import PolicyRegistry, PolicySettings
from substep_policy.scene_messages import pose_to_message

PATIENCE = 20.0  # s, for what must come
CAMERAS = ("agentview", "eye_in_hand")
JOINTS = ("robot0_joint1", "gripper0_finger_joint1", "gripper0_finger_joint2")


class ScriptedPolicy:
    """Answers with two actions; the first value counts the chunks since ``start_substep``, in hundredths.

    "refuse …" raises ValueError, "crash …" RuntimeError, "wait …" waits until ``go`` is released.
    """

    requires_scene = False
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
    named=MappingProxyType(
        {
            "scripted": f"{__name__}:ScriptedPolicy",
            "broken": f"{__name__}:load_broken",
            "blind": f"{__name__}:load_blind",
        }
    )
)


class ScriptedWorld:
    """Bridge and planner as the policy node sees them, and the node itself, on one executor in a thread."""

    def __init__(self, **parameters) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in {"policy": "scripted", **parameters}.items()]
        self.policy_node = PolicyNode(REGISTRY, context=self.context, parameter_overrides=overrides)
        self.node = rclpy.create_node("scripted_world", context=self.context)
        self.chunks: queue.Queue[ActionChunk] = queue.Queue()
        self.diagnostics: queue.Queue[DiagnosticStatus] = queue.Queue()
        self.log: queue.Queue[str] = queue.Queue()
        self._create_entities()
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.policy_node)
        self.executor.add_node(self.node)
        self.fault: queue.Queue[Exception] = queue.Queue()
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _create_entities(self) -> None:
        node = self.node
        node.create_subscription(ActionChunk, "action_chunk", self.chunks.put, RELIABLE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.change_state = node.create_client(ChangeState, "policy/change_state")
        self.get_state = node.create_client(GetState, "policy/get_state")
        self.requests = node.create_publisher(ChunkRequest, "chunk_request", RELIABLE)
        self.substeps = node.create_publisher(ActiveSubstep, "active_substep", LATCHED)
        self.joint_states = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self.eef_pose = node.create_publisher(PoseStamped, "eef_pose", qos_profile_sensor_data)
        self.images = {
            camera: node.create_publisher(Image, f"camera/{camera}/image_raw", qos_profile_sensor_data)
            for camera in CAMERAS
        }

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
        publishers = [self.requests, self.substeps, self.joint_states, self.eef_pose, *self.images.values()]
        changed = threading.Event()
        timer = self.node.create_timer(0.01, changed.set)
        while not all(publisher.get_subscription_count() for publisher in publishers):
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
            self.joint_states.publish(joint_state_to_message(JOINTS, (1.0, 0.04, -0.04), to_time(stamp)))
        pose = PoseStamped(pose=pose_to_message((0.1, 0.2, 0.3), (1.0, 0.0, 0.0, 0.0)))
        pose.header.stamp = to_time(stamp)
        self.eef_pose.publish(pose)
        for value, camera in enumerate(CAMERAS):
            image = np.full((16, 16, 3), 100 + value, np.uint8)
            self.images[camera].publish(image_to_message(image, to_time(stamp), camera))

    def request(self, stamp: int, episode=1, plan="p", index=0, attempt=0, gripper=-1.0) -> None:
        message = ChunkRequest(episode=episode, plan_id=plan, substep_index=index, attempt=attempt, gripper=gripper)
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
    np.testing.assert_allclose(seen.proprio, [0.1, 0.2, 0.3, np.pi, 0, 0, 0.04, -0.04], rtol=1e-6)


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


def test_a_refused_substep_gives_an_error_in_diagnostics_and_no_chunk(world):
    world.activate()
    world.set_substep(instruction="refuse to dance")
    world.observe(1)
    world.request(1)
    status = world.diagnostic(DiagnosticStatus.ERROR)
    values = {item.key: item.value for item in status.values}
    assert status.name == "policy: inference"
    assert status.message == "cannot carry out 'refuse to dance'"
    assert (values["plan_id"], values["substep_index"], values["attempt"]) == ("p", "0", "0")
    assert world.chunks.empty()
    world.set_substep(index=1)
    assert world.ask(2, index=1).substep_index == 1  # it goes on with the next


def test_a_malformed_observation_gives_an_error_that_names_it(world):
    world.activate()
    world.set_substep()
    world.joint_states.publish(joint_state_to_message(("elbow",), (0.0,), to_time(1)))
    world.observe(1, skip=("joint_states",))
    world.request(1)
    status = world.diagnostic(DiagnosticStatus.ERROR)
    assert "joint_states has 0 joints named …finger_joint1, expected one; names: ['elbow']" in status.message


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
        ({"policy": "telepathy"}, "unknown policy 'telepathy': expected one of 'blind', 'broken', 'scripted'"),
        ({"policy": "broken"}, "loading 'broken' failed: OSError: weights.safetensors is cut short"),
        ({"policy": "blind"}, "parameter policy: no image of camera 'wrist'"),
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
