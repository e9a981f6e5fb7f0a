"""bench robot: what is played, kept and told of the stand-in robot."""

from __future__ import annotations

import json
import signal
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from std_msgs.msg import Header
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ChunkReport, EpisodeStatus

from libero_bridge.simulation import SimulationConfig
from substep_bringup.child_process import ProcessSpec
from substep_core.contract import initial_action
from substep_core.protocol import HoldKind
from substep_core.ros.messages import to_time
from training.bench.robot import bench, real
from training.bench.robot.graph import StandInGraph
from training.bench.robot.pace import PaceStretch, command_pace, idle_of
from training.bench.robot.settings import (
    SIMULATION,
    EpisodeName,
    GraphBenchSettings,
    PaceSettings,
    RobotBenchSettings,
    RobotSelection,
    by_graph,
    planned,
)
from training.bench.robot.world import StandInWorld

SELECTION = RobotSelection(suites=("libero_object",), tasks=(1,), joinings=(SIMULATION, "in_turn"), episodes=2)
PERIOD = 50_000_000  # ns
TWO = {"joinings": ("in_turn",), "latencies": (0.0, 0.3), "episodes": 2}


def test_every_first_episode_comes_before_the_second_and_simulation_has_no_latency():
    names = list(planned(RobotBenchSettings(), SELECTION))
    one = [(SIMULATION, 0.0), ("in_turn", 0.0), ("in_turn", 0.1), ("in_turn", 0.3)]
    assert [(name.number, name.rule, name.latency) for name in names] == [(n, *how) for n in (0, 1) for how in one]


@pytest.mark.parametrize(
    ("wrong", "named"), [({"joinings": ("glue",)}, "glue"), ({"latencies": (-1.0,)}, "-1"), ({"tasks": (99,)}, "99")]
)
def test_what_cannot_be_played_is_named_before_anything_is(wrong, named):
    with pytest.raises(ValueError, match=named):
        list(planned(RobotBenchSettings(), RobotSelection(**wrong)))


class Instant:
    """Implements ``bench.Player``'s part: no world."""

    def __init__(self, settings, policy) -> None:
        self.played = []

    def play(self, name: EpisodeName) -> dict:
        Instant.names.append(name)
        outcome = {"success": name.latency < 0.3, "steps": 100 + round(1000 * name.latency), "why": "NONE"}
        return bench.asdict(name) | outcome | ({} if name.rule == SIMULATION else {"idle": 0.25, "jerk": 12.5})

    def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def instant(monkeypatch) -> list[EpisodeName]:
    """Names of the episodes that are played, in order."""
    Instant.names = []
    monkeypatch.setattr(bench, "Player", Instant)
    return Instant.names


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, instant):
    first = RobotSelection(suites=("libero_object",), tasks=(1,), joinings=(SIMULATION, "in_turn"), episodes=1)
    bench.bench(RobotBenchSettings(), first, tmp_path, "one")
    file = tmp_path / bench.EPISODES
    file.write_text(file.read_text()[:-10])  # the power went
    records = bench.bench(RobotBenchSettings(), SELECTION, tmp_path, "two")
    assert [name.number for name in instant] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert len(records) == len(file.read_text().splitlines()) == 8
    assert [json.loads(line)["command"] for line in (tmp_path / bench.COMMANDS).read_text().splitlines()] == [
        "one",
        "two",
    ]
    told = bench.table(records)
    assert "| in_turn | 100 ms | 2/2 | 2/2, 34% to 100% | 200 | 25% | 12.5 |" in told
    assert (
        "| in_turn | 300 ms | 0/2 |" in told
        and "| 12.5 | the goal does not hold 2 |" in told
        and "| simulation |  | 2/2 |" in told
    )


def test_results_of_other_settings_are_not_mixed_in(tmp_path, instant):
    bench.bench(RobotBenchSettings(), SELECTION, tmp_path, "one")
    with pytest.raises(ValueError, match=r"inference_time 0.025, now 0.5"):
        bench.bench(RobotBenchSettings(inference_time=0.5), SELECTION, tmp_path, "two")


@pytest.mark.xdist_group("simulation")
def test_what_the_stand_in_shows_is_old_and_of_one_instant():
    with closing(StandInWorld(SimulationConfig("libero_object", 0, image_size=(32, 32), render=False))) as world:
        world.reset(0, 0)
        up = initial_action(world.contract)
        up[2] = 0.8
        ages, heights = [], []
        for _ in range(20):
            seen = world.step(up)
            ages.append((world.now - seen.stamp) / 1e9)
            heights.append(seen.proprio[2])
        assert 0.0 < min(ages) and 0.02 < np.mean(ages) < 0.12
        rise = np.diff(heights[10:])
        assert rise.mean() == pytest.approx(0.8 * 0.05 * 0.25, rel=0.3), "as far as LIBERO's own controller moves it"
        assert {name: image.shape for name, image in world.images(world.contract.camera_names).items()} == {
            "agentview": (32, 32, 3),
            "eye_in_hand": (32, 32, 3),
        }


@pytest.mark.xdist_group("simulation")
def test_the_first_command_after_a_reset_moves_the_stand_in_as_the_next_ones_do():
    with closing(StandInWorld(SimulationConfig("libero_object", 0, image_size=(32, 32), render=False))) as world:
        still = initial_action(world.contract)
        up = still.copy()
        up[2] = 0.8
        rises = []
        for before in (0, 2):
            world.reset(0, 0)
            for action in (*[still] * before, up, *[still] * 6):
                seen = world.step(action)
            rises.append(seen.proprio[2])
            world.reset(0, 0)
            for _ in range(before + 7):
                seen = world.step(still)
            rises[-1] -= seen.proprio[2]
        assert rises[0] == pytest.approx(rises[1], rel=0.2) and rises[1] > 0.005


