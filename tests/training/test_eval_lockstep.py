"""Tasks carried out in one process by the nodes' cores: rules, timeouts, refusals, the guard; and what the log says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from substep_bridge.chunk_player import REST_TIME
from substep_core.chunk import NO_EOS, Chunk
from substep_core.errors import ErrorCode, PlanningError
from substep_core.named_substep import TASK_DONE, NamedSubstep
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_core.protocol import ChunkReason, Reason
from substep_core.scene import SceneState
from substep_planner.completion.frame_scorer import FrameScorer, WatchSettings
from substep_planner.decomposers.own_words import OwnWordsDecomposer
from substep_planner.manager.events import TaskFeedback
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.session.policy_session import StuckSettings
from substep_policy.session.shared_policy import PolicyCard, SharedPolicy
from tests.training.counting_world import Shelf, World
from training.evaluation.substep_log import MISSED_AFTER, SubstepLog
from training.lockstep import LockstepTask, TaskResult, TaskSettings

RATE = 20.0  # Hz of control steps


class Puppet:
    """Ends a substep with an EOS once ``length`` steps of it were asked for; ``size`` as large as an action may be."""

    name, requires_scene, cameras = "puppet", False, ("eye",)

    def __init__(self, length: int = 12, chunk: int = 5, size: float = 0.0) -> None:
        self._length, self._chunk, self._size = length, chunk, size
        self.told: list[tuple[str, str]] = []
        self.shown: list[tuple[str, ...]] = []
        self._left = 0

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append((instruction, task))
        self._left = self._length

    def predict(self, observation: Observation) -> Chunk:
        self.shown.append(tuple(observation.images))
        steps = min(self._chunk, self._left)
        self._left -= steps
        ends = self._left == 0
        actions = np.full((steps, 7), self._size, np.float32)
        actions[:, -1] = -1.0 if ends and self.told[-1][0].startswith("place") else 1.0
        return Chunk(actions, eos_index=steps - 1 if ends else NO_EOS)


class NeverPlacing(Puppet):
    def start_substep(self, instruction: str, task: str) -> None:
        super().start_substep(instruction, task)
        if instruction.startswith("place"):
            self._left = 10_000


class Refusing(Puppet):
    def start_substep(self, instruction: str, task: str) -> None:
        raise ValueError("I do not know how")


class Taught(Puppet):
    robot, horizon, device, dtype = World.contract, 5, "cpu", "float32"
    skills = ("pick up",)


class Naming(Puppet):
    """Names the next of some words every time that a substep of its own is over."""

    words = ("pick up the milk", "place the milk on the plate", TASK_DONE)

    def next_substep(self, observation: Observation, task: str) -> NamedSubstep:
        assert task == "tidy up" and tuple(observation.images) == self.cameras
        return NamedSubstep(self.words[len(self.told)], 0.9, True)


class Steps:
    """A scorer that reads the step off the picture: done from ``done`` steps on."""

    name, cameras, threshold = "steps", ("agentview",), 0.5

    def __init__(self, done: Callable[[int, int], bool]) -> None:
        self._done = done

    def begin_plan(self, substeps: Sequence[Substep]) -> None: ...

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        return float(self._done(int(images["agentview"][0, 0, 0]), index))


class Effects:
    """Stands in for ``EffectFinder``: substep texts -> steps from which their effect holds."""

    def __init__(self, **since: int) -> None:
        self._since = since

    def find(self, instruction: str, scene: SceneState) -> Callable[[SceneState], bool]:
        since = self._since[instruction.split()[0]]
        return lambda scene: scene.predicates["step"] >= since


def carry_out(
    policy: Puppet,
    world: World | None = None,
    rule: str = "eos",
    done: Callable[[int, int], bool] | None = None,
    effects: Effects | None = None,
    **limits,
) -> tuple[TaskResult, SubstepLog]:
    world = world or World()
    log = SubstepLog(effects or Effects(pick=5, place=20), RATE)
    scorer = FrameScorer(Steps(done), WatchSettings(frames=1, rate=RATE)) if done else None
    recovery = RecoveryLadder(limits.pop("retries", 0), limits.pop("replans", 0))
    stuck = StuckSettings(back_off_steps=limits.pop("back_off_steps", 6))
    decomposer = limits.pop("decomposer", Shelf())
    manager = ManagerSettings(recovery=recovery, **limits)
    settings = TaskSettings((decomposer,), manager=manager, stuck=stuck)
    task = LockstepTask(world, world.observe(), policy, make_switch_rule(rule), settings, scorer, (log,))
    result = task.run()
    log.finish("goal reached" if result.success else result.finish.code.name.lower(), result.success)
    return result, log


def told(log: SubstepLog) -> list[tuple[str, str]]:
    return [(event.event, event.cause) for event in log.events]


def ended(log: SubstepLog) -> list[tuple[str, int]]:
    return [(record.ended, record.steps) for record in log.records]


def test_substeps_follow_each_other_by_eos_and_the_policy_sees_pictures_only_when_asked():
    policy = Puppet(length=12)
    result, log = carry_out(policy)
    assert policy.told == [("pick up the cup", "tidy up"), ("place the cup", "tidy up")]
    assert ended(log) == [("eos", 12), ("eos", 12)] and log.completed(False) == 2
    assert not result.success and result.finish.code is ErrorCode.NONE and result.steps == 24 + round(REST_TIME * RATE)
    assert [outcome.name for outcome in result.outcomes] == ["PLAYED", "PLAYED", "PLAYED_EOS"] * 2
    assert policy.shown == [("eye",)] * 6 and len(result.inference_times) == 6


def test_a_scorer_that_gets_no_answer_ends_the_task_and_says_why():
    def unheard(step: int, index: int) -> bool:
        raise PlanningError(ErrorCode.BACKEND_FAILED, "nobody answers")

    result, _ = carry_out(Puppet(), rule="vision", done=unheard)
    assert (result.finish.code, result.finish.message) == (ErrorCode.BACKEND_FAILED, "the scorer: nobody answers")


def test_a_policy_carries_out_what_it_names_itself():
    policy = Naming(length=12)
    result, log = carry_out(policy, decomposer=OwnWordsDecomposer())
    assert [instruction for instruction, _ in policy.told] == list(Naming.words[:2])
    assert ended(log) == [("eos", 12), ("eos", 12)] and log.plan_source == "policy"
    assert result.finish.message == "policy says that the task is done" and log.plan_length == 2
    result, _ = carry_out(Puppet(length=12), decomposer=OwnWordsDecomposer())
    assert result.finish.code is ErrorCode.BACKEND_FAILED and "policy puppet names no substeps" in result.finish.message


def test_a_plan_with_what_the_policy_was_not_taught_is_refused_of_a_shared_one_too():
    policy = Taught()
    for seen in (policy, SharedPolicy(PolicyCard.of(policy), answering=None)):
        result, _ = carry_out(seen)
        assert result.finish.code is ErrorCode.INVALID_PLAN
        assert "plans with what the policy cannot do: " in result.finish.message
    assert policy.told == []


def test_the_worlds_success_ends_the_task_in_mid_chunk():
    result, log = carry_out(Puppet(length=12), World(goal=15))
    assert result.success and result.steps == 15
    assert ended(log) == [("eos", 12), ("goal reached", 3)] and log.completed(True) == 2


def test_an_eos_that_vision_denies_leads_to_another_attempt():
    seen_at = (20, 60)
    result, log = carry_out(
        Puppet(length=12), rule="eos_unless_denied", done=lambda step, index: step >= seen_at[index], retries=2
    )
    assert ended(log) == [("eos", 30), ("tried again", 12), ("eos", 18), ("eos", 12)]
    assert told(log) == [
        ("started", "none"),
        ("retried", "eos denied by vision"),
        ("advanced", "eos"),
        ("retried from pick up", "eos denied by vision"),
        ("advanced", "eos"),
        ("advanced", "eos"),
    ]


def test_what_was_just_let_go_comes_to_rest_before_the_world_is_asked():
    result, _ = carry_out(Puppet(length=12), World(goal=30))
    assert result.success and result.steps == 30 and result.finish.code is ErrorCode.NONE


def test_a_grasp_that_missed_is_tried_again():
    _, log = carry_out(Puppet(length=12), World(held_from=20), retries=1)
    assert told(log) == [
        ("started", "none"),
        ("retried", "nothing grasped"),
        ("advanced", "eos"),
        ("advanced", "eos"),
    ]
    assert [(record.attempts, record.steps) for record in log.records] == [(2, 30), (1, 12)]


def test_without_backing_off_another_attempt_begins_where_it_is():
    _, log = carry_out(NeverPlacing(), retries=1, substep_timeout=20, back_off_steps=0)
    assert ended(log) == [("eos", 12), ("tried again", 20), ("eos", 12), ("substep_timeout", 20)]


def test_a_substep_that_is_begun_again_from_picking_up_counts_once():
    result, log = carry_out(NeverPlacing(), retries=1, substep_timeout=20)
    assert ended(log) == [("eos", 12), ("tried again", 20), ("eos", 18), ("substep_timeout", 20)]
    assert [record.undone for record in log.records] == [True, False, False, False]
    assert log.completed(False) == 1 and result.finish.completed == 1


@pytest.mark.parametrize(
    ("rule", "seen_at", "expected"),
    [
        ("vision", 7, [("vision", 7), ("vision", 23)]),
        ("either", 7, [("vision", 7), ("eos", 12)]),
        ("either", 30, [("eos", 12), ("eos", 12)]),
        ("eos_unless_denied", 7, [("eos", 12), ("eos denied by vision", 12)]),
        ("eos_then_vision", 7, [("eos confirmed by vision", 12), ("eos confirmed by vision", 18)]),
    ],
)
def test_rules_that_look(rule: str, seen_at: int, expected: list[tuple[str, int]]):
    """The second substep's effect is seen from step 30 on; an EOS that is not heeded begins the substep again."""
    result, log = carry_out(
        Puppet(length=12), rule=rule, done=lambda step, index: step >= (seen_at if index == 0 else 30)
    )
    assert ended(log) == expected
    assert result.finish.code is ErrorCode.NONE


