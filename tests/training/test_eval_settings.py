"""What can be asked of an evaluation, what is refused, and how the ROS graph is asked for the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from libero_bridge.bddl_folder import read_instruction
from libero_bridge.tasks import LiberoSource, LiberoTask
from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.summary import SessionOutcome, summarise
from substep_bringup.session.tracker import Event, History, SubstepRecord
from substep_cli.evaluate import PRESETS
from substep_cli.grammar import main, read
from substep_core.configuration import dump
from substep_core.contract import load_robot
from substep_core.episode import Placement
from substep_core.observation import Observation
from substep_core.tasks import Stratum
from substep_planner import parameters as planner_parameters
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.switch_rules import SwitchSettings
from substep_planner.parameters import PlannerRegistry
from substep_policy import parameters as policy_parameters
from substep_policy.session.policy_session import StuckSettings
from training.collect.recording_files import task_file
from training.data.paraphrases import training_wordings
from training.evaluation.actors import ReplayPolicy, recorded_actions
from training.evaluation.episodes import EpisodeKey, jobs, planned
from training.evaluation.figures import figures
from training.evaluation.instructions import instruction_told, other_instruction, reworded_instruction
from training.evaluation.markdown import markdown_tables
from training.evaluation.own_words import own_words, planned_words
from training.evaluation.probes import PROBES, Told, held_out_wording
from training.evaluation.records import ResultFolder
from training.evaluation.settings import CompletionChoice, EpisodeSettings, Selection, check_together
from training.evaluation.through_graph import node_parameters, record_from_summary, sim_arguments

SOURCE = LiberoSource()
KEY = EpisodeKey("libero_object", 0, "policy", "eos", "benchmark", 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["demonstrator", "--probes", "crystal_ball"], "unknown probe 'crystal_ball'"),
        (["demonstrator", "--switch-rules", "whim"], "unknown switch rule 'whim'"),
        (["demonstrator", "--switch-rules", "eos", "eos"], "expected one or more different ones"),
        (
            ["demonstrator", "--switch-rules", "vision", "--completion.scorer", "none"],
            "'vision' needs a completion scorer",
        ),
        (["demonstrator", "--suites", "libero_goal", "--tasks", "10"], "task 10 is not in suite 'libero_goal'"),
        (["demonstrator", "--suites", "libero_11"], "unknown suite 'libero_11'"),
        (["demonstrator", "--tasks", "8", "3", "8"], "tasks are 8, 3, 8: expected one or more different ones"),
        (["demonstrator", "--placements", "benchmark", "benchmark"], "placements are benchmark, benchmark: expected"),
        (["demonstrator", "--table", "nowhere/table.md"], "table.md cannot be written: there is no folder nowhere"),
        (["demonstrator", "--tasks-from", "nowhere"], "unknown task source 'nowhere'"),
        (["demonstrator", "--placements", "random"], "--placements is 'random'"),
        (["demonstrator", "--first", "1000000"], "episode 1000001 has no seed"),
        (["demonstrator", "--episodes", "0"], "--episodes is '0'"),
        (["demonstrator", "--horizon", "0"], "--horizon is '0'"),
        (["demonstrator", "--through", "graph", "--probes", "replay", "eos"], "probes replay, eos cannot be played"),
        (["no_such_policy", "--probes", "policy"], "unknown policy 'no_such_policy'"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_starts(tmp_path: Path, capsys, options, message):
    assert main(["eval", "--policy", *options, "--out", str(tmp_path / "out")]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_task_is_collected_once(tmp_path: Path, capsys):
    assert main(["data", "collect", "--out", str(tmp_path / "out"), "--tasks", "8", "3", "8"]) == 2
    assert "8 3 8 names one of them twice: expected different ones" in capsys.readouterr().err


def test_a_samples_suites_are_played_one_after_the_other():
    """A large policy is loaded anew for each suite whose statistics it has, and not for each task."""
    drawn = [("libero_10", 4), ("libero_goal", 8), ("libero_10", 2), ("libero_object", 0), ("libero_goal", 1)]
    wanted = [replace(KEY, suite=suite, task=task) for suite, task in drawn]
    todo = jobs(EpisodeSettings(policy="demonstrator"), Selection(), (), wanted=wanted)
    assert [(job.suite, job.task) for job in todo] == [drawn[place] for place in (0, 2, 1, 4, 3)]


def test_a_source_without_any_tasks_file_is_refused(tmp_path: Path):
    (tmp_path / "libero_goal").mkdir()
    listed = {"id": 1, "name": "put_it_there_light_1", "category": "Light", "difficulty_level": 1}
    (tmp_path / "task_classification.json").write_text(json.dumps({"libero_goal": [listed]}))
    with pytest.raises(ValueError, match="has the file of no task of libero_goal: nothing is played"):
        check_together(EpisodeSettings(policy="demonstrator", tasks_from=f"libero_plus:{tmp_path}"), Selection())


def test_episodes_start_from_the_evaluation_part_unless_the_other_is_asked_for():
    starts = [EpisodeSettings(policy="demonstrator").start(number) for number in range(50)]
    assert all(state in range(20) and seed in range(1_000_000) for state, seed in starts)
    assert len({state for state, _ in starts[:20]}) == 20 and len({seed for _, seed in starts}) == 50
    others = [EpisodeSettings(policy="demonstrator", split="training").start(number) for number in range(50)]
    assert all(state in range(20, 50) and seed in range(1_000_000, 2_000_000) for state, seed in others)
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
    keys = list(planned(selection, SOURCE))
    assert len(set(keys)) == len(keys) == 2 * (2 * 2 * 3 + 2 + 2)
    assert {key.rule for key in keys if key.probe == "replay"} == {"eos"}
    settings = EpisodeSettings(policy="demonstrator")
    rest = [key for job in jobs(settings, selection, keys[:7], most=4) for key in job.episodes]
    assert rest == keys[7:]
    assert all(len(job.episodes) <= 4 for job in jobs(settings, selection, (), most=4))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_is_taken_where_the_command_line_says_nothing(preset: str):
    options = read(["eval", "--out", "x", "--preset", preset, "--suites", "libero_goal"]).options
    chosen = dump(options["selection"]) | dump(options["settings"])
    for name, value in PRESETS[preset].items():
        assert chosen[name] == value
    assert options["selection"].suites == ("libero_goal",)
    assert read(["eval", "--out", "x", "--preset", preset, "--episodes", "7"]).options["selection"].episodes == 7


def test_the_plainest_demonstration_is_replayed_and_missing_ones_are_named_at_once(tmp_path: Path, capsys):
    file = task_file(tmp_path, "libero_goal", SOURCE.task("libero_goal", 8).name)
    file.parent.mkdir(parents=True)
    kinds = [("widened", 0.0), ("benchmark", 0.1), ("benchmark", 0.05), ("widened", 0.0)]
    with h5py.File(file, "w") as content:
        for number, (placement, noise) in enumerate(kinds):
            group = content.create_group(f"data/demo_{number}")
            group["actions"] = np.full((20, 7), number / 10)
            group.attrs.update(placement=placement, noise=noise)
    actions = recorded_actions(tmp_path, SOURCE.task("libero_goal", 8))
    assert np.allclose(actions, 0.2)
    replay, seen = ReplayPolicy(actions, load_robot("libero_panda")), Observation({}, np.zeros(8, np.float32))
    replay.start_substep("anything", "anything")
    chunks = [replay.predict(seen) for _ in range(3)]
    assert np.array_equal(np.concatenate([chunk.actions for chunk in chunks]), actions)
    assert [chunk.has_eos for chunk in chunks] == [False, False, True]
    options = ["--suites", "libero_goal", "--tasks", "8", "3", "--demonstrations", str(tmp_path)]
    assert (
        main(["eval", "--policy", "demonstrator", "--out", str(tmp_path / "out"), "--probes", "replay", *options]) == 2
    )
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


@pytest.mark.parametrize("suite", SOURCE.default_suites)
def test_the_other_task_is_another_one_of_the_suite(suite: str):
    sentences = {SOURCE.task(suite, task).instruction for task in range(len(SOURCE.names(suite)))}
    for task in range(len(SOURCE.names(suite))):
        other = other_instruction(SOURCE, suite, task)
        assert other in sentences - {SOURCE.task(suite, task).instruction}


def test_what_files_say_is_planned_where_it_is_not_liberos_own_sentence():
    tasks = [SOURCE.task(suite, index) for suite in SOURCE.default_suites for index in range(10)]
    told = [(task.suite, read_instruction(task.bddl_file), task.instruction) for task in tasks]
    assert sum(said != own for _, said, own in told) == 25
    assert all(find_plan(shipped_library(), said, suite) for suite, said, _ in told)


class Perturbed:
    """A suite in which tasks 0 and 1 say the same task in two ways, task 2 another one, and task 3 it in two ways."""

    says = ("put the bowl on the plate", "set the bowl onto the plate", "push the plate", "shove the plate")

    def playable(self, suite: str) -> dict[int, Stratum]:
        return dict.fromkeys(range(4), Stratum())

    def task(self, suite: str, index: int) -> LiberoTask:
        base = SOURCE.task("libero_goal", 8 if index < 2 else 2)
        return replace(base, suite=suite, index=index, instruction=self.says[index], base=("libero_goal", base.name))


def test_another_task_is_not_the_same_one_in_other_words():
    assert [other_instruction(Perturbed(), "libero_goal_lan", index) for index in range(4)] == [
        "push the plate", "push the plate", "set the bowl onto the plate", "set the bowl onto the plate",
    ]  # fmt: skip


def test_a_perturbed_task_is_told_in_others_words_for_its_own_task(tmp_path: Path):
    (tmp_path / "libero_goal").mkdir()
    for index, text in ((8, "bowl, meet plate"), (2, "off with the plate"), (0, "open the drawer")):
        name = SOURCE.task("libero_goal", index).name
        (tmp_path / "libero_goal" / f"{name}_language_1.bddl").write_text(f"(:language {text})")
    told = [
        instruction_told(Told.OTHERS_WORDS, Perturbed(), "libero_goal_lan", index, 0, tmp_path) for index in range(4)
    ]
    assert told == ["bowl, meet plate"] * 2 + ["off with the plate"] * 2
    assert reworded_instruction(Perturbed(), "libero_goal_lan", 0, 1) == reworded_instruction(
        SOURCE, "libero_goal", 8, 1
    )


def test_a_task_is_reworded_another_way_each_episode():
    told = [reworded_instruction(SOURCE, "libero_goal", 8, episode) for episode in range(2)]
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
        dataset="libero_object_no_noops",
    )
    content = node_parameters(settings, KEY)
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump(content))
    arguments = sim_arguments(settings, KEY, tmp_path, file, filmed=False)
    config = read(["sim", *arguments]).options["config"]  # reads and checks the file too
    init_state, seed = settings.start(KEY.number)
    assert (config.suite, config.task, config.init_state, config.seed) == ("libero_object", 0, init_state, seed)
    assert config.dataset == "libero_object_no_noops"
    assert (config.horizon, config.placement, config.task_text, config.video) == (77, "benchmark", "", False)
    assert not config.record
    recorded = sim_arguments(settings, KEY, tmp_path, file, filmed=False, recorded=True)
    assert read(["sim", *recorded]).options["config"].record
    declared = {"planner": Parameters(), "policy": Parameters()}
    planner_parameters.declare(declared["planner"], PlannerRegistry())
    policy_parameters.declare(declared["policy"])
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
    (file := tmp_path / "p.yaml").write_text("{}")
    settings = EpisodeSettings(policy="demonstrator")
    arguments = sim_arguments(settings, key, tmp_path, file, False)
    assert read(["sim", *arguments]).options["config"].task_text == other_instruction(SOURCE, "libero_object", 0)
    whole, own = (
        EpisodeKey("libero_object", 0, probe, "eos", "benchmark", 0) for probe in ("whole_task", "own_subtasks")
    )
    told = node_parameters(settings, whole)["/**/planner"]["ros__parameters"]
    assert (told["substep_timeout"], told["retries"], told["replans"]) == (1001, 0, 0)
    for name, decomposers, planned_count in ((whole, ("whole_task",), 1), (own, ("policy",), 2)):
        asked = read(["sim", *sim_arguments(settings, name, tmp_path, file, False)]).options["config"]
        assert asked.decomposers == decomposers
        assert len(planned_words(settings, name)) == planned_count


@pytest.mark.parametrize(("ended", "success", "completed"), [("goal reached", True, 2), ("episode_ended", False, 1)])
def test_a_runs_summary_becomes_a_record_like_the_others(ended: str, success: bool, completed: int):
    substeps = (
        SubstepRecord("a1", 0, 0, "pick up the alphabet soup", "it is held", steps=44, advanced=True, ended="eos"),
        SubstepRecord("a1", 1, 1, "place the alphabet soup in the basket", "it is there", steps=56, ended=ended),
    )
    history = History(
        status=None,
        plan_source="library:libero_object",
        substeps=substeps,
        events=(Event(0, 0, "started", "none", "started"), Event(44, 1, "advanced", "eos", "advanced: eos")),
        inference_times=(0.01, 0.03),
        chunks={"played": 60, "played_eos": 1},
        rejections={},
        model="compact:x",
        wall_time=5.0,
        steps_per_second=20.0,
    )
    outcome = SessionOutcome(ExitCode.SUCCESS if success else ExitCode.TASK_FAILED, "…", success)
    summary = summarise(outcome, history, None, {}, "", datetime(2026, 1, 1), 9.0)
    record = record_from_summary(EpisodeSettings(policy="demonstrator"), KEY, summary)
    assert [(step["ended"], step["advanced"]) for step in record["substeps"]] == [("eos", True), (ended, False)]
    assert (record["success"], record["completed"], record["planned"]) == (success, completed, 2)
    assert (record["init_state"], record["seed"]) == (3, 3)
    tables = figures([record], SOURCE)
    assert tables["success"][-1]["successes"] == int(success)
    assert tables["endings"][-1]["substeps"] == {"eos": 1, ended: 1}
    assert tables["endings"][-1]["failures"] == ({} if success else {"plan done": 1})
    assert f"| {int(success)}/1 |" in markdown_tables([record], SOURCE)
    assert tables["advances"][-1] | {"delays": []} == tables["advances"][-1], "nothing can be judged from outside"


def test_own_words_are_compared_with_the_plan():
    """What was begun again counts once; of an episode that begins like its plan and goes astray, the beginning."""
    key = EpisodeKey("libero_object", 0, "own_subtasks", "eos", "benchmark", 3)
    pick, place, other = ("pick up the alphabet soup", "place the alphabet soup in the basket", "pick up the milk")
    plan = planned_words(EpisodeSettings(), key)
    assert plan == [pick, place]

    def record(*words: str, undone: int = 0):
        substeps = [{"instruction": word, "undone": number < undone} for number, word in enumerate(words)]
        return {"substeps": substeps, "reference": plan}

    unplanned = record(pick) | {"reference": []}
    found = own_words([record(pick, pick, place, undone=1), record(pick, pick, place), record(pick, other), unplanned])
    compared = {"named": 6, "of_plan": 5, "in_place": 5, "planned": 6, "whole_plans": 2}
    assert found == {"episodes": 3, "without_plan": 1, **compared}


@pytest.mark.parametrize("probe", ["policy", "own_subtasks"])
def test_an_episode_that_nobody_plans_whole_is_compared_with_nothing(probe, caplog):
    key = EpisodeKey("libero_object", 0, probe, "eos", "benchmark", 3)
    alone = EpisodeSettings(decomposers=("policy",))
    assert planned_words(alone, key) == [] and "libero_object task 0 has no plan to be compared with" in caplog.text
    assert len(planned_words(EpisodeSettings(decomposers=("policy", "library")), key)) == 2
    found = own_words([{"substeps": [{"instruction": "wave", "undone": False}], "reference": []}])
    assert found["episodes"] == found["named"] == 0


def test_words_of_others_need_a_folder_that_has_some_of_every_task(tmp_path):
    selection = Selection(suites=("libero_goal",), tasks=(8,), probes=("others_words",))
    with pytest.raises(ValueError, match="probe others_words needs --wordings"):
        check_together(EpisodeSettings(), selection)
    name = SOURCE.task("libero_goal", 8).name
    (tmp_path / "libero_goal").mkdir()
    for number, text in enumerate(("kindly set the bowl on the plate", "bowl, meet plate")):
        (tmp_path / "libero_goal" / f"{name}_language_{number}.bddl").write_text(f"(:language {text})")
    check_together(EpisodeSettings(wordings=tmp_path), selection)
    told = [instruction_told(Told.OTHERS_WORDS, SOURCE, "libero_goal", 8, episode, tmp_path) for episode in range(3)]
    assert told == ["kindly set the bowl on the plate", "bowl, meet plate", "kindly set the bowl on the plate"]
    with pytest.raises(ValueError, match="no wordings of task 7 of libero_goal"):
        check_together(EpisodeSettings(wordings=tmp_path), replace(selection, tasks=(7,)))
