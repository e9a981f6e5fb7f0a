"""What can be asked of an evaluation, what is refused, and how the ROS graph is asked for the same."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from libero_bridge.placement import Placement
from libero_bridge.tasks import load_task, task_names
from substep_bringup.arguments import config_from_texts
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import GraphConfig
from substep_bringup.session.summary import Outcome, summarise
from substep_bringup.session.tracker import Event, History, SubstepRecord
from substep_planner import planner_parameters
from substep_planner.planner_parameters import PlannerRegistry
from substep_planner.recovery import RecoveryLadder
from substep_planner.switch_rules import SwitchSettings
from substep_policy import policy_node
from substep_policy.observation import Observation
from substep_policy.policy_session import StuckSettings
from training.evaluation.actors import Replay, recorded_actions
from training.evaluation.episodes import EpisodeKey, jobs, planned
from training.evaluation.evaluate import PRESETS, main
from training.evaluation.figures import figures
from training.evaluation.instructions import other_instruction, reworded_instruction
from training.evaluation.markdown import markdown_tables
from training.evaluation.probes import PROBES, held_out_wording
from training.evaluation.records import ResultFolder
from training.evaluation.settings import FOUR_SUITES, CompletionChoice, EpisodeSettings, Selection
from training.evaluation.through_graph import node_parameters, planned_substeps, record_from_summary, sim_arguments
from training.paraphrases import training_wordings
from training.recording_files import task_file
from training.splits import EVALUATION_INIT_STATES, EVALUATION_SEEDS, TRAINING_INIT_STATES, TRAINING_SEEDS

KEY = EpisodeKey("libero_object", 0, "policy", "eos", "benchmark", 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["demonstrator", "--probes", "crystal_ball"], "unknown probe 'crystal_ball'"),
        (["demonstrator", "--switch-rules", "whim"], "unknown switch rule 'whim'"),
        (["demonstrator", "--switch-rules", "eos", "eos"], "expected one or more different ones"),
        (["demonstrator", "--switch-rules", "vision", "--completion", "none"], "'vision' needs a completion scorer"),
        (["demonstrator", "--suites", "libero_goal", "--tasks", "10"], "task 10 is not in suite 'libero_goal'"),
        (["demonstrator", "--placements", "random"], "placements.0 is 'random'"),
        (["demonstrator", "--first", "1000000"], "episode 1000001 has no seed"),
        (["demonstrator", "--episodes", "0"], "episodes is 0"),
        (["demonstrator", "--horizon", "0"], "horizon is 0"),
        (["demonstrator", "--through", "graph", "--probes", "replay", "eos"], "probes replay, eos cannot be played"),
        (["no_such_policy", "--probes", "policy"], "unknown policy 'no_such_policy'"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_starts(tmp_path: Path, capsys, options, message):
    assert main([*options, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_episodes_start_from_the_evaluation_part_unless_the_other_is_asked_for():
    starts = [EpisodeSettings(policy="demonstrator").start(number) for number in range(50)]
    assert all(state in EVALUATION_INIT_STATES and seed in EVALUATION_SEEDS for state, seed in starts)
    assert len({state for state, _ in starts[:20]}) == 20 and len({seed for _, seed in starts}) == 50
    others = [EpisodeSettings(policy="demonstrator", split="training").start(number) for number in range(50)]
    assert all(state in TRAINING_INIT_STATES and seed in TRAINING_SEEDS for state, seed in others)
    assert len({state for state, _ in others[:30]}) == 30 and len({seed for _, seed in others}) == 50


def test_a_selection_is_played_once_and_the_rest_of_it_later():
    selection = Selection(
        suites=("libero_object",),
        tasks=(0, 4),
        probes=("policy", "replay", "eos"),
        placements=(Placement.BENCHMARK, Placement.WIDENED),
        switch_rules=("eos", "either"),
        episodes=3,
        probe_episodes=1,
    )
    keys = list(planned(selection))
    assert len(set(keys)) == len(keys) == 2 * (2 * 2 * 3 + 2 + 2)
    assert {key.rule for key in keys if key.probe == "replay"} == {"eos"}
    settings = EpisodeSettings(policy="demonstrator")
    rest = [key for job in jobs(settings, selection, keys[:7], most=4) for key in job.episodes]
    assert rest == keys[7:]
    assert all(len(job.episodes) <= 4 for job in jobs(settings, selection, (), most=4))


def test_presets_can_be_played():
    for preset in PRESETS.values():
        assert set(preset["probes"]) <= set(PROBES) and {"policy", "replay", "eos"} <= set(preset["probes"])


def test_the_plainest_demonstration_is_replayed_and_missing_ones_are_named_at_once(tmp_path: Path, capsys):
    file = task_file(tmp_path, "libero_goal", load_task("libero_goal", 8).name)
    file.parent.mkdir(parents=True)
    kinds = [("widened", 0.0), ("benchmark", 0.1), ("benchmark", 0.05), ("widened", 0.0)]
    with h5py.File(file, "w") as content:
        for number, (placement, noise) in enumerate(kinds):
            group = content.create_group(f"data/demo_{number}")
            group["actions"] = np.full((20, 7), number / 10)
            group.attrs.update(placement=placement, noise=noise)
    actions = recorded_actions(tmp_path, "libero_goal", 8)
    assert np.allclose(actions, 0.2)
    replay, seen = Replay(actions), Observation({}, np.zeros(8, np.float32))
    replay.start_substep("anything", "anything")
    chunks = [replay.predict(seen) for _ in range(3)]
    assert np.array_equal(np.concatenate([chunk.actions for chunk in chunks]), actions)
    assert [chunk.has_eos for chunk in chunks] == [False, False, True]
    options = ["--suites", "libero_goal", "--tasks", "8", "3", "--demonstrations", str(tmp_path)]
    assert main(["demonstrator", "--out", str(tmp_path / "out"), "--probes", "replay", *options]) == 1
    assert "no demonstration of libero_goal task 3 to replay" in capsys.readouterr().err


def test_a_changed_setting_is_named(tmp_path: Path):
    ResultFolder(tmp_path, EpisodeSettings(policy="demonstrator"))
    ResultFolder(tmp_path, EpisodeSettings(policy="demonstrator"))
    with pytest.raises(ValueError, match="retries 1, now 5"):
        ResultFolder(tmp_path, EpisodeSettings(policy="demonstrator", retries=5))


def test_results_from_before_a_setting_are_not_continued(tmp_path: Path):
    settings = EpisodeSettings(policy="demonstrator")
    ResultFolder(tmp_path, settings)
    file = tmp_path / "evaluation.json"
    content = json.loads(file.read_text())
    del content["empty_width"]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="says nothing of empty_width; was it made by another version"):
        ResultFolder(tmp_path, settings)


@pytest.mark.parametrize("suite", FOUR_SUITES)
def test_the_other_task_is_another_one_of_the_suite(suite: str):
    sentences = {load_task(suite, task).instruction for task in range(len(task_names(suite)))}
    for task in range(len(task_names(suite))):
        other = other_instruction(suite, task)
        assert other in sentences - {load_task(suite, task).instruction}


def test_a_task_is_reworded_another_way_each_episode():
    told = [reworded_instruction("libero_goal", 8, episode) for episode in range(2)]
    assert len(set(told)) == 2 and "put the bowl on the plate" not in told and all(told)


def test_wordings_are_held_out_and_change_with_the_episode():
    text = "place the alphabet soup in the basket"
    told = [held_out_wording(text, episode) for episode in range(4)]
    assert len(set(told)) == 4 and not set(told) & set(training_wordings(text))
    assert held_out_wording("wiggle", 0) == "wiggle"


def test_open_loop_is_left_alone_and_whole_tasks_have_all_the_time():
    settings = EpisodeSettings(policy="compact", horizon=500, stuck=StuckSettings(gripper_patience=3, back_off_steps=2))
    assert settings.help_for(PROBES["policy"]) == settings.stuck
    assert settings.help_for(PROBES["replay"]) == StuckSettings(gripper_patience=-1, back_off_steps=0)
    assert settings.limits(PROBES["policy"]).substep_timeout == settings.substep_timeout
    for probe in ("replay", "whole_task"):
        limits = settings.limits(PROBES[probe])
        assert limits.substep_timeout > 500 and limits.recovery == RecoveryLadder(0, 0)


# --- through the graph ---


class Parameters(dict):
    """Stands in for the planner node's parameters: takes what is declared."""

    def declare(self, name: str, default, *rest, **options) -> None:
        self[name] = default


