"""A recorded run is asked again: the same checkpoint says the same, another one is compared in physical units."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from substep_bags.definitions import message_type
from substep_bags.graph_bag import GraphBag
from substep_bags.images import JpegEncoder
from substep_bags.reader import Bag, BagError
from substep_cli.grammar import main
from substep_core.chunk import Chunk
from substep_core.configuration import parse
from substep_core.contract import LIBERO_PANDA, contract_to_text
from substep_core.keys import RequestKey, SubstepKey
from substep_core.ros import topics
from substep_planner.manager.events import FrameScored
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.benchmarks.random_models import write_random_compact
from substep_policy.loading import load_policy
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.request_answering import RequestAnswering
from substep_policy.session.policy_session import StuckSettings
from tests.recorded_run import ROBOT, RunWriter, write_run
from tests.training.conftest import TOY_MODEL
from training.rerun.compare import compare
from training.rerun.recorded import RecordedRun
from training.rerun.rerun import rerun_bag
from training.rerun.settings import RerunSettings
from training.rerun.switching import NEW, RECORDED, substep_ends

NOISY = {"eos_threshold": 1.0}  # a random network says "end" anywhere


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Two random networks."""
    config = parse(CompactModelConfig, {**TOY_MODEL, "robot": LIBERO_PANDA}, "the test")
    found = {}
    for seed, name in enumerate(("own", "other")):
        torch.manual_seed(seed)
        found[name] = tmp_path_factory.mktemp("checkpoints") / name
        found[name].mkdir()
        write_random_compact(found[name], config)
    return found


@pytest.fixture(scope="module")
def bag(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bags") / "bag"
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    write_run(folder, policy, parameters={"policy": {"policy": str(checkpoints["own"]), **NOISY}})
    return folder


def test_the_same_checkpoint_gives_its_recorded_chunks_again_bit_for_bit(bag):
    result = rerun_bag(bag, RerunSettings())
    assert result.same == len(result.rows) == len(result.run.answers) == 4
    assert result.furthest == 0.0


def test_a_request_that_was_said_again_and_again_is_one_decision(checkpoints, tmp_path):
    """As a robot does that waits for a slow policy; the policy heeded it once, and counts what it is asked."""
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    parameters = {"policy": {"policy": str(checkpoints["own"]), **NOISY}}
    write_run(tmp_path / "bag", policy, parameters=parameters, repeats=2)
    result = rerun_bag(tmp_path / "bag", RerunSettings())
    assert [row.rerun.decision.number for row in result.rows] == [0, 1, 2, 3]
    assert result.same == len(result.run.answers) == 4


def test_another_checkpoint_is_compared_action_by_action(bag, checkpoints):
    result = rerun_bag(bag, RerunSettings(policy=str(checkpoints["other"])))
    assert result.same == 0
    row = result.rows[-1]
    recorded, new = row.rerun.decision.answer.chunk, row.rerun.chunk
    moved = np.linalg.norm((new.actions - recorded.actions)[:, :3].astype(np.float64), axis=1) * 0.05
    (translation, rotation, gripper) = row.comparison.groups
    assert (translation.group, translation.unit) == ("translation", "m")
    np.testing.assert_allclose(translation.steps, moved)
    assert rotation.unit == "rad" and gripper.unit == ""
    assert set(result.frames) == {0, 1, 2, 3} and set(result.frames[0]) == set(ROBOT.camera_names)


def test_chunks_of_different_length_are_compared_as_far_as_both_go():
    one, other = Chunk(np.zeros((4, 7), np.float32)), Chunk(np.full((2, 7), 0.5, np.float32), eos_index=1)
    found = compare(ROBOT, one, other)
    assert [len(group.steps) for group in found.groups] == [2, 2, 2]
    assert found.groups[0].largest == pytest.approx(0.05 * 0.5 * 3**0.5)
    assert found.groups[2].share == pytest.approx(0.25), "half of the way from open to the middle"
    assert (found.recorded_eos.index, found.new_eos.index, found.same) == (-1, 1, False)


def test_the_command_leaves_a_table_figures_and_one_page_and_its_exit_code_says_whether_they_part(
    bag, checkpoints, tmp_path, capsys
):
    same = ["bag", "rerun", str(bag), "--tolerance", "0", "--out", str(tmp_path / "same"), "--decomposers", "rules"]
    assert main(same) == 0
    assert "4 chunks are the same bit for bit" in capsys.readouterr().out
    other = ["bag", "rerun", str(bag), "--policy", str(checkpoints["other"]), "--tolerance", "0.0001"]
    assert main([*other, "--out", str(tmp_path / "other")]) == 1
    printed, said = capsys.readouterr()
    assert "of its group's range from the recorded one, more than the tolerance of 0.0001" in said
    assert re.search(r"1 pick up the alphabet soup +2 +0 +[\d.]+ mm +[\d.]+ mrad", printed)
    figures = json.loads((tmp_path / "other" / "rerun.json").read_text())
    assert figures["summary"]["decisions"] == 4 and figures["bag"]["about"]["commit"] == "abc"
    page = (tmp_path / "other" / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 8 and page.count("<svg") == 3
    assert not re.search(r'(src|href)="(?!data:|#)', page), "it needs nothing from elsewhere"


def test_decomposers_are_asked_for_the_recorded_task(bag):
    recorded, library, rules = rerun_bag(bag, RerunSettings(decomposers=("library", "rules"))).plans
    assert recorded.instructions == ("pick up the alphabet soup", "place the alphabet soup in the basket")
    assert library.source == "library:libero_object" and library.same and rules.same


def test_images_recorded_as_jpeg_are_asked_about_too(checkpoints, tmp_path, monkeypatch):
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    encode, say = JpegEncoder(95), RunWriter.say

    def say_as_jpeg(self, topic, message):
        if not topic.name.endswith("image_raw"):
            return say(self, topic, message)
        data = serialize_message(message)
        compressed = topics.Topic(f"{topic.name}/compressed", CompressedImage, 5, False)
        say(self, compressed, deserialize_message(encode(data), CompressedImage))
        return data

    monkeypatch.setattr(RunWriter, "say", say_as_jpeg)
    parameters = {"policy": {"policy": str(checkpoints["own"]), **NOISY}}
    write_run(tmp_path / "bag", policy, chunks=1, parameters=parameters)
    result = rerun_bag(tmp_path / "bag", RerunSettings())
    assert len(result.rows) == 2 and 0 < result.furthest < 0.2, "what JPEG loses is small, and seen"


def converted(bag: Path, folder: Path) -> None:
    """By rosbags, into SQLite; what the bag says of itself is lost. Feedback has a name that rosbags cannot write."""
    options = ["--dst-storage", "sqlite3", "--exclude-topic", "/execute_task/_action/feedback"]
    subprocess.run([sys.executable, "-m", "rosbags.convert", "--src", bag, "--dst", folder, *options], check=True)


def filtered(bag: Path, folder: Path) -> None:
    """A file alone, as programs leave it that know MCAP and not ROS: other chunks, no metadata."""
    folder.mkdir()
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as source, (folder / "filtered.mcap").open("wb") as target:
        writer, channels = Writer(target, chunk_size=20_000, compression=CompressionType.LZ4), {}
        writer.start("ros2", "filter")
        for schema, channel, message in make_reader(source).iter_messages():
            if channel.id not in channels:
                kind = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, kind)
            writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time)
        writer.finish()
    with pytest.raises(BagError, match="has no metadata.yaml: ./substep bag repair"):
        Bag(folder)
    assert main(["bag", "repair", str(folder)]) in (0, None)


