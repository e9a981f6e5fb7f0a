"""The state machine of one task: every way through it and every way out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from substep_planner.decomposers.base import SourcedPlan
from substep_planner.errors import ErrorCode
from substep_planner.plan import MAX_SUBSTEPS, Plan, Substep
from substep_planner.recovery import RecoveryLadder
from substep_planner.substep_manager import ManagerSettings, Phase, SubstepManager
from substep_planner.switch_rules import SWITCH_RULES, make_switch_rule
from substep_planner.task_events import (
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    EpisodeProgress,
    Finish,
    FrameScored,
    Hold,
    MakePlan,
    Outcome,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    Report,
    Stopped,
    Tick,
)
from substep_planner.watchdogs import SilenceLimits
from substep_policy.request_desk import SubstepKey

PICK = Substep("pick up the milk", "the milk is held")
PLACE = Substep("place the milk in the basket", "the milk is in the basket")
TASK = "put the milk in the basket"
SETTINGS = ManagerSettings(substep_timeout=100, planning_timeout=60.0, silence=SilenceLimits(bridge=10.0, policy=30.0))


FRESH = EpisodeProgress(episode=1, step=0, success=False, done=False, instruction=TASK)


class Task:
    """A manager with its clock, and what it commanded."""

    def __init__(self, task=TASK, rule="eos", config=SETTINGS, episode=FRESH):
        self.now = 1000.0
        self.commands = []
        self.manager = SubstepManager(config, make_switch_rule(rule), task, "t", episode, self.now)
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

    def step(self, step: int, success=False, done=False, episode=1, instruction=TASK, after=0.0) -> Task:
        return self.tell(EpisodeProgress(episode, step, success, success or done, instruction), after)

    def played(self, outcome=Outcome.PLAYED, stamp=0, **more) -> Task:
        return self.tell(ChunkPlayed(self.active.key, outcome, stamp, **more))

    def seen(self, completed: bool, stamp=0, similarity=0.3) -> Task:
        return self.tell(FrameScored(self.active.key, stamp, similarity, completed))

    def events(self) -> list[str]:
        return [command.event for command in self.commands if isinstance(command, Report) and command.event]


def test_a_task_goes_through_its_substeps_by_eos():
    task = Task().planned()
    assert task.active == Activate(SubstepKey("t", 0, 0), (PICK, PLACE), TASK)
    task.step(8).played().step(16).played(Outcome.PLAYED_EOS, eos_probability=0.9)
    assert task.active == Activate(SubstepKey("t", 1, 0), (PICK, PLACE), TASK)
    task.step(24).played(Outcome.PLAYED_EOS)
    assert task.finish == Finish(ErrorCode.NONE, "all substeps are done; the last by eos", "rules", 2, 2)
    assert task.finish.success and task.manager.phase is Phase.FINISHED
    assert isinstance(task.commands[-2], Hold)
    assert task.events() == ["started", "advanced: eos", "advanced: eos"]


def test_the_worlds_verdict_ends_the_task_with_success():
    task = Task().planned().played().step(50, success=True)
    assert (task.finish.code, task.finish.completed, task.finish.total) == (ErrorCode.NONE, 0, 2)
    assert "the world says that the goal holds" in task.finish.message


def test_reports_on_other_substeps_plans_and_attempts_are_not_heeded():
    task = Task().planned()
    before = len(task.commands)
    for key in (SubstepKey("other", 0, 0), SubstepKey("t", 1, 0), SubstepKey("t", 0, 1)):
        task.tell(ChunkPlayed(key, Outcome.PLAYED_EOS, 0))
        task.tell(PolicyRefused(key, "no"))
        task.tell(ChunkAnnounced(key, eos=True))
    task.tell(FrameScored(SubstepKey("t", 1, 0), 0, 0.9, True))
    assert task.commands[before:] == []


def test_progress_is_reported_with_steps_and_probabilities():
    task = Task(rule="either").planned().step(3).played(eos_probability=0.25)
    report = task.last(Report)
    assert (report.steps, report.eos_probability, report.similarity, report.event) == (3, 0.25, -1.0, "")
    assert task.seen(False, similarity=0.125).last(Report).similarity == 0.125
    task.played(Outcome.PLAYED_EOS)
    assert task.last(Report).steps == 0 and task.last(Report).eos_probability == -1.0


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
    assert isinstance(task.commands[-2], Hold)
    assert task.last(MakePlan).instruction == "open the microwave"
    assert task.planned(PICK).active.task == "open the microwave"


def test_an_episode_that_is_over_counts_only_after_a_while():
    over = EpisodeProgress(1, 300, True, True, "old")
    task = Task(episode=over).planned()
    assert task.step(300, success=True, after=2.0).active.key.index == 0
    task.step(0, episode=2, after=0.5)
    task.played(Outcome.PLAYED_EOS).played(Outcome.PLAYED_EOS)
    assert task.finish.success
    late = Task(episode=over).planned().tell(Tick(), after=3.1)
    assert late.finish.code is ErrorCode.EPISODE_ENDED and "reset it first" in late.finish.message


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
    assert isinstance(task.commands[-2], Hold)
    assert task.last(MakePlan).done == ()
    assert task.last(MakePlan).trouble == "no end of substep 0 ('pick up the milk') after 100 steps"
    task.planned()
    assert task.active == Activate(SubstepKey("t.1", 0, 0), (PICK, PLACE), TASK, back_off=True)
    task.step(300).step(400)
    assert task.finish.code is ErrorCode.SUBSTEP_TIMEOUT
    assert task.finish.message == "no end of substep 0 ('pick up the milk') after 100 steps"
    assert (task.finish.completed, task.finish.total) == (0, 2)
    assert task.events() == [
        "started",
        "retry: timeout",
        "replanning: timeout",
        "replanned by rules",
        "retry: timeout",
    ]


def test_what_came_to_no_end_with_the_thing_picked_up_is_tried_again_from_picking_it_up():
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(retries=1, replans=1))).planned()
    task.step(8).played(Outcome.PLAYED_EOS).step(108)
    assert task.active == Activate(SubstepKey("t.1", 0, 0), (PICK, PLACE), TASK, back_off=True)
    task.step(120).played(Outcome.PLAYED_EOS)
    assert task.active == Activate(SubstepKey("t.1", 1, 0), (PICK, PLACE), TASK)
    task.step(220)
    assert task.last(MakePlan).done == ()
    task.planned().step(230).played(Outcome.PLAYED_EOS).step(240).played(Outcome.PLAYED_EOS)
    assert task.finish == Finish(ErrorCode.NONE, "all substeps are done; the last by eos", "rules", 2, 2)
    assert task.events() == [
        "started",
        "advanced: eos",
        "retry from picking up: timeout",
        "advanced: eos",
        "replanning: timeout",
        "replanned by rules",
        "advanced: eos",
        "advanced: eos",
    ]


def test_other_things_done_before_stay_done():
    opened = Substep("open the drawer", "the drawer is open")
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(0, 2))).planned(opened, PICK, PLACE)
    task.step(8).played(Outcome.PLAYED_EOS).step(108)
    assert task.last(MakePlan).done == (opened,)
    task.planned(PICK, PLACE).step(116).played(Outcome.PLAYED_EOS).step(216)
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
    assert task.played(Outcome.PLAYED_EOS).active.key == SubstepKey("t", 1, 0)


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
    assert not any(isinstance(command, Hold) for command in task.commands)


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
    task = Task().planned().played(Outcome.REJECTED, reason="speed 2 m/s", latched=False)
    assert task.events()[-1] == "chunk rejected: speed 2 m/s"
    task.played(Outcome.REJECTED, reason="speed 2 m/s", latched=True)
    assert task.finish.code is ErrorCode.GUARD_LATCHED and "speed 2 m/s" in task.finish.message


def test_a_guard_that_latched_under_an_earlier_plan_ends_the_task():
    task = Task(config=ManagerSettings(substep_timeout=100)).planned()
    task.step(8).played(Outcome.PLAYED_EOS).step(108)
    assert task.active.key.plan_id == "t.1"
    task.tell(ChunkPlayed(SubstepKey("t", 1, 0), Outcome.REJECTED, 0, reason="too far", latched=True))
    assert task.finish.code is ErrorCode.GUARD_LATCHED and task.finish.message.endswith("holds the arm: too far")


def test_a_full_plan_is_retried_without_what_was_picked_up_under_another():
    task = Task(config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(1, 1))).planned()
    task.step(8).played(Outcome.PLAYED_EOS)
    task.tell(PolicyRefused(task.active.key, "cannot")).planned(*[PLACE] * MAX_SUBSTEPS)
    task.step(108)
    assert task.active.key == SubstepKey("t.1", 0, 1)


def test_a_policy_that_refuses_is_not_asked_the_same_again():
    task = Task().planned().tell(PolicyRefused(SubstepKey("t", 0, 0), "no milk in the scene"))
    assert task.events()[-1] == "replanning: refused by the policy"
    task.planned(PICK).tell(PolicyRefused(task.active.key, "no milk in the scene"))
    assert task.finish.code is ErrorCode.POLICY_FAILED and "no milk in the scene" in task.finish.message


def test_vision_advances_at_once_and_eos_is_answered_with_another_attempt():
    task = Task(rule="vision").planned().played(Outcome.PLAYED_EOS)
    assert task.active.key == SubstepKey("t", 0, 1)
    assert task.seen(True).active.key == SubstepKey("t", 1, 0)
    assert task.events()[1:] == ["issued again: eos not heeded", "advanced: vision"]


def test_an_attempt_that_a_rule_asked_for_does_not_prolong_the_substep():
    task = Task(rule="vision", config=ManagerSettings(substep_timeout=100, recovery=RecoveryLadder(0, 0))).planned()
    task.step(60).played(Outcome.PLAYED_EOS).step(100)
    assert task.finish.code is ErrorCode.SUBSTEP_TIMEOUT


def test_eos_is_first_when_both_fire():
    task = Task(rule="either").planned().tell(ChunkAnnounced(SubstepKey("t", 0, 0), eos=True)).seen(True)
    assert task.active.key.index == 0
    assert task.played(Outcome.PLAYED_EOS).events()[-1] == "advanced: eos"


def test_eos_then_vision_goes_on_without_a_scorer():
    task = Task(rule="eos_then_vision").planned().played(Outcome.PLAYED_EOS, stamp=8)
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
    "second substep": lambda: running().played(Outcome.PLAYED_EOS),
    "retried": lambda: running().step(100),
    "waiting for a frame": lambda: running(rule="eos_then_vision").played(Outcome.PLAYED_EOS, stamp=1),
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
    issued = [command for command in task.commands if isinstance(command, (Activate, Hold))]
    assert not issued or isinstance(issued[-1], Hold)
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
        ChunkPlayed, keys, st.sampled_from(Outcome), st.integers(0, 9), st.just(0.5), st.just("r"), st.just(False)
    ),
    st.builds(PolicyRefused, keys, st.just("no")),
    st.builds(FrameScored, keys, st.integers(0, 9), st.just(0.5), st.booleans()),
    st.just(Tick()),
    st.just("plan"),
    st.just("no plan"),
)


@settings(max_examples=300, deadline=None)
@given(
    rule=st.sampled_from(SWITCH_RULES),
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
    issued = [command for command in run.commands if isinstance(command, (Activate, Hold))]
    assert not issued or isinstance(issued[-1], Hold)
    keys_issued = [command.key for command in issued if isinstance(command, Activate)]
    assert len(keys_issued) == len(set(keys_issued))
    for before, after in itertools.pairwise(keys_issued):
        same_plan = before.plan_id == after.plan_id
        assert not same_plan or after.index - before.index in (0, 1)
    assert 0 <= run.finish.completed <= max(run.finish.total, 0)
