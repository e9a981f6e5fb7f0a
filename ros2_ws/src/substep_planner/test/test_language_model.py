"""Plans by language models: prompt, answers, checks, repair, cache. The model is played by the test."""

from __future__ import annotations

import json
import re
import time

import jsonschema
import numpy as np
import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.motions import MOTIONS
from substep_core.language.reader import parse
from substep_core.plan import Plan, PlanFormatError, Substep
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.language_model.cache import CacheKey, PlanCache
from substep_planner.decomposers.language_model.chat import BackendError
from substep_planner.decomposers.language_model.decomposer import LanguageModelDecomposer
from substep_planner.decomposers.language_model.prompt import load_prompt
from substep_planner.decomposers.language_model.reply import REPLY_SCHEMA, plan_from_reply
from substep_planner.decomposers.library import LibraryDecomposer, shipped_library
from substep_planner.decomposers.rules import RulesDecomposer

TASK = "bring the milk to the basket"


def answer(*steps: tuple[str, str]) -> str:
    return json.dumps({"steps": [{"subgoal": subgoal, "expected_effect": effect} for subgoal, effect in steps]})


GOOD = answer(("Grab the milk", "The gripper holds the milk."), ("put the milk in the basket", "the milk is in it"))
BAD = answer(("grab the milk and put it in the basket", "the milk is in the basket"))


class ScriptedChat:
    """Gives its answers in order; an exception among them is raised."""

    backend = "scripted"
    model = "parrot"

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.heard = []

    def answer(self, messages, schema, image=None):
        assert schema is REPLY_SCHEMA
        self.heard.append((list(messages), image))
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def decomposer(*answers, cache=None, **options) -> tuple[LanguageModelDecomposer, ScriptedChat]:
    chat = ScriptedChat(*answers)
    return LanguageModelDecomposer(chat, load_prompt(), cache or PlanCache(), **options), chat


def test_a_good_answer_becomes_a_plan_in_the_shared_words():
    made, chat = decomposer(GOOD)
    sourced = made.decompose(PlanRequest(TASK))
    assert sourced.source == "scripted:parrot"
    assert sourced.plan.substeps == (
        Substep("pick up the milk", "the gripper holds the milk"),
        Substep("place the milk in the basket", "the milk is in it"),
    )
    system, user = chat.heard[0][0]
    assert (system.role, user.role) == ("system", "user")
    assert "JSON only" in system.text and user.text == f"Task: {TASK}"


def test_the_model_is_told_what_is_there_and_what_was_done():
    made, chat = decomposer(answer(("place the milk in the basket", "the milk is in the basket")))
    done = (Substep("pick up the milk", "held"),)
    made.decompose(PlanRequest(TASK, done=done, objects=frozenset({"milk", "basket", "orange_juice"})))
    text = chat.heard[0][0][1].text
    assert "In the scene: basket, milk, orange juice." in text
    assert "Already done: pick up the milk. Plan only what remains." in text


def test_a_plan_that_failed_is_not_given_again_from_memory():
    made, chat = decomposer(GOOD, answer(("place the milk in the basket", "the milk is in the basket")))
    made.decompose(PlanRequest(TASK))
    again = made.decompose(PlanRequest(TASK, failure="no end of substep 1 after 200 steps"))
    assert len(again.plan.substeps) == 1 and len(chat.heard) == 2
    assert "The previous plan failed: no end of substep 1 after 200 steps." in chat.heard[1][0][1].text


@pytest.mark.parametrize(
    "first", [BAD, "no JSON", "[" * 100_000, "9" * 5000, "{}", answer(), GOOD[:-5], "null", '{"steps": [1]}']
)
def test_an_unusable_answer_is_repaired_once(first):
    made, chat = decomposer(first, GOOD)
    assert len(made.decompose(PlanRequest(TASK)).plan.substeps) == 2
    conversation = chat.heard[1][0]
    assert [message.role for message in conversation] == ["system", "user", "assistant", "user"]
    assert conversation[2].text == first and "This plan cannot be used: " in conversation[3].text


def test_two_unusable_answers_are_an_invalid_plan():
    made, _ = decomposer(BAD, "sorry")
    with pytest.raises(
        PlanningError, match="no usable plan, not after a repair either: the answer is not JSON"
    ) as error:
        made.decompose(PlanRequest(TASK))
    assert error.value.code is ErrorCode.INVALID_PLAN


