"""The bridge node among a scripted planner and policy: its topics, both clocks, its guard, its service."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest
from substep_interfaces.srv import ResetEpisode

from libero_bridge.placement import WidenedPlacement
from substep_bridge.chunk_player import REST_TIME
from substep_core.errors import ErrorCode
from substep_core.protocol import ChunkReason, HoldKind
from substep_core.ros import topics
from substep_core.ros.messages import image_from_message, to_nanoseconds, to_time

pytestmark = [pytest.mark.xdist_group("bridge_node")]
TOPIC = "camera/agentview/image_raw"
SENSORS = (
    TOPIC,
    "camera/agentview/camera_info",
    "joint_states",
    "eef_pose",
    "scene_state",
)


def test_without_a_substep_the_world_holds(puppet):
    response = puppet.reset(seed=3)
    puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().episode == response.episode)
    status = puppet.status()
    assert (status.step, status.hold_kind, status.hold_reason) == (
        0,
        HoldKind.WAITING_FOR_A_SUBSTEP,
        "waiting for a substep",
    )
    assert status.instruction == response.instruction == "pick up the alphabet soup and place it in the basket"
    assert puppet.of("chunk_request") == []


def test_an_observation_has_one_stamp_and_says_what_the_camera_is(puppet):
    puppet.reset()
    puppet.wait_for(lambda: all(puppet.of(topic) for topic in SENSORS) and puppet.of("clock"))
    newest = {topic: puppet.of(topic)[-1] for topic in SENSORS}
    stamps = {to_nanoseconds(message.header.stamp) for message in newest.values()}
    assert stamps == {to_nanoseconds(puppet.of("clock")[-1].clock)}
    image, info = newest["camera/agentview/image_raw"], newest["camera/agentview/camera_info"]
    assert (image.height, image.width, image.header.frame_id) == (32, 48, "agentview_optical_frame")
    assert image_from_message(image).std() > 5
    assert (info.height, info.width, info.header.frame_id) == (32, 48, "agentview_optical_frame")
    assert info.k[0] == info.k[4] > 0 and (info.k[2], info.k[5]) == (23.5, 15.5)
    names = newest["joint_states"].name
    assert len(names) == 9 and [name for name in names if "finger_joint" in name] == names[7:]
    assert newest["eef_pose"].header.frame_id == "world"
    assert newest["scene_state"].predicates == ["in alphabet_soup_1 basket_1_contain_region"]


def test_somebody_elses_clock_that_jumps_back_does_not_stop_the_world(running_bridge):
    """A bag that is played in a loop tells its own time on /clock."""
    with running_bridge(use_sim_time=True, clock="realtime") as puppet:
        clock = puppet.node.create_publisher(Clock, "/clock", topics.CLOCK.qos)
        puppet.wait_for(clock.get_subscription_count)
        puppet.answer = puppet.answering(value=0.0)
        puppet.activate(0)
        puppet.wait_for(puppet.reports)
        for seconds in (1000, 1001, 3, 1000, 3):
            puppet.wait_for(goes_on_while(clock, seconds, puppet))
        said = (*puppet.of("joint_states"), *puppet.of("episode_status"), *puppet.of("/diagnostics"))
        assert all(message.header.stamp.sec < 900 for message in said), "the world's time is its own"
        assert {report.outcome for report in puppet.reports()} == {ChunkReport.PLAYED}


def goes_on_while(clock, seconds: int, puppet) -> Callable[[], bool]:
    """Whether a chunk is played while a clock says again and again that it is that time."""
    step, played = puppet.status().step, len(puppet.reports())

    def has_gone_on() -> bool:
        clock.publish(Clock(clock=to_time(seconds * 10**9)))
        return puppet.status().step >= step + 4 and len(puppet.reports()) > played

    return has_gone_on


def test_frames_lead_from_the_world_to_the_robots_hand_and_its_cameras(running_bridge):
    with running_bridge(idle_rate=20.0) as puppet:
        puppet.wait_for(lambda: puppet.of("robot_description") and puppet.of("tf_static") and puppet.of("tf"))
        heard = (puppet.of("tf_static")[-1], puppet.of("tf")[-1])
        parents = {item.child_frame_id: item.header.frame_id for message in heard for item in message.transforms}
        assert parents["agentview_optical_frame"] == parents["panda_link0"] == "world"
        assert (parents["grip_site"], parents["panda_hand"]) == ("panda_hand", "panda_link0")
        puppet.answer = puppet.answering(4, eos=True)
        puppet.activate(1)
        puppet.wait_for(lambda: puppet.reports() and len(puppet.of("tf")) >= 5)
        stamps = [to_nanoseconds(message.transforms[0].header.stamp) for message in puppet.of("tf")]
        assert stamps == sorted(set(stamps)), "tf2 complains of an instant that it has heard"
        names = puppet.of("joint_states")[-1].name
        assert all(f'name="{name}"' in puppet.of("robot_description")[0].data for name in names)


def test_sensors_speak_while_nobody_has_asked_for_anything(running_bridge):
    with running_bridge(idle_rate=20.0) as puppet:
        puppet.wait_for(lambda: all(len(puppet.of(topic)) >= 3 for topic in (*SENSORS, "clock")))
        assert len({to_nanoseconds(clock.clock) for clock in puppet.of("clock")}) == 1, "the world stands still"
        assert puppet.status().step == 0


def test_chunks_are_asked_for_played_and_reported_until_eos(puppet):
    answers = iter([puppet.answering(3), puppet.answering(2, eos=True)])
    puppet.answer = lambda request: next(answers)(request)
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    first, second = puppet.reports()
    assert (first.outcome, first.steps_played, first.reason_kind) == (ChunkReport.PLAYED, 3, ChunkReason.NONE)
    assert (second.outcome, second.steps_played) == (ChunkReport.PLAYED_EOS, 2)
    assert (second.plan_id, second.substep_index, round(second.eos_probability, 3)) == ("plan", 1, 0.9)
    assert second.gripper == pytest.approx(0.3) and 0.01 < second.gripper_width < 0.08, "a closing hand"
    assert to_nanoseconds(second.chunk_stamp) - to_nanoseconds(first.chunk_stamp) == 3 * 50_000_000
    puppet.wait_for(lambda: puppet.status().step == 5 and puppet.status().hold_kind)
    assert puppet.status().hold_kind == HoldKind.WAITING_FOR_THE_NEXT_SUBSTEP
    assert len(puppet.of("camera/agentview/image_raw")) >= 5
    puppet.answer = puppet.answering(1, eos=True)
    puppet.activate(2)
    puppet.wait_for(lambda: len(puppet.reports()) == 3)
    assert puppet.reports()[2].substep_index == 2
    puppet.substeps.publish(ActiveSubstep(plan_done=True))
    puppet.wait_for(lambda: puppet.status().step == 6 + round(REST_TIME * 20))
    puppet.wait_for(lambda: puppet.status().hold_kind == HoldKind.WAITING_FOR_A_SUBSTEP)


def test_images_are_of_the_instants_that_are_asked_about_or_all_where_somebody_looks(running_bridge):
    def seen() -> dict[int, bytes]:
        """Steps since the first request -> image, in an episode of two chunks of four actions."""
        puppet.activate(0, plan_id="")
        puppet.heard, answers = {}, iter([puppet.answering(4), puppet.answering(4, eos=True)])
        episode = puppet.reset(seed=3).episode
        puppet.wait_for(lambda: puppet.is_new(episode))
        puppet.answer = lambda request: next(answers)(request)
        puppet.activate(episode)
        puppet.wait_for(lambda: len(puppet.reports()) == 2 and puppet.status().step == 8)
        first = to_nanoseconds(puppet.of("chunk_request")[0].header.stamp)
        images = puppet.of(TOPIC)
        return {(to_nanoseconds(image.header.stamp) - first) // 50_000_000: bytes(image.data) for image in images}

    with running_bridge(idle_rate=0.0) as puppet:
        puppet.chunks = topics.ACTION_CHUNK.publisher(puppet.node)  # who answers is who looks
        topics.CHUNK_REFUSAL.publisher(puppet.node)
        puppet.policy.destroy_node()
        asked = seen()
        assert sorted(asked) == [0, 4]
        viewer = rclpy.create_node("viewer", namespace=puppet.node.get_namespace())
        try:
            topics.camera_image("agentview").subscription(viewer, lambda message: None)
            puppet.wait_for(lambda: puppet.node.count_subscribers(TOPIC) == 2)
            watched = seen()
        finally:
            viewer.destroy_node()
    assert set(watched) >= {0, 1, 2, 3, 4, 5, 6, 7}
    assert {step: watched[step] for step in asked} == asked, "images differ by who looks"
    assert len(set(watched.values())) > 4, "the arm does not move"


def test_a_request_that_stays_unanswered_is_repeated_with_its_observation(puppet):
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.of("chunk_request")) >= 3 and len(puppet.of("eef_pose")) >= 3)
    assert len({to_nanoseconds(request.header.stamp) for request in puppet.of("chunk_request")}) == 1
    assert len({to_nanoseconds(pose.header.stamp) for pose in puppet.of("eef_pose")[1:]}) == 1
    assert puppet.status().step == 0 and puppet.status().hold_kind == HoldKind.WAITING_FOR_A_CHUNK


def test_another_substep_takes_over_in_the_middle_of_a_chunk(puppet):
    def answer(request: ChunkRequest) -> ActionChunk:
        return (
            puppet.answering(60, value=0.1)(request)
            if request.substep_index == 1
            else puppet.answering(2, eos=True)(request)
        )

    puppet.answer = answer
    puppet.activate(1)
    puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 3)
    puppet.activate(2)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    first, second = puppet.reports()
    assert (first.outcome, first.reason_kind) == (ChunkReport.SUPERSEDED, ChunkReason.SUBSTEP_CHANGED)
    assert 0 < first.steps_played < 60
    assert (second.outcome, second.substep_index) == (ChunkReport.PLAYED_EOS, 2)


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"value": float("nan")}, ChunkReason.NOT_FINITE),
        ({"value": 1.5}, ChunkReason.RANGE),
        ({"action_dim": 6}, ChunkReason.SHAPE),
        ({"actions": [0.0] * 13}, ChunkReason.SHAPE),
    ],
)
def test_a_bad_chunk_is_dropped_whole_reported_and_diagnosed(puppet, spoilt, reason):
    answers = iter([puppet.answering(**{"horizon": 2, **spoilt}), puppet.answering(2, eos=True)])
    puppet.answer = lambda request: next(answers)(request)
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    rejected, played = puppet.reports()
    assert (rejected.outcome, rejected.steps_played) == (ChunkReport.REJECTED, 0)
    assert rejected.reason_kind == reason
    assert played.outcome == ChunkReport.PLAYED_EOS, "the policy was asked again"
    puppet.wait_for(lambda: any(rejected.reason in status.message for status in told(puppet, "safety")))


def test_old_and_foreign_chunks_are_not_played(puppet):
    requests = []
    puppet.answer = requests.append
    puppet.activate(1)
    puppet.wait_for(lambda: requests)
    old = puppet.answering(2)(requests[0])
    set_back(old, 50_000_000)
    changes = ({"substep_index": 7}, {"episode": 0}, {"plan_id": "other"})
    foreign = [puppet.answering(2, **change)(requests[0]) for change in changes]
    for count, chunk in enumerate([*foreign, old], start=1):
        puppet.chunks.publish(chunk)
        puppet.wait_for(lambda: len(puppet.reports()) == count)  # noqa: B023 (called at once)
    outcomes = [report.outcome for report in puppet.reports()]
    assert outcomes == [ChunkReport.SUPERSEDED] * 4
    assert puppet.reports()[3].reason_kind == ChunkReason.NOT_ASKED_FOR
    assert puppet.status().step == 0


def test_after_repeated_failures_the_arm_holds_until_reset(puppet):
    puppet.answer = puppet.answering(2, value=float("inf"))
    puppet.activate(1)
    puppet.wait_for(lambda: any(report.latched for report in puppet.reports()))
    assert [report.latched for report in puppet.reports()] == [False, False, True]
    puppet.wait_for(lambda: puppet.status().hold_kind == HoldKind.LATCHED)
    puppet.wait_for(lambda: any(status.level == DiagnosticStatus.ERROR for status in told(puppet, "safety")))
    puppet.answer = puppet.answering(2, eos=True)
    puppet.reset()
    puppet.wait_for(lambda: puppet.reports()[-1].outcome == ChunkReport.PLAYED_EOS)


def test_the_horizon_ends_the_episode(running_bridge):
    with running_bridge(horizon=3) as puppet:
        puppet.answer = puppet.answering(8)
        puppet.activate(0)
        puppet.wait_for(lambda: puppet.reports())
        assert (puppet.reports()[0].outcome, puppet.reports()[0].steps_played) == (ChunkReport.SUPERSEDED, 3)
        puppet.wait_for(lambda: puppet.status().done)
        assert (puppet.status().success, puppet.status().hold_reason) == (False, "episode over: horizon reached")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"suite": "libero_x", "task_index": 0}, "libero_x"),
        ({"suite": "libero_goal"}, "'libero_goal' comes without a task_index"),
        ({"task_index": 10}, "task 10"),
        ({"init_state": 50}, "init_state 50"),
        ({"placement": 9}, "placement 9"),
    ],
)
def test_a_reset_that_cannot_be_done_says_why_and_changes_nothing(puppet, fields, words):
    before = puppet.reset().episode
    response = puppet.reset(**fields)
    assert not response.success and words in response.message
    assert response.episode == before


def test_a_reset_changes_the_task(running_bridge):
    with running_bridge(idle_rate=0.0) as puppet:
        response = puppet.reset(suite="libero_goal", task_index=7, placement=ResetEpisode.Request.WIDENED, seed=1)
        assert response.success and response.instruction == "turn on the stove"
        puppet.wait_for(lambda: puppet.status().suite == "libero_goal" and "flat_stove_1" in object_names(puppet))
        stamps = [to_nanoseconds(message.header.stamp) for message in puppet.of("joint_states")]
        assert stamps == sorted(set(stamps)), "world time goes on"
        assert puppet.reset().instruction == "turn on the stove", "an empty request means the current task"


def test_a_lockstep_run_repeats_bit_for_bit(puppet):
    def run() -> list[list]:
        puppet.heard = {}
        puppet.answer = puppet.answering(5, value=-0.2)
        puppet.activate(1)
        episode = puppet.reset(init_state=1, seed=5).episode
        puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 20)
        puppet.activate(0, plan_id="")
        steps = [status for status in puppet.of("episode_status") if status.episode == episode]
        start = to_nanoseconds(next(status for status in steps if status.step == 0).header.stamp)
        puppet.wait_for(lambda: all(observed(puppet, topic, start).keys() >= set(range(21)) for topic in SENSORS))
        contents = [observed(puppet, topic, start) for topic in SENSORS]
        return [[steps[step] for step in range(21)] for steps in contents]

    assert run() == run()


def test_in_realtime_the_world_does_not_wait(running_bridge):
    with running_bridge(**{"clock": "realtime", "safety.max_age": 10.0}) as puppet:
        puppet.wait_for(lambda: puppet.of("eef_pose"))
        idle = to_nanoseconds(puppet.of("eef_pose")[-1].header.stamp)
        puppet.wait_for(lambda: to_nanoseconds(puppet.of("eef_pose")[-1].header.stamp) >= idle + 5 * 50_000_000)
        assert (puppet.status().step, puppet.status().hold_kind) == (0, HoldKind.WAITING_FOR_A_SUBSTEP)
        requests = []
        puppet.answer = requests.append
        puppet.activate(1)
        puppet.wait_for(lambda: requests)
        thinking = to_nanoseconds(requests[0].header.stamp)
        puppet.wait_for(lambda: to_nanoseconds(puppet.status().header.stamp) >= thinking + 3 * 50_000_000)
        puppet.chunks.publish(puppet.answering(2)(requests[0]))
        puppet.wait_for(lambda: puppet.reports())
        report = puppet.reports()[0]
        assert (report.outcome, report.steps_played) == (ChunkReport.PLAYED, 2)
        assert to_nanoseconds(report.header.stamp) >= thinking + 5 * 50_000_000
        unasked = puppet.answering(2)(requests[0])
        set_back(unasked, 11_000_000_000)
        puppet.chunks.publish(unasked)
        puppet.wait_for(lambda: puppet.reports()[-1].outcome == ChunkReport.SUPERSEDED)
        assert puppet.reports()[-1].reason_kind == ChunkReason.NOT_ASKED_FOR


def test_in_realtime_only_steps_with_something_to_do_count_and_sensors_go_on(running_bridge):
    with running_bridge(**{"clock": "realtime", "horizon": 4, "safety.max_age": 60.0}) as puppet:

        def moves_on(periods: int) -> None:
            since = to_nanoseconds(puppet.of("joint_states")[-1].header.stamp)
            puppet.wait_for(
                lambda: to_nanoseconds(puppet.of("joint_states")[-1].header.stamp) >= since + periods * 50_000_000
            )

        puppet.wait_for(lambda: puppet.of("joint_states"))
        moves_on(6)
        assert (puppet.status().step, puppet.status().done) == (0, False), "nobody has asked for anything"
        requests = []
        puppet.answer = requests.append
        puppet.activate(1)
        puppet.wait_for(lambda: requests)
        moves_on(6)
        assert (puppet.status().step, puppet.status().done) == (0, False), "the chunk has not come"
        puppet.chunks.publish(puppet.answering(8, value=0.0)(requests[0]))
        puppet.wait_for(lambda: puppet.status().done)
        assert puppet.status().step == 4
        moves_on(2)
        assert puppet.status().step == 4


def set_back(chunk: ActionChunk, nanoseconds: int) -> None:
    """Makes a chunk the answer to an earlier observation."""
    chunk.header.stamp = to_time(to_nanoseconds(chunk.header.stamp) - nanoseconds)


def told(puppet, what: str) -> list[DiagnosticStatus]:
    """What the bridge has said on /diagnostics of ``what``."""
    statuses = [status for array in puppet.of("/diagnostics") for status in array.status]
    return [status for status in statuses if status.name == f"{puppet.node.get_namespace()}/bridge: {what}".lstrip("/")]


def error_codes(puppet, what: str) -> list[str]:
    return [item.value for status in told(puppet, what) for item in status.values if item.key == "error_code"]


def object_names(puppet) -> set[str]:
    return {item.name for scene in puppet.of("scene_state")[-1:] for item in scene.objects}


def observed(puppet, topic: str, start: int) -> dict[int, object]:
    """Control step since ``start`` (ns) -> the message then, without its stamp. Not serialised: CDR's padding bytes are
    whatever was in memory.
    """
    contents = {}
    for message in list(puppet.of(topic)):
        stamp = to_nanoseconds(message.header.stamp)
        plain = copy.copy(message)
        plain.header = Header(frame_id=message.header.frame_id)
        contents[(stamp - start) // 50_000_000] = plain
    return contents


def test_the_arm_holds_where_its_planner_gives_no_sign_of_life_and_goes_on_where_it_speaks_again(running_bridge):
    with running_bridge(clock="realtime", planner_silence=1.0, **{"safety.max_age": 60.0}) as puppet:
        puppet.answer = puppet.answering(64, value=0.05)
        puppet.activate(0)
        puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().hold_kind == HoldKind.PLANNER_SILENT)
        assert puppet.reports()[-1].reason_kind == ChunkReason.PLANNER_SILENT
        puppet.wait_for(lambda: error_codes(puppet, "world")[-1:] == [str(int(ErrorCode.PLANNER_SILENT))])
        puppet.activate(0)
        puppet.wait_for(lambda: puppet.status().hold_kind == HoldKind.NONE)


def test_a_robot_measured_beyond_a_limit_holds_and_the_guard_latches(running_bridge):
    with running_bridge(**{"safety.max_tilt": 0.5}) as puppet:
        still = puppet.answering(4, value=0.0)

        def turning(request: ChunkRequest) -> ActionChunk:
            chunk = still(request)
            chunk.actions = [0.0, 0.0, 0.0, 0.2, 0.0, 0.0, -1.0] * 4
            return chunk

        puppet.answer = turning
        puppet.activate(0)
        puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().hold_kind == HoldKind.LATCHED)
        assert "tilt" in puppet.status().hold_reason
        puppet.wait_for(lambda: error_codes(puppet, "safety")[-1:] == [str(int(ErrorCode.GUARD_LATCHED))])
        puppet.reset()
        puppet.wait_for(lambda: puppet.status().step == 0 and puppet.status().hold_kind != HoldKind.LATCHED)


def test_a_reset_that_finds_no_room_is_answered_and_the_world_goes_on(puppet, monkeypatch):
    before = puppet.reset(init_state=3)
    with monkeypatch.context() as patched:
        patched.setattr(WidenedPlacement, "DRAWS_OF_ALL", 0)
        response = puppet.reset(placement=ResetEpisode.Request.WIDENED, seed=1)
    assert not response.success and "no collision-free placement of" in response.message
    assert response.episode == before.episode
    puppet.answer = puppet.answering(2, eos=True)
    puppet.activate(1)
    puppet.wait_for(lambda: puppet.reports())
    assert puppet.reset(placement=ResetEpisode.Request.WIDENED, seed=1).success