def test_the_graph_is_asked_for_the_same_episode(tmp_path: Path):
    settings = EpisodeSettings(
        policy="demonstrator",
        through="graph",
        horizon=77,
        substep_timeout=66,
        retries=0,
        empty_width=0.004,
        switching=SwitchSettings(confirm_steps=9, denial_threshold=0.3),
        stuck=StuckSettings(gripper_patience=3, back_off_steps=2),
        completion=CompletionChoice(scorer="open_clip", threshold=0.4),
    )
    content = node_parameters(settings, KEY)
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump(content))
    arguments = sim_arguments(settings, KEY, tmp_path, file, filmed=False)
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    texts = {name.removeprefix("--").replace("-", "_"): text for name, text in pairs}
    config = config_from_texts(GraphConfig, texts)  # reads and checks the file too
    init_state, seed = settings.start(KEY.number)
    assert (config.suite, config.task, config.init_state, config.seed) == ("libero_object", 0, init_state, seed)
    assert (config.horizon, config.placement, config.task_text, config.video) == (77, "benchmark", "", False)
    declared = {"planner": Parameters(), "policy": Parameters()}
    planner_parameters.declare(declared["planner"], PlannerRegistry())
    policy_node.declare(declared["policy"])
    for node, known in declared.items():
        told = content[f"/**/{node}"]["ros__parameters"]
        assert set(told) <= set(known), f"the {node} knows these parameters"
        assert all(type(told[name]) is type(known[name]) for name in told)
    assert (told["gripper_patience"], told["back_off_steps"]) == (3, 2)
    told = content["/**/planner"]["ros__parameters"]
    assert (told["switch_rule"], told["substep_timeout"], told["retries"]) == ("eos", 66, 0)
    assert told["empty_width"] == 0.004
    assert (told["confirm_steps"], told["denial_threshold"]) == (9, 0.3)


