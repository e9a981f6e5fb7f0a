"""A policy at work: when it is told of substeps, and what is done where it is stuck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import load_robot
from substep_core.keys import IssuedSubstep, SubstepKey
from substep_core.observation import Observation
from substep_policy.session.gripper_commitment import GripperCommitment
from substep_policy.session.policy_session import PolicySession, StuckSettings

ROBOT = load_robot("libero_panda")
SEEN = Observation({}, np.zeros(ROBOT.state_width, np.float32))
PLAIN = StuckSettings(gripper_patience=-1, back_off_steps=0)
OPEN, CLOSE = (np.array([0, 0, 0, 0, 0, 0, value], np.float32) for value in (-1.0, 1.0))


class Scripted:
    """Answers with chunks whose grippers are those of ``script``, one text a chunk: "ooc" opens twice and closes."""

    name, device, dtype = "scripted", "cpu", "float32"

    def __init__(self, *script: str, requires_scene: bool = False, eos: bool = False) -> None:
        self.requires_scene, self.eos = requires_scene, eos
        self.script, self.told = list(script), []

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append(instruction)
        if instruction == "fly":
            raise ValueError("cannot fly")

    def predict(self, observation: Observation) -> Chunk:
        grippers = [1.0 if letter == "c" else -1.0 for letter in self.script.pop(0)]
        actions = np.full((len(grippers), 7), 0.25, np.float32)
        actions[:, -1] = grippers
        return Chunk(actions, eos_index=len(actions) - 1 if self.eos else NO_EOS)


def grippers(chunk: Chunk) -> str:
    return "".join("c" if value > 0 else "o" for value in chunk.actions[:, -1])


def committed(patience: int) -> GripperCommitment:
    return GripperCommitment(patience, ROBOT.gripper, ROBOT.action_slice(ROBOT.gripper))


def answers(script: tuple[str, ...], patience: int) -> list[str]:
    """What is left of a script when every chunk is played to its end."""
    commitment, policy, commanded, found = committed(patience), Scripted(*script), OPEN, []
    for _ in script:
        chunk = commitment.hold(policy.predict(SEEN), commanded)
        commanded = chunk.actions[-1]
        found.append(grippers(chunk))
    return found


def test_a_gripper_that_never_comes_to_closing_closes_when_patience_is_over():
    assert answers(("oooc", "oooc", "oooc", "oooc"), patience=1) == ["oooc", "oooc", "cccc", "cccc"]
    assert answers(("ccco", "ccco", "ccco"), patience=0) == ["oooo", "oooo", "oooo"]


def test_a_gripper_closes_when_patience_is_over_also_where_no_chunk_is_played_to_its_end():
    """Chunks that are asked for ahead: the closing at the end of each is replaced by the next one's beginning."""
    commitment, policy = committed(patience=1), Scripted(*["oooc"] * 4)
    found = [grippers(commitment.hold(policy.predict(SEEN), OPEN, goes_on=True)) for _ in range(4)]
    assert found == ["oooc", "oooc", "cccc", "cccc"]
    commitment.begin()
    assert grippers(commitment.hold(Scripted("oooc").predict(SEEN), OPEN, goes_on=True)) == "oooc"


def test_only_the_gripper_is_held_to_what_it_began():
    chunk = committed(0).hold(Scripted("oc", eos=True).predict(SEEN), commanded=CLOSE)
    assert grippers(chunk) == "cc" and chunk.has_eos and (chunk.actions[:, :6] == 0.25).all()


def test_patience_begins_anew_where_the_gripper_did_as_it_had_begun():
    script = ("oooc", "oooc", "cccc", "oooc", "oooc", "oooc")
    assert answers(script, patience=1) == ["oooc", "oooc", "cccc", "oooc", "cccc", "cccc"]


