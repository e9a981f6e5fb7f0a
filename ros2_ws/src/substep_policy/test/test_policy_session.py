"""A policy at work: when it is told of substeps, and what is done where it is stuck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_policy.chunk import NO_EOS, Chunk
from substep_policy.gripper_commitment import GripperCommitment
from substep_policy.observation import PROPRIO_DIM, Observation
from substep_policy.policy_session import PolicySession, StuckSettings
from substep_policy.request_desk import SubstepKey

SEEN = Observation({}, np.zeros(PROPRIO_DIM, np.float32))
PLAIN = StuckSettings(gripper_patience=-1, back_off_steps=0)
OPEN, CLOSE = -1.0, 1.0


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
        grippers = [CLOSE if letter == "c" else OPEN for letter in self.script.pop(0)]
        actions = np.full((len(grippers), 7), 0.25, np.float32)
        actions[:, -1] = grippers
        return Chunk(actions, eos_index=len(actions) - 1 if self.eos else NO_EOS)


def grippers(chunk: Chunk) -> str:
    return "".join("c" if value > 0 else "o" for value in chunk.actions[:, -1])


def answers(script: tuple[str, ...], patience: int) -> list[str]:
    policy = GripperCommitment(Scripted(*script), patience)
    policy.start_substep("pick up the bowl", "")
    return [grippers(policy.predict(SEEN)) for _ in script]


def test_a_gripper_that_never_comes_to_closing_closes_when_patience_is_over():
    assert answers(("oooc", "oooc", "oooc", "oooc"), patience=1) == ["oooc", "oooc", "cccc", "cccc"]
    assert answers(("ccco", "ccco", "ccco"), patience=0) == ["ccco", "oooo", "oooo"]


def test_only_the_gripper_is_held_to_what_it_began():
    policy = GripperCommitment(Scripted("oc", "oc", eos=True), 0)
    policy.start_substep("pick up the bowl", "")
    policy.predict(SEEN)
    chunk = policy.predict(SEEN)
    assert grippers(chunk) == "cc" and chunk.has_eos and (chunk.actions[:, :6] == 0.25).all()


def test_patience_begins_anew_where_the_gripper_did_as_it_had_begun():
    script = ("oooc", "oooc", "cccc", "oooc", "oooc", "oooc")
    assert answers(script, patience=1) == ["oooc", "oooc", "cccc", "oooc", "cccc", "cccc"]


def test_another_substep_owes_nothing_to_the_last_ones_gripper():
    policy = GripperCommitment(Scripted("oc", "oc"), 0)
    for instruction in ("pick up the bowl", "pick up the plate"):
        policy.start_substep(instruction, "")
        assert grippers(policy.predict(SEEN)) == "oc"


@given(st.lists(st.text("oc", min_size=1, max_size=8), min_size=1, max_size=12).map(tuple), st.integers(0, 3))
def test_a_chunk_is_left_alone_unless_it_takes_back_what_it_ends_with(script, patience):
    for before, wanted, got in zip(("", *script), script, answers(script, patience), strict=False):
        assert got in (wanted, wanted[-1] * len(wanted))
        if got != wanted:
            assert before[-1] == wanted[-1] != wanted[0]


def test_a_policy_is_told_of_every_issue_of_a_substep_once():
    policy = Scripted(*["oo"] * 5)
    session = PolicySession(policy, PLAIN)
    first, again, other = SubstepKey("p", 0, 0), SubstepKey("p", 0, 1), SubstepKey("p", 1, 0)
    requests = ((1, first, "a"), (1, first, "a"), (1, again, "a"), (1, other, "b"), (2, other, "b"))
    for episode, key, instruction in requests:
        session.chunk(episode, key, instruction, "", SEEN)
    assert policy.told == ["a", "a", "b", "b"]


def test_a_refused_substep_is_told_again_when_it_is_asked_for_again():
    session = PolicySession(policy := Scripted(), PLAIN)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot fly"):
            session.chunk(1, SubstepKey("p", 0, 0), "fly", "", SEEN)
    assert policy.told == ["fly", "fly"]


def test_another_attempt_begins_with_backing_off_upwards_with_the_gripper_as_it_is():
    session = PolicySession(Scripted("oc", "oo"), StuckSettings(back_off_steps=4))
    first, again = SubstepKey("p", 0, 0), SubstepKey("p", 0, 1)
    session.chunk(1, first, "a", "", SEEN)
    away = session.chunk(1, again, "a", "", SEEN)
    assert grippers(away) == "cccc" and not away.has_eos
    assert (away.actions[:, 2] > 0.5).all() and not away.actions[:, [0, 1, 3, 4, 5]].any()
    assert grippers(session.chunk(1, again, "a", "", SEEN)) == "oo"


@pytest.mark.parametrize("case", ["off", "new episode", "sees the scene"])
def test_nothing_is_backed_off_from(case):
    policy = Scripted("oc", "oo", requires_scene=case == "sees the scene")
    session = PolicySession(policy, StuckSettings(back_off_steps=0 if case == "off" else 4))
    session.chunk(1, SubstepKey("p", 0, 0), "a", "", SEEN)
    assert grippers(session.chunk(2 if case == "new episode" else 1, SubstepKey("p", 0, 1), "a", "", SEEN)) == "oo"


def test_a_policy_that_sees_the_scene_keeps_its_own_gripper():
    session = PolicySession(Scripted(*["oc"] * 4, requires_scene=True), StuckSettings(gripper_patience=0))
    key = SubstepKey("p", 0, 0)
    assert [grippers(session.chunk(1, key, "a", "", SEEN)) for _ in range(4)] == ["oc"] * 4
