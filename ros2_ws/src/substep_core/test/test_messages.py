"""Messages <-> core types: nothing is lost, and what is malformed is named."""

from __future__ import annotations

import array

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from substep_interfaces.msg import ActionChunk, ChunkRequest, SceneState

from substep_core import scene as core
from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_core.observation import Observation
from substep_core.ros.messages import (
    chunk_from_message,
    chunk_to_message,
    image_from_message,
    image_to_message,
    stamp_of_serialized,
    to_nanoseconds,
    to_time,
)
from substep_core.ros.observation_messages import observation_from_messages
from substep_core.ros.scene_messages import pose_to_message, scene_from_message, scene_to_message

IMAGES = npst.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
ROBOT = load_robot("libero_panda")
FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
DOWNWARDS = (1.0, 0.0, 0.0, 0.0)


def through_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def eef_pose(stamp=0, quaternion=DOWNWARDS, position=(0.1, 0.2, 0.3)):
    message = PoseStamped(pose=pose_to_message(position, quaternion))
    message.header.stamp = to_time(stamp)
    return message


def joint_states(stamp=0, names=("j1", *FINGERS), positions=(1.0, 0.04, -0.04)):
    message = JointState(name=list(names), position=[float(value) for value in positions])
    message.header.stamp = to_time(stamp)
    return message


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(nanoseconds):
    assert to_nanoseconds(to_time(nanoseconds)) == nanoseconds


@given(IMAGES)
def test_an_image_comes_back_as_it_was(image):
    message = through_the_wire(image_to_message(image, to_time(7), "agentview_optical_frame"))
    np.testing.assert_array_equal(image_from_message(message), image)
    assert (message.header.frame_id, message.header.stamp.nanosec) == ("agentview_optical_frame", 7)


@given(IMAGES, st.integers(0, 5))
def test_bgr_images_with_padded_rows_are_read(image, padding):
    height, width, _ = image.shape
    rows = np.pad(image[:, :, ::-1].reshape(height, 3 * width), ((0, 0), (0, padding)), constant_values=255)
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width + padding)
    message.data = array.array("B", rows.tobytes())
    np.testing.assert_array_equal(image_from_message(message), image)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoding": "mono8"}, "image of camera 'agentview' has encoding 'mono8', expected 'rgb8' or 'bgr8'"),
        ({"height": 0}, "is empty: 0 rows, 4 columns"),
        ({"step": 11}, "has step 11, expected at least 12 bytes for 4 columns"),
        ({"height": 3}, r"has 24 bytes, expected 36 \(3 rows of 12\)"),
        ({"width": 5, "step": 15}, r"has 24 bytes, expected 30"),
    ],
)
def test_a_malformed_image_is_named(change, expected):
    message = image_to_message(np.zeros((2, 4, 3), np.uint8), to_time(0), "f")
    for field, value in change.items():
        setattr(message, field, value)
    with pytest.raises(ValueError, match=expected):
        image_from_message(message, "agentview")


def observed(joints, pose, images=()) -> Observation:
    messages = {"joint_states": joints, "eef_pose": pose} | {
        f"camera/{name}/image_raw": image for name, image in images
    }
    return observation_from_messages(ROBOT, [name for name, _ in images], messages)


def test_an_observation_is_put_together():
    image = image_to_message(np.full((2, 3, 3), 9, np.uint8), to_time(50), "f")
    observation = observed(joint_states(50), eef_pose(50), [("eye_in_hand", image)])
    assert observation.stamp == 50 and observation.scene is None
    assert observation.images["eye_in_hand"].shape == (2, 3, 3)
    half = np.pi / np.sqrt(2)  # the hand's frame is turned by 90 degrees about z against the grip site's
    np.testing.assert_allclose(observation.proprio, [0.1, 0.2, 0.3, half, -half, 0, 0.04, -0.04], rtol=1e-6)