@given(st.lists(st.text("oc", min_size=1, max_size=8), min_size=1, max_size=12).map(tuple), st.integers(0, 3))
def test_a_chunk_is_left_alone_unless_it_takes_back_what_it_ends_with(script, patience):
    for before, wanted, got in zip(("o", *script), script, answers(script, patience), strict=False):
        assert got in (wanted, wanted[-1] * len(wanted))
        if got != wanted:
            assert before[-1] == wanted[-1] != wanted[0]


def issued(index: int = 0, attempt: int = 0, instruction: str = "a", back_off: bool = False) -> IssuedSubstep:
    return IssuedSubstep(SubstepKey("p", index, attempt), instruction, "", back_off)


def test_a_policy_is_told_of_every_issue_of_a_substep_once():
    policy = Scripted(*["oo"] * 5)
    session = PolicySession(policy, ROBOT, PLAIN)
    requests = ((1, issued()), (1, issued()), (1, issued(attempt=1)), (1, issued(1, 0, "b")), (2, issued(1, 0, "b")))
    for episode, substep in requests:
        session.chunk(episode, substep, OPEN, SEEN)
    assert policy.told == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("again", "then"),
    [
        (issued(attempt=1), "cccc"),  # the same substep, issued again because it was not over
        (issued(attempt=1, back_off=True), "oooc"),
        (issued(1), "oooc"),
    ],
)
def test_patience_outlasts_the_same_substep_being_issued_again(again: IssuedSubstep, then: str):
    session = PolicySession(Scripted(*["oooc"] * 3), ROBOT, StuckSettings(gripper_patience=1, back_off_steps=0))
    assert grippers(session.chunk(1, issued(), OPEN, SEEN)) == "oooc"
    assert grippers(session.chunk(1, issued(), CLOSE, SEEN)) == "oooc"
    assert grippers(session.chunk(1, again, CLOSE, SEEN)) == then


def test_a_refused_substep_is_told_again_when_it_is_asked_for_again():
    session = PolicySession(policy := Scripted(), ROBOT, PLAIN)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot fly"):
            session.chunk(1, issued(instruction="fly"), OPEN, SEEN)
    assert policy.told == ["fly", "fly"]


@pytest.mark.parametrize("gripper", [-1.0, 1.0])
def test_what_failed_begins_with_backing_off_upwards_with_the_gripper_as_it_is(gripper: float):
    held = OPEN if gripper < 0 else CLOSE
    session = PolicySession(Scripted("oo"), ROBOT, StuckSettings(back_off_steps=4))
    away = session.chunk(1, issued(attempt=1, back_off=True), held, SEEN)
    assert (away.actions[:, -1] == gripper).all() and len(away.actions) == 4 and not away.has_eos
    assert (away.actions[:, 2] > 0.5).all() and not away.actions[:, [0, 1, 3, 4, 5]].any()
    assert grippers(session.chunk(1, issued(attempt=1, back_off=True), held, SEEN)) == "oo"


@pytest.mark.parametrize(
    ("steps", "requires_scene", "back_off"), [(0, False, True), (4, True, True), (4, False, False)]
)
def test_nothing_is_backed_off_from(steps: int, requires_scene: bool, back_off: bool):
    session = PolicySession(Scripted("oo", requires_scene=requires_scene), ROBOT, StuckSettings(back_off_steps=steps))
    assert grippers(session.chunk(1, issued(attempt=1, back_off=back_off), CLOSE, SEEN)) == "oo"


def test_patience_begins_anew_with_a_substep():
    session = PolicySession(Scripted(*["oc"] * 3), ROBOT, StuckSettings(gripper_patience=1))
    played = [grippers(session.chunk(1, substep, CLOSE, SEEN)) for substep in (issued(0), issued(1), issued(1))]
    assert played == ["oc", "oc", "cc"]


def test_a_policy_that_sees_the_scene_keeps_its_own_gripper():
    session = PolicySession(Scripted(*["oc"] * 4, requires_scene=True), ROBOT, StuckSettings(gripper_patience=0))
    assert [grippers(session.chunk(1, issued(), CLOSE, SEEN)) for _ in range(4)] == ["oc"] * 4
