"""Questions gathered into batches, and what a machine of a cluster must have like the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from substep_cli.grammar import main
from substep_policy.registry import PolicySettings
from training.evaluation.cluster import play
from training.evaluation.cluster.batching import Batcher
from training.evaluation.cluster.checkout import Checkout, check_alike
from training.evaluation.cluster.policies import PolicyServer

LONG = 1000.0  # s: nobody waits so long here


class Doubling:
    """Answers with the doubles, and keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        return [2 * number for number in numbers]


def ask_all(batcher: Batcher, numbers: Sequence[int]) -> list[int]:
    async def ask() -> list[int]:
        return await asyncio.gather(*map(batcher.ask, numbers))

    return asyncio.run(ask())


def test_a_batch_begins_as_soon_as_it_is_full_and_every_one_gets_its_own_answer():
    doubling = Doubling()
    assert ask_all(Batcher(doubling, 3, LONG), range(6)) == [0, 2, 4, 6, 8, 10]
    assert doubling.batches == [[0, 1, 2], [3, 4, 5]]


def test_what_waits_is_answered_in_time_although_the_batch_is_not_full():
    doubling = Doubling()
    assert ask_all(Batcher(doubling, 16, 0.01), range(2)) == [0, 2]
    assert sorted(number for batch in doubling.batches for number in batch) == [0, 1]


def test_what_comes_while_a_batch_is_answered_is_the_next_one():
    """Of three, two come while the first is being answered."""
    answering, go_on, batches = threading.Event(), threading.Event(), []

    def answer(numbers: Sequence[int]) -> Sequence[int]:
        batches.append(list(numbers))
        answering.set()
        assert go_on.wait(30)
        return numbers

    async def ask() -> list[int]:
        batcher = Batcher(answer, 4, 0.0)
        first = asyncio.ensure_future(batcher.ask(1))
        await asyncio.get_running_loop().run_in_executor(None, answering.wait)
        others = [asyncio.ensure_future(batcher.ask(number)) for number in (2, 3)]
        await asyncio.sleep(0)  # they begin to wait
        go_on.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask()) == [1, 2, 3]
    assert batches == [[1], [2, 3]]


def test_what_a_batch_raises_is_raised_to_all_who_asked_and_the_next_one_is_answered():
    calls = []

    def answer(numbers: Sequence[int]) -> Sequence[int]:
        calls.append(numbers)
        if len(calls) == 1:
            raise MemoryError("no room")
        return numbers

    async def ask() -> list[object]:
        batcher = Batcher(answer, 2, LONG)
        found = await asyncio.gather(*map(batcher.ask, (1, 2)), return_exceptions=True)
        return [*found, *await asyncio.gather(*map(batcher.ask, (3, 4)))]

    *errors, third, fourth = asyncio.run(ask())
    assert [str(error) for error in errors] == ["no room"] * 2 and (third, fourth) == (3, 4)


def test_who_is_gone_keeps_no_error_from_the_others_of_its_batch():
    answering, go_on = threading.Event(), threading.Event()

    def answer(numbers: Sequence[int]) -> Sequence[int]:
        answering.set()
        assert go_on.wait(30)
        raise MemoryError("no room")

    async def ask() -> list[object]:
        batcher = Batcher(answer, 2, LONG)
        gone, other = (asyncio.ensure_future(batcher.ask(number)) for number in (1, 2))
        await asyncio.get_running_loop().run_in_executor(None, answering.wait)
        gone.cancel()
        await asyncio.sleep(0)  # it is
        go_on.set()
        return await asyncio.wait_for(asyncio.gather(other, return_exceptions=True), 30)

    assert [str(error) for error in asyncio.run(ask())] == ["no room"]


def test_a_machine_with_other_code_or_another_checkpoint_is_refused_by_name():
    here = Checkout.here("compact")
    check_alike(here, "compact")
    with pytest.raises(ValueError, match="machine .* has commit '.*', expected 'another'; policy '.*', expected 'x'"):
        check_alike(replace(here, commit="another", policy="x"), "compact")


def test_a_policy_is_not_answered_with_on_another_machine_that_it_was_started_anew_on():
    server = PolicyServer("compact", PolicySettings(), 1, 0.0, replace(Checkout.here("compact"), commit="another"))
    with pytest.raises(ChildProcessError, match="cannot be replaced: machine .* has commit '.*', expected 'another'"):
        asyncio.run(server.begin(None, "pick up the bowl", "tidy up"))


def test_without_ray_it_is_said_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(play, "has_ray", lambda: False)
    line = ["eval", "--policy", "demonstrator", "--suites", "libero_goal", "--tasks", "7", "--out", str(tmp_path / "x")]
    assert main([*line, "--ray", "auto"]) == 1
    assert (
        "--ray needs Ray, which is not installed: ./substep install -r requirements/ray.txt" in capsys.readouterr().err
    )
    assert not (tmp_path / "x").exists()


def test_what_only_one_machine_plays_is_refused(capsys, tmp_path):
    line = ["eval", "--policy", "demonstrator", "--suites", "libero_goal", "--tasks", "7", "--out", str(tmp_path / "x")]
    assert main([*line, "--probes", "policy", "--through", "graph", "--ray", "auto"]) == 2
    assert "--ray plays in process, not through the graph" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--ray auto --workers 2", "--ray auto and --workers 2 cannot go together: expected --cluster.simulators"),
        ("--ray auto --merge 2", "--ray auto and --merge 2 cannot go together: a merge plays nothing"),
        ("--workers 2 --merge 2", "--workers 2 and --merge 2 cannot go together: a merge plays nothing"),
        ("--cluster.policies 1", "there is no --ray: expected --ray too, or --workers alone"),
        ("--cluster.wait 0.01", "there is no --ray: expected --ray too, or --workers alone"),
        (
            "--ray auto --cluster.batch-size 0",
            "--cluster.batch-size is '0': Input should be greater than or equal to 1",
        ),
    ],
)
def test_options_that_mean_nothing_together_are_refused(options: str, message: str, capsys, tmp_path):
    line = ["eval", "--policy", "demonstrator", "--suites", "libero_goal", "--tasks", "7", "--out", str(tmp_path / "x")]
    assert main([*line, *options.split()]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x").exists()
