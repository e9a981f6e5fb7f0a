"""The state machine of one task: every way through it and every way out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from substep_core.chunk import ChunkOutcome
from substep_core.errors import ErrorCode
from substep_core.keys import SubstepKey
from substep_core.plan import MAX_SUBSTEPS, Plan, Substep
from substep_core.protocol import Cause, HoldKind, Reason, RefusalKind, TaskEvent
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.manager.events import (
    Activate,
    AnotherPlan,
    ChunkAnnounced,
    ChunkPlayed,
    Deactivate,
    EpisodeProgress,
    Finish,
    FrameScored,
    MakePlan,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    Stopped,
    TaskFeedback,
    Tick,
)
from substep_planner.manager.grasp_watch import FingerLimits
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.substep_manager import Phase, SubstepManager
from substep_planner.manager.switch_rules import SWITCH_RULES, make_switch_rule
from substep_planner.manager.watchdogs import SilenceLimits

PICK = Substep("pick up the milk", "the milk is held")
PLACE = Substep("place the milk in the basket", "the milk is in the basket")
TASK = "put the milk in the basket"
STARTED, REPLANNED = (TaskEvent.STARTED, Cause.NONE), (TaskEvent.REPLANNED, Cause.NONE)
BY_EOS = (TaskEvent.ADVANCED, Cause.EOS)
REFUSED = Reason(RefusalKind.INSTRUCTION, "no milk in the scene")
SETTINGS = ManagerSettings(substep_timeout=100, planning_timeout=60.0, silence=SilenceLimits(bridge=10.0, policy=30.0))


FRESH = EpisodeProgress(episode=1, step=0, success=False, done=False, instruction=TASK)


class Task:
    """A manager with its clock, and what it commanded."""

    def __init__(self, task=TASK, rule="eos", config=SETTINGS, episode=FRESH):
        self.now = 1000.0
        self.commands = []
        self.manager = SubstepManager(config, make_switch_rule(rule), task, "t", episode, self.now, FingerLimits())
        self.commands += self.manager.start(self.now)

    def tell(self, event, after: float = 0.0) -> Task:
        self.now += after
        self.commands += self.manager.handle(event, self.now)
        return self

    def planned(self, *substeps) -> Task:
        request = self.last(MakePlan)
        return self.tell(PlanMade(request, SourcedPlan(Plan(request.instruction, substeps or (PICK, PLACE)), "rules")))

    def last(self, kind):
        return [command for command in self.commands if isinstance(command, kind)][-1]

    @property
    def active(self) -> Activate:
        return self.last(Activate)

    @property
    def finish(self) -> Finish:
        assert isinstance(self.commands[-1], Finish), self.commands[-1]
        return self.commands[-1]

    def step(self, step: int, success=False, done=None, episode=1, instruction=TASK, after=0.0) -> Task:
        is_over = success if done is None else done
        return self.tell(EpisodeProgress(episode, step, success, is_over, instruction), after)

    def played(self, outcome=ChunkOutcome.PLAYED, stamp=0, **more) -> Task:
        return self.tell(ChunkPlayed(self.active.key, outcome, stamp, **more))

    def seen(self, completed: bool, stamp=0, similarity=0.3) -> Task:
        return self.tell(FrameScored(self.active.key, stamp, similarity, completed))

    def events(self) -> list[tuple[TaskEvent, Cause]]:
        heard = [command for command in self.commands if isinstance(command, TaskFeedback)]
        return [(item.event, item.cause.kind) for item in heard if item.event is not TaskEvent.NONE]


def test_a_task_goes_through_its_substeps_by_eos():
    task = Task().planned()
    assert task.active == Activate(SubstepKey("t", 0, 0), (PICK, PLACE), TASK)
    task.step(8).played().step(16).played(ChunkOutcome.PLAYED_EOS, eos_probability=0.9)
    assert task.active == Activate(SubstepKey("t", 1, 0), (PICK, PLACE), TASK)
    task.step(24).played(ChunkOutcome.PLAYED_EOS)
    assert task.finish == Finish(ErrorCode.NONE, "all substeps are done; the last by eos", "rules", 2, 2)
    assert task.finish.success and task.manager.phase is Phase.FINISHED
    assert isinstance(task.commands[-2], Deactivate)
    assert task.events() == [STARTED, BY_EOS, BY_EOS]


def test_the_worlds_verdict_ends_the_task_with_success():
    task = Task().planned().played().step(50, success=True)
    assert (task.finish.code, task.finish.completed, task.finish.total) == (ErrorCode.NONE, 0, 2)
    assert "the world says that the goal holds" in task.finish.message


def test_reports_on_other_substeps_plans_and_attempts_are_not_heeded():
    task = Task().planned()
    before = len(task.commands)
    for key in (SubstepKey("other", 0, 0), SubstepKey("t", 1, 0), SubstepKey("t", 0, 1)):
        task.tell(ChunkPlayed(key, ChunkOutcome.PLAYED_EOS, 0))
        task.tell(PolicyRefused(key, REFUSED))
        task.tell(ChunkAnnounced(key, eos=True))
    task.tell(FrameScored(SubstepKey("t", 1, 0), 0, 0.9, True))
    assert task.commands[before:] == []


def test_progress_is_reported_with_steps_and_probabilities():
    task = Task(rule="either").planned().step(3).played(eos_probability=0.25)
    report = task.last(TaskFeedback)
    assert (report.steps, report.eos_probability, report.similarity, report.event) == (3, 0.25, -1.0, TaskEvent.NONE)
    assert task.seen(False, similarity=0.125).last(TaskFeedback).similarity == 0.125
    task.played(ChunkOutcome.PLAYED_EOS)
    assert task.last(TaskFeedback).steps == 0 and task.last(TaskFeedback).eos_probability == -1.0


@pytest.mark.parametrize("task", ["  ", "\n"])
def test_a_blank_instruction_is_refused(task):
    assert Task(task).finish.code is ErrorCode.EMPTY_INSTRUCTION


def test_an_empty_task_means_the_episodes_own_instruction():
    assert Task("").last(MakePlan).instruction == TASK
    task = Task("", episode=None)
    assert task.commands == [] and task.manager.phase is Phase.WAITING
    assert task.step(0, instruction="open the microwave").last(MakePlan).instruction == "open the microwave"
    assert Task("", episode=None).step(0, instruction=" ").finish.code is ErrorCode.EMPTY_INSTRUCTION


def test_an_empty_task_without_a_bridge_ends():
    assert Task("", episode=None).tell(Tick(), after=10.1).finish.code is ErrorCode.BRIDGE_SILENT


def test_news_of_a_reset_changes_the_episodes_own_instruction():
    task = Task("").planned().step(0, episode=2, instruction="open the microwave")
    assert isinstance(task.commands[-2], Deactivate)
    assert task.last(MakePlan).instruction == "open the microwave"
    assert task.planned(PICK).active.task == "open the microwave"


def test_an_episode_that_is_over_counts_only_after_a_while():
    over = EpisodeProgress(1, 300, False, True, "old")
    task = Task(episode=over).planned()
    assert task.step(300, done=True, after=2.0).active.key.index == 0
    task.step(0, episode=2, after=0.5)
    task.played(ChunkOutcome.PLAYED_EOS).played(ChunkOutcome.PLAYED_EOS)
    assert task.finish.success
    late = Task(episode=over).planned().tell(Tick(), after=3.1)
    assert late.finish.code is ErrorCode.EPISODE_ENDED and "reset it first" in late.finish.message


def test_another_instruction_can_follow_when_the_episodes_goal_has_come_true():
    before = EpisodeProgress(1, 80, True, True, TASK)
    task = Task("open the microwave", episode=before).planned().tell(Tick(), after=9.0)
    task.step(80, success=True, done=False).played(ChunkOutcome.PLAYED_EOS).step(88, success=True, done=False)
    assert task.active.key.index == 1, "that the first goal holds is no verdict on the second"
    task.played(ChunkOutcome.PLAYED_EOS)
    assert (task.finish.code, task.finish.completed) == (ErrorCode.NONE, 2)


def test_another_instruction_after_the_goal_still_ends_with_the_horizon():
    before = EpisodeProgress(1, 80, True, True, TASK)
    task = Task("open the microwave", episode=before).planned().played().step(88, success=True, done=False)
    task.step(300, success=True, done=True)
    assert task.finish.code is ErrorCode.EPISODE_ENDED


def test_the_episodes_own_task_is_done_where_its_goal_holds_already():
    task = Task("", episode=EpisodeProgress(1, 80, True, True, TASK)).tell(Tick(), after=3.1)
    assert (task.finish.code, task.finish.message) == (ErrorCode.NONE, "the world says that the goal holds")


def test_a_latched_guard_ends_the_task_though_no_chunk_tells_of_it():
    latched = EpisodeProgress(1, 9, False, False, TASK, latched="the end effector is at x = 0.7 m")
    task = Task().planned().played().tell(latched)
    assert task.finish.code is ErrorCode.GUARD_LATCHED
    assert task.finish.message == "the safety guard holds the arm: the end effector is at x = 0.7 m"


def test_a_guard_that_latched_before_the_task_ends_it_unless_the_world_is_reset():
    latched = EpisodeProgress(1, 9, False, False, TASK, latched="3 chunks in a row")
    assert Task(episode=latched).planned().tell(Tick(), after=3.1).finish.code is ErrorCode.GUARD_LATCHED
    assert Task(episode=latched).planned().step(0, episode=2).tell(Tick(), after=3.1).active.key.index == 0


@pytest.mark.parametrize(
    ("kind", "patience", "code"),
    [
        (HoldKind.ROBOT_DISABLED, 0.0, ErrorCode.ROBOT_DISABLED),
        (HoldKind.ROBOT_FAULT, 0.0, ErrorCode.ROBOT_FAULT),
        (HoldKind.ROBOT_HALTED, 3.0, ErrorCode.ROBOT_HALTED),
        (HoldKind.OBSERVATION_LOST, 3.0, ErrorCode.OBSERVATION_LOST),
    ],
)
def test_a_robot_that_takes_no_commands_ends_the_task_at_once_or_if_it_does_not_come_back(kind, patience, code):
    held = EpisodeProgress(1, 9, False, False, TASK, hold=Reason(kind, "because"))
    task = Task().planned().played().tell(held, after=0.1)
    if patience:
        task.tell(held, after=patience - 0.1)
        task.tell(replace(held, hold=Reason(HoldKind.NONE)), after=0.05).tell(held, after=0.1)
        task.tell(Tick(), after=patience - 0.1)
        assert task.manager.phase is Phase.RUNNING
    task.tell(Tick(), after=0.2)
    assert task.finish.code is code and task.finish.message.endswith(f"{kind.words}: because")


def test_a_robot_that_is_not_armed_yet_when_the_task_begins_has_a_moment_for_it():
    held = EpisodeProgress(1, 0, False, False, TASK, hold=Reason(HoldKind.ROBOT_DISABLED))
    assert Task(episode=held).planned().tell(Tick(), after=2.9).manager.phase is Phase.RUNNING
    assert Task(episode=held).planned().tell(Tick(), after=3.1).finish.code is ErrorCode.ROBOT_DISABLED


@pytest.mark.parametrize(("plan_id", "words"), [("mine", "plan 'mine'"), ("", "nothing is to be active")])
def test_another_planners_plan_ends_the_task(plan_id, words):
    task = Task().planned().tell(AnotherPlan(plan_id))
    assert task.finish.code is ErrorCode.ANOTHER_PLANNER and words in task.finish.message
    assert isinstance(task.commands[-2], Deactivate), "it lets go"
    waiting = Task().tell(AnotherPlan(plan_id))
    assert waiting.finish.code is ErrorCode.ANOTHER_PLANNER


@pytest.mark.parametrize(
    ("news", "reason"),
    [
        ({"step": 300, "done": True}, "the episode ended without success at step 300"),
        ({"step": 0, "episode": 2}, "the world was reset: episode 1 gave way to 2"),
    ],
)
def test_the_end_of_the_episode_ends_the_task(news, reason):
    task = Task(config=ManagerSettings(substep_timeout=1000)).planned().step(8).played().step(**news)
    assert (task.finish.code, task.finish.message) == (ErrorCode.EPISODE_ENDED, reason)


def test_a_timeout_is_answered_with_retry_then_replanning_then_the_end():
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(retries=1, replans=1))).planned()
    task.step(99)
    assert task.active.key == SubstepKey("t", 0, 0)
    task.step(100)
    assert task.active == Activate(SubstepKey("t", 0, 1), (PICK, PLACE), TASK, back_off=True)
    task.step(200)
    assert isinstance(task.commands[-2], Deactivate)
    assert task.last(MakePlan).done == ()
    assert task.last(MakePlan).failure == "no end of substep 0 ('pick up the milk') after 100 steps"
    task.planned()
    assert task.active == Activate(SubstepKey("t.1", 0, 0), (PICK, PLACE), TASK, back_off=True)
    task.step(300).step(400)
    assert task.finish.code is ErrorCode.SUBSTEP_TIMEOUT
    assert task.finish.message == "no end of substep 0 ('pick up the milk') after 100 steps"
    assert (task.finish.completed, task.finish.total) == (0, 2)
    assert task.events() == [
        STARTED,
        (TaskEvent.RETRIED, Cause.TIMEOUT),
        (TaskEvent.REPLANNING, Cause.TIMEOUT),
        REPLANNED,
        (TaskEvent.RETRIED, Cause.TIMEOUT),
    ]


def test_what_came_to_no_end_with_the_thing_picked_up_is_tried_again_from_picking_it_up():
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(retries=1, replans=1))).planned()
    task.step(8).played(ChunkOutcome.PLAYED_EOS).step(108)
    assert task.active == Activate(SubstepKey("t.1", 0, 0), (PICK, PLACE), TASK, back_off=True)
    task.step(120).played(ChunkOutcome.PLAYED_EOS)
    assert task.active == Activate(SubstepKey("t.1", 1, 0), (PICK, PLACE), TASK)
    task.step(220)
    assert task.last(MakePlan).done == ()
    task.planned().step(230).played(ChunkOutcome.PLAYED_EOS).step(240).played(ChunkOutcome.PLAYED_EOS)
    assert task.finish == Finish(ErrorCode.NONE, "all substeps are done; the last by eos", "rules", 2, 2)
    assert task.events() == [
        STARTED,
        BY_EOS,
        (TaskEvent.RETRIED_FROM_PICK_UP, Cause.TIMEOUT),
        BY_EOS,
        (TaskEvent.REPLANNING, Cause.TIMEOUT),
        REPLANNED,
        BY_EOS,
        BY_EOS,
    ]


def test_other_things_done_before_stay_done():
    opened = Substep("open the drawer", "the drawer is open")
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(0, 2))).planned(opened, PICK, PLACE)
    task.step(8).played(ChunkOutcome.PLAYED_EOS).step(108)
    assert task.last(MakePlan).done == (opened,)
    task.planned(PICK, PLACE).step(116).played(ChunkOutcome.PLAYED_EOS).step(216)
    assert task.last(MakePlan).done == (opened,)


def test_replanning_that_fails_names_both_troubles():
    task = Task(config=ManagerSettings(substep_timeout=10, recovery=RecoveryLadder(0, 1))).planned().step(10)
    task.tell(PlanFailed(task.last(MakePlan), ErrorCode.NO_PLAN, "rules: cannot"))
    assert task.finish.code is ErrorCode.SUBSTEP_TIMEOUT
    assert task.finish.message.endswith("after 10 steps; there is no other plan either: rules: cannot")


def test_the_world_may_succeed_while_the_rest_is_planned_again():
    task = Task(config=ManagerSettings(substep_timeout=10, recovery=RecoveryLadder(0, 1))).planned().step(10)
    assert task.step(10, success=True).finish.success


def test_a_retried_substep_has_its_whole_time_again_and_advances_as_ever():
    task = Task().planned().step(100).step(199)
    assert task.active.key == SubstepKey("t", 0, 1)
    assert task.played(ChunkOutcome.PLAYED_EOS).active.key == SubstepKey("t", 1, 0)


def test_a_substep_that_begins_in_mid_episode_counts_its_own_steps():
    task = Task(episode=EpisodeProgress(1, 500, False, False, TASK)).planned().step(599)
    assert task.active.key.attempt == 0
    unknown = Task(episode=None).planned().step(500).step(599)
    assert unknown.active.key.attempt == 0
    assert unknown.step(600).active.key.attempt == 1


def test_no_plan_ends_the_task_with_the_decomposers_code():
    task = Task()
    task.tell(PlanFailed(task.last(MakePlan), ErrorCode.INVALID_PLAN, "no steps"))
    assert (task.finish.code, task.finish.message) == (ErrorCode.INVALID_PLAN, "no steps")
    assert not any(isinstance(command, Deactivate) for command in task.commands)


def test_planning_that_takes_too_long_ends_the_task():
    task = Task().tell(Tick(), after=60.0)
    assert task.manager.phase is Phase.PLANNING
    assert task.tell(Tick(), after=0.1).finish.code is ErrorCode.BACKEND_FAILED


def test_an_answer_to_an_older_request_is_not_heeded():
    task = Task("")
    old = task.last(MakePlan)
    task.step(0, episode=2, instruction="open the microwave")
    task.tell(PlanMade(old, SourcedPlan(Plan(TASK, (PICK,)), "rules"))).tell(PlanFailed(old, ErrorCode.NO_PLAN, "no"))
    assert task.manager.phase is Phase.PLANNING


def test_a_silent_bridge_is_noticed():
    task = Task().planned().step(1, after=9.0).tell(Tick(), after=9.9)
    assert task.manager.phase is Phase.RUNNING
    assert task.tell(Tick(), after=0.2).finish.code is ErrorCode.BRIDGE_SILENT


def test_a_silent_policy_is_noticed_while_the_bridge_goes_on():
    task = Task().planned()
    for second in range(31):
        assert task.manager.phase is Phase.RUNNING, second
        task.step(1, after=1.0)
    assert task.finish.code is ErrorCode.POLICY_SILENT


def test_a_slow_policy_that_answers_is_not_silent():
    task = Task().planned()
    for _ in range(3):
        for _ in range(29):
            task.step(1, after=1.0)
        task.tell(ChunkAnnounced(task.active.key, eos=False))
    assert task.manager.phase is Phase.RUNNING


def test_a_latched_guard_ends_the_task():
    task = Task().planned().played(ChunkOutcome.REJECTED, reason="speed 2 m/s", latched=False)
    assert task.last(TaskFeedback).event_text == "chunk rejected: guard: speed 2 m/s"
    task.played(ChunkOutcome.REJECTED, reason="speed 2 m/s", latched=True)
    assert task.finish.code is ErrorCode.GUARD_LATCHED and "speed 2 m/s" in task.finish.message


def test_a_guard_that_latched_under_an_earlier_plan_ends_the_task():
    task = Task(config=ManagerSettings(substep_timeout=100)).planned()
    task.step(8).played(ChunkOutcome.PLAYED_EOS).step(108)
    assert task.active.key.plan_id == "t.1"
    task.tell(ChunkPlayed(SubstepKey("t", 1, 0), ChunkOutcome.REJECTED, 0, reason="too far", latched=True))
    assert task.finish.code is ErrorCode.GUARD_LATCHED and task.finish.message.endswith("holds the arm: too far")


def test_a_full_plan_is_retried_without_what_was_picked_up_under_another():
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(1, 1))).planned()
    task.step(8).played(ChunkOutcome.PLAYED_EOS)
    task.tell(PolicyRefused(task.active.key, REFUSED)).planned(*[PLACE] * MAX_SUBSTEPS)
    task.step(108)
    assert task.active.key == SubstepKey("t.1", 0, 1)


def test_a_policy_that_refuses_is_not_asked_the_same_again():
    task = Task().planned().tell(PolicyRefused(SubstepKey("t", 0, 0), REFUSED))
    assert task.events()[-1] == (TaskEvent.REPLANNING, Cause.POLICY_REFUSED)
    task.planned(PICK).tell(PolicyRefused(task.active.key, REFUSED))
    assert task.finish.code is ErrorCode.POLICY_FAILED and "no milk in the scene" in task.finish.message


def test_vision_advances_at_once_and_eos_is_answered_with_another_attempt():
    task = Task(rule="vision").planned().played(ChunkOutcome.PLAYED_EOS)
    assert task.active.key == SubstepKey("t", 0, 1)
    assert task.seen(True).active.key == SubstepKey("t", 1, 0)
    assert task.events()[1:] == [
        (TaskEvent.REISSUED, Cause.EOS_NOT_HEEDED),
        (TaskEvent.ADVANCED, Cause.VISION),
    ]


def test_an_attempt_that_a_rule_asked_for_does_not_prolong_the_substep():
    task = Task(rule="vision", config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(0, 0))).planned()
    task.step(60).played(ChunkOutcome.PLAYED_EOS).step(100)
    assert task.finish.code is ErrorCode.SUBSTEP_TIMEOUT


def test_eos_is_first_when_both_fire():
    task = Task(rule="either").planned().tell(ChunkAnnounced(SubstepKey("t", 0, 0), eos=True)).seen(True)
    assert task.active.key.index == 0
    assert task.played(ChunkOutcome.PLAYED_EOS).events()[-1] == BY_EOS


def test_eos_then_vision_goes_on_without_a_scorer():
    task = Task(rule="eos_then_vision").planned().played(ChunkOutcome.PLAYED_EOS, stamp=8)
    assert task.active.key.attempt == 0
    assert task.tell(Tick(), after=2.1).active.key == SubstepKey("t", 0, 1)
    task.step(9).seen(True, stamp=9)
    assert task.active.key.index == 1


def running(**options) -> Task:
    return Task(**options).planned()


def replanning() -> Task:
    return running(config=ManagerSettings(substep_timeout=10, recovery=RecoveryLadder(0, 1))).step(10)


STATES = {
    "waiting": lambda: Task("", episode=None),
    "planning": Task,
    "running": running,
    "second substep": lambda: running().played(ChunkOutcome.PLAYED_EOS),
    "retried": lambda: running().step(100),
    "waiting for a frame": lambda: running(rule="eos_then_vision").played(ChunkOutcome.PLAYED_EOS, stamp=1),
    "replanning": replanning,
    "replanned": lambda: replanning().planned(),
}


@pytest.mark.parametrize(
    ("state", "code"), itertools.product(STATES, (ErrorCode.CANCELED, ErrorCode.PREEMPTED, ErrorCode.NOT_ACTIVE))
)
def test_a_task_can_be_stopped_in_every_state(state, code):
    task = STATES[state]()
    task.tell(Stopped(code, "enough"))
    assert (task.finish.code, task.finish.message) == (code, "enough")
    issued = [command for command in task.commands if isinstance(command, (Activate, Deactivate))]
    assert not issued or isinstance(issued[-1], Deactivate)
    before = len(task.commands)
    task.step(400, success=True).tell(Tick(), after=1e6)
    assert len(task.commands) == before


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ManagerSettings(substep_timeout=0),
        lambda: ManagerSettings(planning_timeout=0.0),
        lambda: SilenceLimits(bridge=float("nan")),
        lambda: SilenceLimits(policy=-1.0),
        lambda: RecoveryLadder(retries=-1),
    ],
)
def test_limits_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        bad()


small = st.integers(0, 2)
keys = st.builds(SubstepKey, st.sampled_from(["t", "t.1", "x"]), small, small)
progress = st.builds(
    EpisodeProgress, small, st.integers(0, 300), st.just(False), st.booleans(), st.sampled_from([TASK, "y", ""])
)
any_event = st.one_of(
    progress,
    st.builds(ChunkAnnounced, keys, st.booleans()),
    st.builds(
        ChunkPlayed, keys, st.sampled_from(ChunkOutcome), st.integers(0, 9), st.just(0.5), st.just("r"), st.just(False)
    ),
    st.builds(PolicyRefused, keys, st.just(REFUSED)),
    st.builds(FrameScored, keys, st.integers(0, 9), st.just(0.5), st.booleans()),
    st.just(Tick()),
    st.just("plan"),
    st.just("no plan"),
)


@settings(max_examples=300, deadline=None)
@given(
    rule=st.sampled_from(SWITCH_RULES.names),
    task=st.sampled_from([TASK, ""]),
    known=st.one_of(st.none(), progress),
    script=st.lists(st.tuples(any_event, st.sampled_from([0.0, 0.5, 20.0])), max_size=40),
)
def test_whatever_happens_the_task_stays_in_order_and_ends_in_bounded_time(rule, task, known, script):
    run = Task(task, rule, episode=known)
    for event, after in script:
        requests = [command for command in run.commands if isinstance(command, MakePlan)]
        if event == "plan":
            event = PlanMade(requests[-1], SourcedPlan(Plan(TASK, (PICK, PLACE)), "s")) if requests else Tick()
        elif event == "no plan":
            event = PlanFailed(requests[-1], ErrorCode.NO_PLAN, "no") if requests else Tick()
        run.tell(event, after)
    for _ in range(20):  # nobody says anything any more
        run.tell(Tick(), after=10.0)
    assert isinstance(run.commands[-1], Finish)
    assert sum(isinstance(command, Finish) for command in run.commands) == 1
    issued = [command for command in run.commands if isinstance(command, (Activate, Deactivate))]
    assert not issued or isinstance(issued[-1], Deactivate)
    keys_issued = [command.key for command in issued if isinstance(command, Activate)]
    assert len(keys_issued) == len(set(keys_issued))
    for before, after in itertools.pairwise(keys_issued):
        same_plan = before.plan_id == after.plan_id
        assert not same_plan or after.index - before.index in (0, 1)
    assert 0 <= run.finish.completed <= max(run.finish.total, 0)


def grown(task: Task, *substeps: Substep, is_open: bool = True, source: str = "policy") -> Task:
    """The answer to the newest question for a plan; without substeps: nothing is left."""
    request = task.last(MakePlan)
    plan = Plan(request.instruction, substeps) if substeps else None
    return task.tell(PlanMade(request, SourcedPlan(plan, source, is_open)))


def test_an_open_plan_grows_at_its_end_until_nothing_is_left():
    task = grown(Task(), PICK)
    assert task.active.plan == (PICK,)
    task.step(8).played(ChunkOutcome.PLAYED_EOS)
    assert task.manager.phase is Phase.GROWING and task.last(MakePlan).done == (PICK,)
    assert not any(isinstance(command, Deactivate) for command in task.commands), "the arm waits as after any EOS"
    grown(task, PLACE)
    assert task.active == Activate(SubstepKey("t", 1, 0), (PICK, PLACE), TASK)
    grown(task.step(16).played(ChunkOutcome.PLAYED_EOS))
    assert task.finish == Finish(ErrorCode.NONE, "policy says that the task is done", "policy", 2, 2)
    assert task.commands[-2] == Deactivate(plan_done=True)
    assert task.events() == [STARTED, BY_EOS, BY_EOS]


def test_a_decomposer_that_takes_over_closes_an_open_plan():
    task = grown(Task(), PICK).step(8).played(ChunkOutcome.PLAYED_EOS)
    grown(task, PLACE, is_open=False, source="library (after policy)")
    task.step(16).played(ChunkOutcome.PLAYED_EOS)
    assert (task.finish.code, task.finish.source, task.finish.completed) == (
        ErrorCode.NONE,
        "library (after policy)",
        2,
    )


def test_an_open_plan_that_nobody_continues_ends_the_task():
    task = grown(Task(), PICK).step(8).played(ChunkOutcome.PLAYED_EOS)
    task.tell(PlanFailed(task.last(MakePlan), ErrorCode.INVALID_PLAN, "policy: it says 'dance'"))
    assert task.finish.code is ErrorCode.INVALID_PLAN and task.finish.completed == 1
    assert task.finish.message == "after 1 substeps there is no next one: policy: it says 'dance'"
    assert task.events()[-1] == BY_EOS and task.commands[-2] == Deactivate()


def test_an_open_plan_is_waited_for_no_longer_than_any_plan():
    task = grown(Task(), PICK).step(8).played(ChunkOutcome.PLAYED_EOS)
    task.tell(Tick(), after=SETTINGS.planning_timeout + 1)
    assert task.finish.code is ErrorCode.BACKEND_FAILED and task.commands[-2] == Deactivate()
    assert task.events() == [STARTED, BY_EOS] and task.finish.completed == 1


def test_what_comes_of_a_substep_that_has_ended_counts_for_nothing_while_the_next_is_asked_for():
    """An EOS once more, a frame that shows its effect, a policy that refuses it, or no end of it."""
    task = grown(Task(rule="either"), PICK).step(8).played(ChunkOutcome.PLAYED_EOS)
    asked = task.last(MakePlan)
    task.played(ChunkOutcome.PLAYED_EOS).seen(True).tell(PolicyRefused(task.active.key, REFUSED))
    task.step(SETTINGS.substep_timeout + 20)
    assert task.manager.phase is Phase.GROWING and task.last(MakePlan) is asked
    grown(task, PLACE)
    assert task.active.key == SubstepKey("t", 1, 0) and task.last(TaskFeedback).done == 1
    assert task.events() == [STARTED, BY_EOS]
    grown(task.played(ChunkOutcome.PLAYED_EOS))
    assert task.finish.completed == 2 and task.finish.code is ErrorCode.NONE


def test_a_plan_that_has_no_room_to_grow_is_followed_by_another():
    closed = [Substep(f"pick up mug {number}", f"mug {number} is held") for number in range(MAX_SUBSTEPS)]
    task = grown(Task(), PICK).step(8).played(ChunkOutcome.PLAYED_EOS)
    grown(task, *closed, is_open=False, source="library")
    assert task.active.key == SubstepKey("t.1", 0, 0) and len(task.active.plan) == MAX_SUBSTEPS
    assert task.events()[-1] == BY_EOS and task.last(TaskFeedback).done == 1