def test_the_graph_tells_the_other_tasks_instruction(tmp_path: Path):
    key = EpisodeKey("libero_object", 0, "other_task", "eos", "widened", 0)
    arguments = sim_arguments(EpisodeSettings(policy="demonstrator"), key, tmp_path, tmp_path / "p.yaml", False)
    assert arguments[arguments.index("--task-text") + 1] == other_instruction("libero_object", 0)
    whole = EpisodeKey("libero_object", 0, "whole_task", "eos", "benchmark", 0)
    parameters = node_parameters(EpisodeSettings(policy="demonstrator"), whole)
    told = parameters["/**/planner"]["ros__parameters"]
    assert told["decomposers"] == ["whole_task"]
    assert (told["substep_timeout"], told["retries"], told["replans"]) == (1001, 0, 0)
    assert (planned_substeps(KEY), planned_substeps(whole)) == (2, 1)


@pytest.mark.parametrize(("ended", "success", "completed"), [("goal reached", True, 2), ("episode_ended", False, 1)])
def test_a_runs_summary_becomes_a_record_like_the_others(ended: str, success: bool, completed: int):
    substeps = (
        SubstepRecord("a1", 0, 0, "pick up the alphabet soup", "it is held", steps=44, ended="eos"),
        SubstepRecord("a1", 1, 1, "place the alphabet soup in the basket", "it is there", steps=56, ended=ended),
    )
    history = History(
        status=None,
        plan_source="library:libero_object",
        substeps=substeps,
        events=(Event(0, 0, "started"), Event(44, 1, "advanced: eos")),
        inference_times=(0.01, 0.03),
        chunks={"played": 60, "played_eos": 1},
        rejections={},
        model="compact:x",
        wall_time=5.0,
        steps_per_second=20.0,
    )
    outcome = Outcome(ExitCode.SUCCESS if success else ExitCode.TASK_FAILED, "…", success)
    summary = summarise(outcome, history, None, {}, "", datetime(2026, 1, 1), 9.0)
    record = record_from_summary(KEY, (3, 7), summary)
    assert [(step["ended"], step["advanced"]) for step in record["substeps"]] == [("eos", True), (ended, False)]
    assert (record["success"], record["completed"], record["planned"]) == (success, completed, 2)
    assert (record["init_state"], record["seed"]) == (3, 7)
    tables = figures([record])
    assert tables["success"][-1]["successes"] == int(success)
    assert tables["endings"][-1]["substeps"] == {"eos": 1, ended: 1}
    assert tables["endings"][-1]["failures"] == ({} if success else {"plan done": 1})
    assert f"| {int(success)}/1 |" in markdown_tables([record])
    assert tables["advances"][-1] | {"delays": []} == tables["advances"][-1], "nothing can be judged from outside"