def test_a_substep_without_end_is_tried_again_then_planned_again_then_given_up():
    result, log = carry_out(Puppet(length=1000), substep_timeout=20, retries=1, replans=1)
    assert result.finish.code is ErrorCode.SUBSTEP_TIMEOUT
    assert told(log) == [
        ("started", "none"),
        ("retried", "timeout"),
        ("replanning", "timeout"),
        ("replanned", "none"),
        ("retried", "timeout"),
    ]
    assert [(record.plan_id, record.attempts) for record in log.records] == [("task", 2), ("task.1", 2)]
    assert log.completed(False) == 0


def test_the_horizon_ends_the_episode():
    result, log = carry_out(Puppet(length=1000), World(horizon=33))
    assert (result.steps, result.finish.code) == (33, ErrorCode.EPISODE_ENDED)
    assert ended(log) == [("episode_ended", 33)]


def test_a_policy_that_refuses_ends_the_task_with_its_reason():
    result, log = carry_out(Refusing())
    assert result.finish.code is ErrorCode.POLICY_FAILED and "I do not know how" in result.finish.message
    assert (result.steps, ended(log)) == (0, [(result.finish.code.name.lower(), 0)])


@pytest.mark.parametrize(
    "policy",
    [lambda: Puppet(length=12), lambda: Puppet(length=1000), lambda: Puppet(length=1000, size=3.0), lambda: Refusing()],
    ids=["to its end", "without an end", "unsafe", "refused"],
)
def test_no_sentence_is_needed(policy: Callable[[], Puppet], monkeypatch: pytest.MonkeyPatch):
    limits = {"substep_timeout": 20, "retries": 1, "replans": 1}
    spoken, log = carry_out(policy(), **limits)
    monkeypatch.setattr(Reason, "text", "")
    monkeypatch.setattr(Reason, "detail", property(lambda reason: "", lambda reason, detail: None), raising=False)
    monkeypatch.setattr(TaskFeedback, "event_text", "")
    silent, silent_log = carry_out(policy(), **limits)
    assert {event.text for event in silent_log.events} == {""}
    assert (silent.steps, silent.finish.code, silent.outcomes) == (spoken.steps, spoken.finish.code, spoken.outcomes)
    assert (told(silent_log), ended(silent_log)) == (told(log), ended(log))


