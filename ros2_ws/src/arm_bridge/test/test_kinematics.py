"""Chains from URDF, and an arm that comes near a singularity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arm_bridge.bench import ADAPTERS, Rig
from arm_bridge.kinematics import Chain, JointEffort
from arm_bridge.settings import DescriptionInput
from substep_core.contract import SingularityLimits
from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind

LIMITS = SingularityLimits(linear=20.0, angular=5.0)


def urdf(*joints: tuple[str, str, str, str]) -> str:
    """A chain l0, l1, …: of each joint its name, type, axis and origin."""
    parts = [
        f'<joint name="{name}" type="{kind}"><parent link="l{place}"/><child link="l{place + 1}"/>'
        f'<origin xyz="{origin}"/><axis xyz="{axis}"/></joint>'
        for place, (name, kind, axis, origin) in enumerate(joints)
    ]
    return f"<robot>{''.join(parts)}</robot>"


SLIDES = (
    ("x", "prismatic", "1 0 0", "0 0 0"),
    ("y", "prismatic", "0 1 0", "0 0 0"),
    ("z", "prismatic", "0 0 1", "0 0 0"),
)
WRIST = (
    ("j1", "revolute", "0 0 1", "0 0 0"),
    ("j2", "revolute", "0 1 0", "0 0 0"),
    ("j3", "continuous", "1 0 0", "0 0 0"),
)
HAND = ("hand", "fixed", "1 0 0", "0 0 0.2")


def test_a_jacobian_is_that_of_the_chain():
    chain = Chain.from_urdf(
        urdf(("slide", "prismatic", "0 0 1", "0 0 1"), ("turn", "revolute", "0 0 2", "1 0 0"), HAND), "l0", "l3"
    )
    arm = Chain.from_urdf(
        urdf(("first", "revolute", "0 0 1", "0 0 0"), ("tip", "fixed", "0 0 0", "0.5 0 0")), "l0", "l2"
    )
    assert chain.joints == ("slide", "turn")
    assert np.allclose(chain.jacobian({"slide": 0.3, "turn": 1.0}), [[0, 0], [0, 0], [1, 0], [0, 0], [0, 0], [0, 1]])
    at_right_angle = arm.jacobian({"first": np.pi / 2, "other": 0.0})
    assert np.allclose(at_right_angle[:, 0], [-0.5, 0, 0, 0, 0, 1]), "half a metre out along y, turning about z"


@pytest.mark.parametrize("pitch", [0.0, 0.5, -1.2])
def test_the_effort_near_a_wrists_singularity_is_what_its_angles_say(pitch):
    chain = Chain.from_urdf(urdf(*SLIDES, *WRIST), "l0", "l6")
    effort = JointEffort.of(chain.jacobian(dict.fromkeys(chain.joints, 0.0) | {"j2": pitch}))
    assert effort.linear == pytest.approx(1.0), "the slides do it, metre by metre"
    assert effort.angular == pytest.approx(1 / np.sqrt(1 - abs(np.sin(pitch))))


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-11])
def test_at_the_singularity_itself_nothing_is_fast_enough(pitch):
    chain = Chain.from_urdf(urdf(*SLIDES, *WRIST), "l0", "l6")
    effort = JointEffort.of(chain.jacobian(dict.fromkeys(chain.joints, 0.0) | {"j2": pitch}))
    assert effort.linear == pytest.approx(1.0) and effort.angular > 1e9 and "turning" in effort.beyond(LIMITS)


@pytest.mark.parametrize("bend", [0.0, 1e-3])
def test_a_straight_elbow_cannot_be_moved_along_itself(bend):
    out = "0 0 0.5"
    elbow = (("a", "revolute", "0 1 0", "0 0 0"), ("b", "revolute", "0 1 0", out), ("c", "revolute", "0 1 0", out))
    chain = Chain.from_urdf(urdf(*elbow, ("hand", "fixed", "", out)).replace('<axis xyz=""/>', ""), "l0", "l4")
    effort = JointEffort.of(chain.jacobian({"a": 0.0, "b": bend, "c": 0.0}))
    assert effort.linear > 1e3 and "moving" in effort.beyond(LIMITS)


ONE = ("j", "revolute", "0 0 1", "0 0 0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no xml", "is no XML"),
        (urdf(*WRIST), "no joint above link 'l9'"),
        (
            urdf(("j", "floating", "1 0 0", "0 0 0")).replace("l1", "l9"),
            "'j' of the robot's description is of type 'float",
        ),
        (urdf(("j", "revolute", "1 0", "0 0 0")).replace("l1", "l9"), "xyz='1 0', expected three finite numbers"),
        (urdf(("j", "revolute", "0 0 1", "0 nan 0")).replace("l1", "l9"), "xyz='0 nan 0', expected three finite"),
        (urdf(ONE).replace("l1", "l9").replace('<parent link="l0"/>', ""), "joint 'j' .* has no parent link"),
        (urdf(ONE).replace("l1", "l9").replace('<child link="l9"/>', "<child/>"), "joint 'j' .* has no child link"),
        (urdf(ONE, ONE).replace("l2", "l9").replace("l0", "l9"), "its joints form a cycle"),
        (urdf(ONE, ONE).replace("l1", "l9").replace("l2", "l9"), "two joints above link 'l9'"),
        (urdf(("j", "revolute", "0 0 0", "0 0 0")).replace("l1", "l9"), "'j' .* moves, and its axis has no length"),
        (urdf(("", "revolute", "0 0 1", "0 0 0")).replace("l1", "l9"), "of type 'revolute' .* has no name"),
        (urdf(("j", "fixed", "0 0 1", "0 0 0")).replace("l1", "l9"), "no joint that moves from 'l0' to 'l9'"),
    ],
)
def test_a_description_that_does_not_hold_the_chain_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Chain.from_urdf(text, "l0", "l9")


@pytest.fixture
def rig() -> Rig:
    """An arm whose wrist turns by j1, j2 and j3; it is described, and armed."""
    contract, settings = ADAPTERS["cartesian_rate"]()
    description = DescriptionInput(topic="/robot_description", base="l0", tip="l3")
    rig = Rig(replace(contract, singularity=LIMITS), replace(settings, description=description))
    rig.speak()
    rig.arm.shadow()
    assert "no description has come" in rig.arm.arm()
    rig.arm.hear_description(urdf(*WRIST))
    return rig.ready()


def test_an_arm_near_a_singularity_halts_with_a_code_and_goes_on_when_it_has_been_moved_away(rig):
    forward = np.array([0.5, 0, 0, 0, 0, 0, -1.0])
    assert rig.step(forward) and rig.state == "armed"
    rig.joints = np.array([0.0, 1.5, 0.0])
    sent = rig.step(forward)
    assert rig.state == "holding" and rig.arm.safety.code is ErrorCode.ROBOT_HALTED
    assert rig.arm.hindrance.kind is HoldKind.ROBOT_HALTED
    assert "turning by 1 rad/s in the hardest direction takes 20.0 rad/s of the joints" in rig.arm.hindrance.text
    assert sent, "the stop"
    rig.joints = np.array([0.0, 0.3, 0.0])
    for _ in range(20):
        rig.step(forward)
    assert rig.state == "armed"


def test_a_description_without_the_links_is_a_fault(rig):
    rig.arm.hear_description("<robot/>")
    assert rig.state == "fault" and "no joint above link 'l3'" in rig.transitions[-1].cause


def test_a_new_description_is_looked_at_where_the_arm_stands(rig):
    rig.arm.hear_description(urdf(*(("j2", "revolute", "1 0 0", "0 0 0"), *WRIST[::2])).replace("j2", "jx", 1))
    assert "joint jx of the robot's description is not measured" in rig.arm.trouble().text
    rig.arm.hear_description(urdf(("j1", *WRIST[2][1:]), ("j2", *WRIST[2][1:]), WRIST[2]))
    assert "near a singularity" in rig.arm.trouble().text, "three axes in a line"


def test_limits_and_description_need_each_other():
    contract, settings = ADAPTERS["cartesian_rate"]()
    with pytest.raises(ValueError, match="description is none, and contract standin has limits of a singularity"):
        replace(settings, cameras={}).check(replace(contract, singularity=LIMITS))
