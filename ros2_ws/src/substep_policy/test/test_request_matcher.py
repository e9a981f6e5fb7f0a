"""What the policy node works on and when: observation sync and request matcher."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.keys import IssuedSubstep, RequestKey, SubstepKey
from substep_core.observation_sync import ObservationSync
from substep_policy.session.request_matcher import RequestMatcher

TOPICS = ("image", "joints")
STEP = SubstepKey("p", 0, 0)


@given(st.permutations([(topic, stamp) for stamp in (1, 2, 3) for topic in TOPICS]), st.integers(3, 5))
def test_an_instant_is_complete_when_its_last_message_arrives_in_whatever_order(arrivals, capacity):
    sync = ObservationSync(TOPICS, capacity)
    seen = set()
    for topic, stamp in arrivals:
        sync.add(topic, stamp, f"{topic}{stamp}")
        seen.add((topic, stamp))
        for asked in (1, 2, 3):
            missing = [topic for topic in TOPICS if (topic, asked) not in seen]
            assert sync.missing(asked) == missing
            expected = None if missing else {topic: f"{topic}{asked}" for topic in TOPICS}
            assert sync.messages(asked) == expected


def test_memory_is_bounded_and_the_oldest_arrival_leaves_even_if_its_stamp_is_larger():
    sync = ObservationSync(TOPICS, capacity=2)
    for stamp in (1000, 1, 2):
        sync.add("image", stamp, stamp)
    assert sync.missing(1000) == ["image", "joints"]
    assert sync.missing(1) == sync.missing(2) == ["joints"]


def test_a_foreign_topic_is_an_error():
    with pytest.raises(KeyError, match="'sound' is not part of the observation"):
        ObservationSync(TOPICS).add("sound", 1, None)


@pytest.mark.parametrize(("topics", "capacity"), [((), 1), (TOPICS, 0)])
def test_a_sync_of_nothing_is_an_error(topics, capacity):
    with pytest.raises(ValueError, match="at least one topic|expected 1 or more"):
        ObservationSync(topics, capacity)


def desk():
    return RequestMatcher(ObservationSync(TOPICS))


def events(stamp, substep=STEP):
    """What must come before a request can be worked on."""
    return [
        lambda desk: desk.observe("image", stamp, "i"),
        lambda desk: desk.observe("joints", stamp, "j"),
        lambda desk: desk.set_substep(IssuedSubstep(substep, "pick up the bowl", "the task")),
        lambda desk: desk.request(RequestKey(stamp, 1, substep), "request"),
        lambda desk: desk.set_episode(1),
    ]


@given(st.permutations(range(5)))
def test_work_is_handed_out_once_by_whatever_comes_last(order):
    at_desk = RequestMatcher(ObservationSync(TOPICS), episode=0)
    results = [events(5)[index](at_desk) for index in order]
    assert results[:-1] == [None] * 4
    work = results[-1]
    assert (work.key, work.request) == (RequestKey(5, 1, STEP), "request")
    assert (work.substep.instruction, work.substep.task) == ("pick up the bowl", "the task")
    assert work.messages == {"image": "i", "joints": "j"}
    assert [event(at_desk) for event in events(5)] == [None] * 5  # the same request again is no new work


def test_a_newer_request_replaces_the_one_that_waits():
    at_desk = desk()
    at_desk.set_substep(IssuedSubstep(STEP, "pick", "task"))
    at_desk.request(RequestKey(1, 1, STEP), "old")
    at_desk.request(RequestKey(2, 1, STEP), "new")
    assert [at_desk.observe(topic, 1, topic) for topic in TOPICS] == [None, None]
    at_desk.observe("image", 2, "i")
    assert at_desk.observe("joints", 2, "j").request == "new"
    assert not at_desk.is_newest(RequestKey(1, 1, STEP)) and at_desk.is_newest(RequestKey(2, 1, STEP))


def test_a_request_for_another_substep_than_the_active_one_waits_and_says_for_what():
    at_desk = desk()
    at_desk.set_substep(IssuedSubstep(STEP, "pick", "task"))
    at_desk.observe("image", 1, "i")
    at_desk.request(RequestKey(1, 1, SubstepKey("p", 1, 0)), "request")
    assert at_desk.waiting_for() == "joints, active_substep"
    at_desk.observe("joints", 1, "j")
    assert at_desk.waiting_for() == "active_substep"
    work = at_desk.set_substep(IssuedSubstep(SubstepKey("p", 1, 0), "place", "task"))
    assert work.substep.instruction == "place"
    assert at_desk.waiting_for() == ""