@pytest.mark.parametrize(
    ("joints", "pose", "expected"),
    [
        (joint_states(1), eef_pose(2), "eef_pose has stamp 2 ns, but joint_states has 1 ns"),
        (
            joint_states(names=("j1", FINGERS[0], "j2")),
            eef_pose(),
            "joint_states has no position of gripper0_finger_joint2 .state group 'fingers'.; it has j1",
        ),
        (joint_states(positions=(1.0,)), eef_pose(), "has 3 names but 1 values of position"),
        (joint_states(positions=(1.0, np.nan, 0.0)), eef_pose(), "state group 'fingers' is not finite"),
        (joint_states(), eef_pose(position=(np.inf, 0, 0)), "state group 'eef_position' is not finite"),
        (joint_states(), eef_pose(quaternion=(0, 0, 0, 0)), "quaternion of norm 0.0, expected 1"),
        (joint_states(), eef_pose(quaternion=(np.nan, 0, 0, 1)), "quaternion of norm nan, expected 1"),
    ],
)
def test_malformed_proprioception_is_named(joints, pose, expected):
    with pytest.raises(ValueError, match=expected):
        observed(joints, pose)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_the_stamp_of_a_serialised_message_is_read_without_the_rest(nanoseconds):
    assert stamp_of_serialized(serialize_message(eef_pose(nanoseconds))) == nanoseconds


@given(st.data(), st.integers(1, 5), st.integers(1, 8))
def test_a_chunk_comes_back_as_it_was(data, horizon, predicted):
    actions = data.draw(npst.arrays(np.float32, (horizon, 7), elements=st.floats(-1, 1, width=32)))
    eos_index = data.draw(st.sampled_from([-1, horizon - 1]))
    chunk = Chunk(actions, np.linspace(0, 1, predicted, dtype=np.float32), eos_index)
    request = ChunkRequest(episode=3, plan_id="p", substep_index=2, attempt=1)
    request.header.stamp = to_time(99)
    message = through_the_wire(chunk_to_message(chunk, request, "model", 0.25))
    back = chunk_from_message(message)
    np.testing.assert_array_equal(back.actions, chunk.actions)
    np.testing.assert_array_equal(back.eos_probabilities, chunk.eos_probabilities)
    assert back.eos_index == chunk.eos_index
    identity = (message.header.stamp.nanosec, message.episode, message.plan_id, message.substep_index, message.attempt)
    assert identity == (99, 3, "p", 2, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"horizon": 2, "action_dim": 7, "actions": [0.0] * 13}, r"13 values, expected 14 \(horizon 2 x action_dim"),
        ({"horizon": 0, "action_dim": 7, "actions": []}, r"shape \(0, 7\), expected \(horizon >= 1"),
        ({"horizon": 2, "action_dim": 1, "actions": [0.0] * 2, "eos_index": 0}, "eos_index 0 does not fit 2 actions"),
        ({"horizon": 2, "action_dim": 1, "actions": [0.0] * 2, "eos_index": 7}, "eos_index 7 does not fit 2 actions"),
    ],
)
def test_a_malformed_chunk_is_named(fields, expected):
    with pytest.raises(ValueError, match=expected):
        chunk_from_message(ActionChunk(**fields))


def test_the_scene_comes_back_as_it_was():
    one, two, three = np.eye(3)
    turned = np.array([0.0, 0.0, 0.6, 0.8])
    scene = core.SceneState(
        objects={"mug_1": core.SceneObject("mug_1", "mug", True, one, turned, -two, three)},
        joints={"top": core.SceneJoint("top", "cabinet_1", 0.2, one, two, three, turned, -one, one)},
        regions={"inside": core.SceneRegion("inside", "cabinet_1", two, turned, three)},
        grasped=frozenset({"mug_1"}),
        predicates={"in mug_1 inside": False, "open top": True},
    )
    back = scene_from_message(through_the_wire(scene_to_message(scene, to_time(1))))
    for kind in ("objects", "joints", "regions"):
        for name, item in getattr(scene, kind).items():
            for field, value in vars(item).items():
                np.testing.assert_array_equal(getattr(getattr(back, kind)[name], field), value)
    assert (back.grasped, back.predicates) == (scene.grasped, scene.predicates)


def test_predicates_without_values_are_an_error():
    with pytest.raises(ValueError, match="2 predicates but 1 values"):
        scene_from_message(SceneState(predicates=["a", "b"], predicate_values=[True]))