def test_chunks_that_the_guard_rejects_are_not_played_and_latch_it():
    result, log = carry_out(Puppet(length=1000, size=3.0))
    assert result.finish.code is ErrorCode.GUARD_LATCHED
    assert len(result.rejections) == 3 and {reason.kind for reason in result.rejections} == {ChunkReason.RANGE}


def test_an_advance_without_the_effect_is_premature_and_one_with_it_is_not():
    _, log = carry_out(Puppet(length=12), effects=Effects(pick=13, place=20))
    assert [(record.premature, record.effect_after) for record in log.records] == [(True, None), (False, 8)]
    assert log.completed(False) == 1, "the premature one is not completed"


def test_an_effect_that_nobody_heeds_is_missed():
    _, log = carry_out(Puppet(length=1000), World(horizon=30))
    assert log.records[0].missed is True and log.records[0].premature is None
    _, log = carry_out(Puppet(length=1000), World(horizon=30), effects=Effects(pick=1000, place=0))
    assert log.records[0].missed is False, "there was nothing to heed"
    _, log = carry_out(Puppet(length=5 + round(MISSED_AFTER * RATE)), effects=Effects(pick=5, place=0))
    assert log.records[0].missed is True and log.records[0].premature is False, "heeded, but far too late"
    _, log = carry_out(Puppet(length=20), effects=Effects(pick=5, place=30))
    assert [record.missed for record in log.records] == [False, False]