@pytest.mark.parametrize("by", [converted, filtered])
def test_a_bag_that_another_program_has_written_is_rerun_too(bag, checkpoints, tmp_path, by):
    by(bag, tmp_path / "bag")
    with pytest.raises(ValueError, match="does not say which policy was run: name one with --policy"):
        rerun_bag(tmp_path / "bag", RerunSettings())
    result = rerun_bag(tmp_path / "bag", RerunSettings(policy=str(checkpoints["own"]), **NOISY))
    assert result.same == len(result.rows) == 4


# --- switch rules ---


@pytest.fixture
def run(bag):
    with Bag(bag) as opened:
        yield RecordedRun(GraphBag(opened))


def ends(run, rule: str, chunks=None, frames=None, whose=RECORDED) -> list[int | None]:
    found = substep_ends(run, {rule: make_switch_rule(rule)}, chunks or {}, frames or {})
    return [None if visit.ends[rule, whose] is None else visit.ends[rule, whose].step for visit in found]


def test_a_rule_that_goes_by_the_recorded_eos_leaves_where_the_run_did(run):
    horizon = len(next(iter(run.answers.values())).chunk.actions)
    assert ends(run, "eos") == [2 * horizon, 4 * horizon]
    visits = substep_ends(run, {}, {}, {})
    assert [visit.began.step for visit in visits] == [0, 2 * horizon]
    assert visits[0].left.step == 2 * horizon and visits[1].left is None


def test_a_new_eos_counts_where_the_world_was_moved_that_far(run):
    keys = list(run.answers)
    chunks = {keys[0]: Chunk(np.zeros((2, 7), np.float32), np.array([0, 1], np.float32), 1)}
    assert ends(run, "eos", chunks, whose=NEW) == [2, None]
    too_far = {keys[0]: Chunk(np.zeros((40, 7), np.float32), eos_index=39)}
    assert ends(run, "eos", too_far, whose=NEW) == [None, None]


def test_a_rule_that_looks_leaves_when_a_frame_shows_the_effect(run):
    first = next(iter(run.answers))
    log_time = run.bag.bag.start + (run.bag.bag.end - run.bag.bag.start) // 8
    frames = {log_time: FrameScored(first.substep, first.stamp, 0.9, True)}
    (seen, later) = ends(run, "vision", frames=frames)
    assert 0 < seen < 8 and later is None
    assert ends(run, "eos", frames=frames)[0] == 8