# --- through the running graph ---


def test_one_graph_plays_all_episodes_of_a_task_a_rule_and_a_latency():
    names = by_graph(
        list(planned(GraphBenchSettings(), RobotSelection(suites=("libero_object",), tasks=(0, 1), **TWO)))
    )
    kinds = [(name.task, name.latency) for name in names]
    assert kinds == [(0, 0.0), (0, 0.0), (0, 0.3), (0, 0.3), (1, 0.0), (1, 0.0), (1, 0.3), (1, 0.3)]
    with pytest.raises(ValueError, match="simulation"):
        by_graph(list(planned(GraphBenchSettings(), SELECTION)))


def test_where_one_process_of_a_graph_does_not_start_those_before_it_are_ended():
    nothing = SimpleNamespace(shutdown=lambda: None, destroy_node=lambda: None, spin_once=lambda timeout_sec: None)
    graph = StandInGraph.__new__(StandInGraph)
    graph._executor = graph.operator = nothing
    graph.processes = {}
    with pytest.raises(FileNotFoundError):
        graph._start([ProcessSpec("first", ["sleep", "60"]), ProcessSpec("second", ["/nowhere/node"])])
    assert graph.processes["first"].exit_code == -signal.SIGTERM


def test_standing_still_is_weighed_by_the_time_of_a_task():
    assert idle_of([PaceStretch((), 90.0, 0.1, "over"), PaceStretch((), 10.0, 0.6, "success")]) == pytest.approx(0.15)


def test_an_arm_that_there_is_none_of_is_named_before_anything_starts():
    with pytest.raises(ValueError, match="standing"):
        GraphBenchSettings(robot="standing")
    with pytest.raises(ValueError, match="robot so101 is told whole chunks: its commands have no pace"):
        PaceSettings(robot="so101")


class GraphOfTheTest:
    """Implements ``StandInGraph``'s part: an episode that ends as soon as it begins."""

    rate = 20.0

    def __init__(self) -> None:
        self.operator = SimpleNamespace(statuses=[EpisodeStatus()], reports=[], commands=[])
        self.begun: list[tuple[int, int]] = []

    def begin(self, init_state: int, seed: int) -> None:
        self.begun.append((init_state, seed))

    def execute(self, until: float, meanwhile=None) -> ExecuteTask.Result:
        self.operator.statuses[:] = [
            EpisodeStatus(header=Header(stamp=to_time(PERIOD * period)), step=step, hold_kind=hold, success=True)
            for period, step, hold in (
                (1, 0, HoldKind.WAITING_FOR_A_SUBSTEP),
                (2, 0, HoldKind.WAITING_FOR_A_CHUNK),
                (3, 0, HoldKind.WAITING_FOR_A_CHUNK),
                (3, 0, HoldKind.NONE),  # the chunk has come before the control step begins
                (4, 1, HoldKind.NONE),
                (5, 2, HoldKind.WAITING_FOR_A_SUBSTEP),
                (9, 2, HoldKind.WAITING_FOR_A_SUBSTEP),
            )
        ]
        self.operator.reports.append(ChunkReport(inference_time=0.25))
        return ExecuteTask.Result(success=True)


def test_a_graph_is_told_rule_and_latency_and_is_kept_over_the_episodes(tmp_path, monkeypatch):
    graphs: list[GraphOfTheTest] = []
    told: list[dict] = []

    @contextmanager
    def running(config, folder):
        told.append(yaml.safe_load(Path(config.params_file).read_text()))
        graphs.append(GraphOfTheTest())
        yield graphs[-1]

    monkeypatch.setattr(real, "running_graph", running)
    selection = RobotSelection(suites=("libero_object",), tasks=(1,), **TWO)
    records = real.bench_real(GraphBenchSettings(), selection, tmp_path, "one")
    assert [len(graph.begun) for graph in graphs] == [2, 2]
    assert [file["/**/policy"]["ros__parameters"]["added_latency"] for file in told] == [0.0, 0.3]
    assert told[1]["/**/bridge"]["ros__parameters"] == {"joining": "in_turn", "inference_time": 0.325}
    assert [(record["success"], record["idle"], record["inference_s"]) for record in records] == [
        (True, 0.3333, 0.25)
    ] * 4
    assert real.bench_real(GraphBenchSettings(), selection, tmp_path, "two") == records and len(graphs) == 2
    assert "| in_turn | 300 ms | 2/2 | 2/2, 34% to 100% | 2 | 33% |  |" in bench.table(records)


def test_control_periods_without_a_command_are_counted_within_tasks_alone():
    def commands(*times: float) -> list[tuple[int, int]]:
        return [(round(time * 1e9), round((time + 0.002) * 1e9)) for time in times]

    pace = command_pace([commands(0.0, 0.05, 0.104, 0.25), commands(9.0, 9.05)], 20.0)
    assert (pace.commands, pace.missed) == (6, 2)
    median, _, largest = pace.jitter
    assert median == pytest.approx(2.0) and largest == pytest.approx(4.0), "ms"
    assert pace.missed_share == pytest.approx(2 / 8)