def test_a_silent_model_is_a_failed_backend():
    made, _ = decomposer(BackendError("connection refused"))
    with pytest.raises(PlanningError, match="scripted:parrot: connection refused") as error:
        made.decompose(PlanRequest(TASK))
    assert error.value.code is ErrorCode.BACKEND_FAILED


def test_a_plan_with_things_that_are_not_there_is_questioned_once_and_then_refused():
    other = GOOD.replace("milk", "soy drink")
    made, chat = decomposer(other, other)
    objects = frozenset({"milk", "basket"})
    for last in (other, "sorry"):
        made, chat = decomposer(other, last)
        with pytest.raises(PlanningError, match="the scene has no soy drink") as error:
            decompose(PlanRequest(TASK, objects=objects), [made])
        assert error.value.code is ErrorCode.INVALID_PLAN
        assert "the scene has no soy drink" in chat.heard[1][0][3].text


def test_plans_are_asked_for_once(tmp_path):
    made, chat = decomposer(GOOD, cache=PlanCache(tmp_path))
    first = made.decompose(PlanRequest(TASK))
    again = made.decompose(PlanRequest("  Bring the milk  to the basket."))
    assert (again.plan, again.source) == (first.plan, "scripted:parrot (cached)")
    restarted, _ = decomposer(cache=PlanCache(tmp_path))
    assert restarted.decompose(PlanRequest(TASK)).plan == first.plan
    assert len(chat.heard) == 1


def test_plans_for_the_rest_of_a_task_are_not_kept():
    rest = answer(("place the milk in the basket", "the milk is in the basket"))
    made, chat = decomposer(rest, rest)
    for _ in range(2):
        made.decompose(PlanRequest(TASK, done=(Substep("pick up the milk", "held"),)))
    assert len(chat.heard) == 2


def test_a_model_that_looks_is_shown_the_scene_each_time_and_asked_for_nothing_without_it():
    made, chat = decomposer(GOOD, GOOD, show_image=True)
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (50, 200)]
    for picture in pictures:
        made.decompose(PlanRequest(TASK, image=picture))
    assert [image.max() for _, image in chat.heard] == [50, 200]
    with pytest.raises(PlanningError, match="no picture of the scene") as caught:
        made.decompose(PlanRequest(TASK))
    assert caught.value.code is ErrorCode.BACKEND_FAILED and len(chat.heard) == 2


AROUND = {
    "thoughts": "<think>\nmaybe {'steps': 1}\n</think>\n" + GOOD,
    "thoughts that the template has opened": "so first the milk, then\n</think>\n\n" + GOOD,
    "a block": f"```json\n{GOOD}\n```",
    "words around a block": f"Sure! Here is {{the plan}}:\n```json\n{GOOD}\n```\nAnything else?",
    "words before": f"The plan is {GOOD}",
    "the plan twice": f"{GOOD}\n\nAs JSON:\n{GOOD}",
}


@pytest.mark.parametrize("around", AROUND)
def test_the_plan_is_found_between_what_models_say(around):
    assert [step.instruction for step in plan_from_reply(TASK, AROUND[around]).substeps][0] == "Grab the milk"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"<think> {GOOD}", "it ends within its thoughts"),
        (f"{GOOD} or rather {BAD}", "it holds 2 objects with 'steps' that differ"),
        ("{" * (1 << 20), "the answer is not JSON"),
        ('{"a":' * 200_000, "the answer is not JSON"),
        ('{"steps": "' + "a" * (1 << 20), "the answer is not JSON"),
        ("there is no plan", "the answer is not JSON"),
    ],
)
def test_what_holds_no_plan_is_told_in_bounded_time(said, reason):
    begun = time.monotonic()
    with pytest.raises(PlanFormatError, match=reason):
        plan_from_reply(TASK, said)
    assert time.monotonic() - begun < 5.0


KEY = CacheKey("openai", "m", "v1", "do it")
PLAN = Plan("do it", (Substep("open the microwave", "it is open"),))


@pytest.mark.parametrize(
    "other",
    [
        CacheKey("transformers", "m", "v1", "do it"),
        CacheKey("openai", "n", "v1", "do it"),
        CacheKey("openai", "m", "v2", "do it"),
        CacheKey("openai", "m", "v1", "do that"),
        CacheKey("openai", "m", "v1", "do it", ("milk",)),
    ],
)
def test_plans_are_kept_apart_by_everything_they_depend_on(tmp_path, other):
    PlanCache(tmp_path).put(KEY, PLAN)
    assert PlanCache(tmp_path).get(KEY) == PLAN
    assert PlanCache(tmp_path).get(other) is None