def test_a_rule_that_would_have_had_the_substep_tried_again_says_so(run):
    first = next(iter(run.answers))
    frames = {run.bag.bag.end: FrameScored(first.substep, 2**62, 0.01, False)}
    (denied, _) = substep_ends(run, {"rule": make_switch_rule("eos_unless_denied")}, {}, frames)
    assert denied.ends["rule", RECORDED] is None, "the frame comes after all that was recorded"
    log_time = run.bag.bag.start + (run.bag.bag.end - run.bag.bag.start) // 4
    frames = {log_time: FrameScored(first.substep, 2**62, 0.01, False)}
    (denied, _) = substep_ends(run, {"rule": make_switch_rule("eos_unless_denied")}, {}, frames)
    assert denied.ends["rule", RECORDED].cause.startswith("retry: ")


# --- what cannot be rerun ---


def refusal(capsys, *words: str) -> str:
    assert main(["bag", "rerun", *map(str, words)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_bag_that_lacks_something_is_refused_with_its_topic_and_what_to_do(checkpoints, tmp_path, capsys):
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    camera = f"camera/{ROBOT.camera_names[0]}/image_raw"
    for left_out in ("chunk_request", camera, "robot_contract"):
        folder = tmp_path / left_out.replace("/", "_")
        write_run(folder, policy, 1, {"policy": {"policy": str(checkpoints["own"])}}, left_out=[left_out])
        said = refusal(capsys, folder, "--out", tmp_path / "out")
        assert str(folder) in said and left_out in said and "./substep sim --record" in said


def test_messages_of_another_definition_are_refused_with_the_commit_that_made_them(checkpoints, tmp_path, capsys):
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    write_run(tmp_path / "bag", policy, 1, {"policy": {"policy": str(checkpoints["own"])}})
    metadata = tmp_path / "bag" / "metadata.yaml"
    text = metadata.read_text()
    own = message_type("substep_interfaces/msg/ChunkRequest").hash
    metadata.write_text(text.replace(own, "RIHS01_" + "0" * 64))
    said = refusal(capsys, tmp_path / "bag", "--out", tmp_path / "out")
    assert "/chunk_request has another definition of substep_interfaces/msg/ChunkRequest" in said
    assert said.endswith("check out commit abc, which made it")
    metadata.write_text(text.replace("substep_interfaces/msg/ChunkRequest", "std_msgs/msg/String"))
    said = refusal(capsys, tmp_path / "bag", "--out", tmp_path / "out")
    assert "/chunk_request is of type std_msgs/msg/String, expected substep_interfaces/msg/ChunkRequest" in said


def test_a_bag_whose_nodes_went_by_different_clocks_says_so(checkpoints, tmp_path, capsys, monkeypatch):
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    say = RunWriter.say

    def say_late(self, topic, message):
        if topic is not topics.JOINT_STATES:
            return say(self, topic, message)
        late = copy.deepcopy(message)
        late.header.stamp.sec += 1_700_000_000
        say(self, topic, late)
        return serialize_message(message)

    monkeypatch.setattr(RunWriter, "say", say_late)
    write_run(tmp_path / "bag", policy, 1, {"policy": {"policy": str(checkpoints["own"])}})
    said = refusal(capsys, tmp_path / "bag", "--out", tmp_path / "out")
    assert "requests begin at 0.000 s" in said and "joint_states begins at 1700000000.000 s" in said


def test_a_rule_that_looks_needs_somebody_who_looks(bag, tmp_path, capsys):
    said = refusal(capsys, bag, "--switch-rules", "vision", "--out", tmp_path / "out")
    assert said.endswith("switch rule 'vision' looks at frames: name a scorer with --completion.scorer")


def test_requests_of_two_episodes_with_the_same_time_are_kept_apart(checkpoints, tmp_path):
    """A world may begin its clock anew with a reset."""
    policy = load_policy(str(checkpoints["own"]), PolicySettings(eos_threshold=1.0), "", POLICIES)
    parameters = {"policy": {"policy": str(checkpoints["own"]), **NOISY}}
    writer = RunWriter(tmp_path / "bag", parameters=parameters)
    writer.say(topics.ROBOT_CONTRACT, String(data=contract_to_text(ROBOT)))
    answering = RequestAnswering(policy, ROBOT, StuckSettings())
    for episode in (1, 2):
        writer.stamp = writer.step = 0
        writer.status(episode)
        substep = writer.begin(0, plan_id=f"p{episode}")
        for _ in range(2):
            writer.play(answering, policy.name, substep, ends=False, episode=episode)
    writer.writer.close()
    result = rerun_bag(tmp_path / "bag", RerunSettings())
    keys = [row.rerun.decision.key for row in result.rows]
    assert [key.episode for key in keys] == [1, 1, 2, 2] and keys[0].stamp == keys[2].stamp
    assert keys[0] == RequestKey(0, 1, SubstepKey("p1", 0, 0)) and result.same == 4
