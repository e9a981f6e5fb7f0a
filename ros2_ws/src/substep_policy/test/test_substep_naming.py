"""Questions for words and their answers, without ROS: nobody waits for ever."""

from __future__ import annotations

import queue
import threading

import pytest

from substep_core.named_substep import NamedSubstep
from substep_policy.session.substep_naming import ENDED, NamingAnswer, SubstepNaming

PATIENCE = 10.0  # s


@pytest.fixture
def asked():
    """``asked(naming, task, newest)``: the queue that the answer comes into."""

    def ask(naming: SubstepNaming, task: str, newest: dict | None) -> queue.Queue[NamingAnswer]:
        answers: queue.Queue[NamingAnswer] = queue.Queue()
        naming.ask(task, answers.put, newest)
        return answers

    return ask


def test_questions_are_answered_in_turn_and_one_that_comes_too_late_at_once(asked):
    begun, goes_on = threading.Event(), threading.Event()

    def name(task: str, messages: dict) -> NamingAnswer:
        begun.set()
        assert goes_on.wait(PATIENCE)
        return NamingAnswer(NamedSubstep(f"{task} {messages['seen']}", 0.5, True))

    naming = SubstepNaming(name, pytest.fail)
    first = asked(naming, "first", {"seen": 1})
    assert begun.wait(PATIENCE)
    second = asked(naming, "second", None)  # waits for what is seen next
    ending = threading.Thread(target=naming.stop)
    ending.start()
    goes_on.set()
    ending.join(PATIENCE)
    assert first.get(timeout=PATIENCE).named.text == "first 1"
    assert second.get(timeout=PATIENCE).why_not == ENDED
    assert asked(naming, "third", {"seen": 2}).get(timeout=PATIENCE).why_not == ENDED


def test_what_a_policy_cannot_say_is_an_answer_and_other_errors_end_the_thread(asked):
    failures: queue.Queue[Exception] = queue.Queue()

    def name(task: str, messages: dict) -> NamingAnswer:
        raise ValueError("too long") if task == "long" else RuntimeError("out of memory")

    naming = SubstepNaming(name, failures.put)
    assert asked(naming, "long", {"seen": 1}).get(timeout=PATIENCE).why_not == "too long"
    lost = asked(naming, "other", {"seen": 1})
    assert str(failures.get(timeout=PATIENCE)) == "out of memory"
    assert lost.get(timeout=PATIENCE).why_not == "the policy failed: RuntimeError: out of memory"
    naming.stop()