@pytest.mark.parametrize("content", ["", "[]", '{"steps": []}', '{"steps": [{"step": 1}]}'])
def test_a_damaged_cache_file_is_named(tmp_path, content):
    PlanCache(tmp_path).put(KEY, PLAN)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    with pytest.raises(PlanFormatError, match=str(file)):
        PlanCache(tmp_path).get(KEY)


def test_a_fence_around_the_answer_is_forgiven():
    assert plan_from_reply(TASK, f"```json\n{GOOD}\n```") == plan_from_reply(TASK, GOOD)


def test_the_answers_schema_is_within_the_plan_formats():
    jsonschema.validate(json.loads(GOOD.replace(".", "")), REPLY_SCHEMA)
    for text in ("", " x", "two\nlines", "x" * 200):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(answer((text, "seen"))), REPLY_SCHEMA)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Task: $instruction", "expected a section '# system'"),
        ("# system\nrules\n# user\n$instruction", "needs $instruction and $context"),
        ("# system\nrules\n# user\n$instruction $context $more", "no other placeholder"),
        ("# system\nrules\n# user\n$instruction $context $", "needs"),
    ],
)
def test_a_bad_prompt_file_is_refused(tmp_path, text, expected):
    path = tmp_path / "prompt.md"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_prompt(str(path))
    assert str(path) in str(error.value) and expected in str(error.value)


def test_another_prompt_is_another_version(tmp_path):
    path = tmp_path / "prompt.md"
    path.write_text("# system\nBe brief.\n# user\n$instruction\n$context\n")
    assert load_prompt(str(path)).version != load_prompt().version


def test_nobody_is_passed_over_silently():
    failing, _ = decomposer(BackendError("connection refused"))
    library = LibraryDecomposer(shipped_library())
    result = decompose(PlanRequest("put both mugs on the plate"), [failing, library, RulesDecomposer()])
    assert result.sourced.source == "rules (after scripted, library)"
    assert [(skipped.name, skipped.code) for skipped in result.passed_over] == [
        ("scripted", ErrorCode.BACKEND_FAILED),
        ("library", ErrorCode.NO_PLAN),
    ]
    assert result.remarks[0] == "scripted: scripted:parrot: connection refused"


def test_when_nobody_has_a_plan_the_gravest_failure_counts_and_all_are_named():
    failing, _ = decomposer(BackendError("connection refused"))
    with pytest.raises(PlanningError) as error:
        decompose(PlanRequest("sing a song"), [RulesDecomposer(), failing])
    assert error.value.code is ErrorCode.BACKEND_FAILED
    assert "rules: no plan for 'sing a song'" in str(error.value) and "connection refused" in str(error.value)


def test_the_prompt_tells_the_motions_of_the_substep_language():
    """All of them, in words that the language reads as that motion."""
    text = load_prompt().system
    forms = re.findall(r'"([^"]*<[^"]*)"', text[: text.index("Picking up and placing")])
    rooms = {"in the <place>": "in the basket", "under the <place>": "under the cabinet shelf"}
    fillings = {"<object>": "red mug", **rooms, "<place>": "plate", "<part>": "top drawer", "<device>": "stove"}
    told = set()
    for form in forms:
        for phrase, filling in {**fillings, "<left|right|front|back>": "left"}.items():
            form = form.replace(phrase, filling)
        kind = parse(form).kind
        assert form.startswith(kind.name), form
        told.add(kind)
    assert told == set(MOTIONS)


def test_a_skill_that_only_the_contract_knows_is_planned_and_told_to_the_model():
    skills = ("pick up", "place", "wipe")
    made, chat = decomposer(answer(("Wipe the table", "the table is clean")))
    sourced = decompose(PlanRequest("clean the table", skills=skills), [made]).sourced
    assert [step.instruction for step in sourced.plan.substeps] == ["wipe the table"]
    assert "may begin with: pick up, place, wipe." in chat.heard[0][0][1].text
    with pytest.raises(PlanningError, match="'open the microwave' is none of its skills: pick up"):
        decompose(PlanRequest("open the microwave", skills=skills), [RulesDecomposer()])
