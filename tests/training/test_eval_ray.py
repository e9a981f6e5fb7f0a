"""Episodes on a Ray cluster of two nodes that these tests start: the same as elsewhere, and what deaths do."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from substep_cli.grammar import main
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.observation import Observation
from substep_core.policy_source import fingerprint
from substep_core.protocol import ChunkRefused
from substep_policy.policy import Asked, answer
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.conftest import write_untrained_policy
from tests.training.dying_simulator import ALWAYS, ONCE, RAISES, DyingSimulator
from tests.training.test_eval_workers import records, untimed
from training.evaluation.episodes import EpisodeKey, Job, jobs
from training.evaluation.settings import EpisodeSettings, Selection
from training.evaluation.workers import Line, play_job
from training.workers import waiting_in

ray = pytest.importorskip("ray", reason="an extra: ./substep install -r requirements/ray.txt")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

MEMORY = 100_000_000  # bytes of a node's object store
SUITE, TASKS = "libero_goal", (0, 7)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of two nodes; with a policy's actor and two simulators none of them holds all."""
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_worker_niceness", "0")  # Ray's own is 15, at which nothing goes on where others are at work
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **node})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield cluster.address
    finally:
        cluster.shutdown()
        patch.undo()


@pytest.fixture
def connected(address: str) -> Iterator[None]:
    ray.init(address=address, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny compact policy that nobody trained."""
    return write_untrained_policy(tmp_path_factory.mktemp("checkpoint"), eos_threshold=0.9)


def test_a_cluster_plays_the_episodes_of_one_process(address: str, checkpoint: Path, tmp_path: Path):
    """On the cluster two simulators share a policy. A film and records are there although nodes share no folder."""
    settings = EpisodeSettings(policy=str(checkpoint), fingerprint=fingerprint(str(checkpoint)), horizon=24)
    chosen = Selection((SUITE,), TASKS, episodes=1, videos=1)
    todo = jobs(settings, chosen, ())
    line = Line(queue.Queue(), threading.Event())
    for job in todo:
        play_job(job, tmp_path / "one", line)
    one = untimed(waiting_in(line.records))
    assert len(one) == 2

    out = tmp_path / "cluster"
    command = ["eval", "--policy", str(checkpoint), "--suites", SUITE, "--tasks", *map(str, TASKS), "--horizon", "24"]
    command += ["--probes", "policy", "--placements", "benchmark", "--videos", "1", "--out", str(out)]
    command += ["--ray", address]
    assert main([*command, "--episodes", "1", "--cluster.policies", "1"]) == 0
    assert untimed(records(out)) == one
    assert all(record["chunk_latency_s"]["count"] for record in records(out))
    assert sorted(path.name for path in (out / "videos").iterdir()) == sorted(
        Path(record["video"]).name for record in one.values()
    )
    before = (out / "episodes.jsonl").read_text()
    assert main([*command, "--episodes", "2", "--cluster.policies", "0", "--cluster.simulators", "1"]) == 0
    assert (out / "episodes.jsonl").read_text().startswith(before), "nothing is played twice"
    assert len(records(out)) == 4
    assert json.loads((out / "results.json").read_text())["episodes"]["played"] == 4


def test_more_than_the_cluster_has_cores_for_is_refused_before_anything_starts(address: str, tmp_path: Path, capsys):
    what = ["--policy", "demonstrator", "--suites", SUITE, "--tasks", "7", "--out", str(tmp_path / "x")]
    assert main(["eval", *what, "--ray", address, "--cluster.policies", "3"]) == 2
    assert (
        "the cluster has 3 cores: too few for --cluster.policies 3 and --cluster.simulators 1"
        in capsys.readouterr().err
    )


def play_team(marks: Path, numbers: tuple[int, ...]) -> tuple[list[int], int]:
    """Numbers of the episodes that were played to their end, and how many of two simulators and their successors died.

    The first two episodes are one job, the others another one.
    """
    from training.evaluation.cluster.team import Team

    def start(number: int) -> tuple[Any, Any]:
        actor = ray.remote(DyingSimulator).options(num_cpus=1).remote(marks)
        return actor, actor.ready.remote()

    settings = EpisodeSettings(policy="demonstrator")
    keys = tuple(EpisodeKey(SUITE, 7, "policy", "eos", "benchmark", number) for number in numbers)
    played: list[int] = []
    team = Team(start, 2, lambda found: played.append(found.record["number"]), 1 << 40)
    team.play([Job(settings, SUITE, 7, keys[:2]), Job(settings, SUITE, 7, keys[2:])])
    return sorted(played), team.died


def test_a_simulator_that_dies_is_replaced_and_counted_and_every_episode_is_played_once(connected, tmp_path: Path):
    assert play_team(tmp_path, (0, ONCE, 3, 4)) == ([0, ONCE, 3, 4], 1)


def test_an_episode_in_which_every_simulator_dies_stops_the_command(connected, tmp_path: Path):
    with pytest.raises(ChildProcessError, match="3 simulators died in episode libero_goal_7_policy_eos_benchmark_2: "):
        play_team(tmp_path, (0, ALWAYS, 3, 4))


def test_what_an_episode_raises_is_raised(connected, tmp_path: Path):
    with pytest.raises(FloatingPointError, match="an episode cannot go on"):
        play_team(tmp_path, (0, 3, RAISES))


def test_a_policys_process_that_dies_is_replaced_and_asked_again(connected, checkpoint: Path):
    """What was refused, in words and in what is seen, is refused as by the policy itself."""
    from training.evaluation.cluster.checkout import Checkout
    from training.evaluation.cluster.policies import AskedServer, PolicyServer

    actor = ray.remote(PolicyServer).options(max_restarts=1, max_task_retries=-1, max_concurrency=10)
    server = actor.remote(str(checkpoint), PolicySettings(device="cpu"), 4, 0.0, Checkout.here(str(checkpoint)))
    began_as, card = ray.get(server.ready.remote())
    assert card.robot == load_robot(LIBERO_PANDA)
    images = {name: np.full((16, 16, 3), 7, np.uint8) for name in card.cameras}
    seen = Observation(images, np.linspace(-0.1, 0.1, 8, dtype=np.float32))
    asked = Asked(seen, "pick up the bowl", "tidy up")
    here = answer(POLICIES.load(str(checkpoint), PolicySettings(device="cpu")), asked)
    asking = AskedServer(server, None)
    np.testing.assert_allclose(asking.answer(asked).actions, here.actions, rtol=0, atol=1e-5)
    (process,) = asking.processes
    assert process == began_as, "not counted as replaced"
    os.kill(int(process.rpartition(":")[2]), signal.SIGKILL)
    np.testing.assert_allclose(asking.answer(asked).actions, here.actions, rtol=0, atol=1e-5)
    assert len(asking.processes) == 2
    with pytest.raises(ValueError, match="has .* tokens and the model takes 48"):
        asking.begin("bowl " * 100, "")
    with pytest.raises(ChunkRefused, match="the model needs camera"):
        asking.answer(replace(asked, observation=replace(seen, images={})))
