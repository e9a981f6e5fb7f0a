"""``./substep plan``."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from libero_bridge.tasks import LIBERO, libero_task
from substep_bringup.question import YES
from substep_cli.grammar import CommandFailed, UsageError
from substep_cli.options import Device, Json, Task, TasksFrom
from substep_cli.question import answer_at_terminal
from substep_core.contract import load_robot
from substep_core.errors import PlanningError
from substep_core.plan import steps_to_json
from substep_core.printable import show
from substep_core.tasks import check_suite, task_source
from substep_planner.decomposers.base import Decomposer, PlanRequest, UnsureError
from substep_planner.decomposers.fallback import Decomposition, decompose
from substep_planner.decomposers.library import load_library
from substep_planner.decomposers.objects import read_objects
from substep_planner.decomposers.registry import DEFAULT_ORDER, DecomposerSettings, load_decomposers

DEFAULTS = DecomposerSettings()
_MODELS = ("transformers_model", "openai_model", "anthropic_model")
_URLS = ("openai_url", "anthropic_url")


def plan(
    instruction: str,
    /,
    *,
    suite: str = "",
    task: Task | None = None,
    tasks_from: TasksFrom = LIBERO,
    objects: tuple[str, ...] = (),
    robot: str = "",
    yes: bool = False,
    decomposers: tuple[str, ...] = DEFAULT_ORDER,
    library: Path | None = None,
    model: str = "",
    url: str = "",
    max_tokens: int = DEFAULTS.max_tokens,
    timeout: float = DEFAULTS.server_timeout,
    device: Device = DEFAULTS.device,
    prompt: Path | None = None,
    cache: Path | None = None,
    json: Json = None,
) -> None:
    """Print the plan for an instruction, and on stderr who made it and who was passed over.

    Args:
        instruction: such as "put both mugs on the plate".
        suite: the suite that the instruction belongs to, such as libero_10.
        task: whose scene it is said in, by its number in the suite; none: the suite's, where all its tasks have one,
            else it is not known what is there.
        objects: what is in the scene instead: LIBERO's categories such as porcelain_mug or one's own. Of a bare name it
            is not known how many there are; akita_black_bowl=1 says that there is one, and then a bare name is one too.
        robot: whose skills a plan may hold: its name, or the path of its contract; none: the motions of the language.
        yes: where it is not sure what is meant, take what is suggested; else a terminal is asked, where the task may
            also be said in other words, and a script gets exit code 1 with the question.
        decomposers: who is asked, in this order: library, grounding, rules, transformers, openai, anthropic,
            whole_task, or an installed one.
        library: a plan file instead of the shipped one.
        model: of a language model: hub id, folder, GGUF file or the server's name for it; none: its decomposer's own.
        url: of a language model's server, up to and with its version; none: its decomposer's own.
        max_tokens: of one answer of a language model, its thoughts included.
        timeout: s for one whole answer of a server.
        prompt: a prompt file instead of the shipped one.
        cache: folder in which language models' plans are kept.
    """
    if not instruction.strip():
        raise UsageError(f"INSTRUCTION is {instruction!r}, expected what a robot is to do")
    settings = replace(
        DEFAULTS,
        library=str(library or ""),
        prompt=str(prompt or ""),
        plan_cache=str(cache or ""),
        device=device,
        max_tokens=max_tokens,
        server_timeout=timeout,
        **dict.fromkeys(_MODELS, model) if model else {},
        **dict.fromkeys(_URLS, url) if url else {},
    )
    kinds, counts = _scene(suite, task, tasks_from, objects, settings.library)
    skills = load_robot(robot).skills if robot else ()
    request = PlanRequest(instruction, suite, objects=kinds, counts=counts, skills=skills, take_suggestion=yes)
    result = _decompose(request, decomposers, settings)
    if not kinds:
        show("note: what is in the scene is not known: say it by --objects, or by --suite and --task", sys.stderr)
    _print(result, json)


def _scene(
    suite: str, task: int | None, tasks_from: str, objects: tuple[str, ...], library: str
) -> tuple[frozenset[str], Mapping[str, int]]:
    """Categories of what is there, and how many of each; none: it is not known.

    Raises:
        UsageError, ValueError: there is no such suite or task, or the scene is said twice.
    """
    if task is not None and (objects or not suite):
        raise UsageError(f"task is {task}: expected with --suite, and without --objects, which say what is there too")
    if task is not None:
        counts = libero_task(tasks_from, suite, task).categories
        return frozenset(counts), counts
    source = task_source(tasks_from)
    is_of_source = suite in source.suites
    if suite and not is_of_source:  # a plan file may have suites of its own
        check_suite(suite, tuple(dict.fromkeys((*source.suites, *load_library(library)))))
    if objects or not is_of_source:
        return read_objects(objects)
    scenes = [libero_task(tasks_from, suite, number).categories for number in range(len(source.names(suite)))]
    return (frozenset(scenes[0]), scenes[0]) if all(one == scenes[0] for one in scenes) else (frozenset(), {})


def _decompose(request: PlanRequest, decomposers: tuple[str, ...], settings: DecomposerSettings) -> Decomposition:
    """Raises: CommandFailed."""
    try:
        return _asking(request, load_decomposers(decomposers, settings))
    except PlanningError as error:
        question = f"; {error.clarification}" if error.clarification else ""
        raise CommandFailed(f"{error.code.name}: {error}{question}") from error


def _asking(request: PlanRequest, decomposers: Sequence[Decomposer]) -> Decomposition:
    """As ``decompose``, again with what somebody at the terminal answers. Raises: PlanningError."""
    at_once = request.take_suggestion
    while True:
        try:
            return decompose(request, decomposers)
        except PlanningError as error:
            answer = answer_at_terminal(str(error), error.clarification) if error.clarification else ""
            if not answer or (answer == YES and not isinstance(error, UnsureError)):
                raise
            if answer == YES:
                request = replace(request, take_suggestion=True)
            else:  # a yes was to another question
                request = replace(request, instruction=answer, take_suggestion=at_once)


def _print(result: Decomposition, json: Path | None) -> None:
    """Steps on stdout, remarks and the plan's source on stderr, and the steps in a file if one is named."""
    for remark in result.remarks:
        show(f"note: {remark}", sys.stderr)
    if result.sourced.understood:
        show(f"understood: {result.sourced.understood}", sys.stderr)
    show(f"plan by {result.sourced.source}", sys.stderr)
    steps = steps_to_json(result.sourced.plan.substeps)
    if json is not None:  # as in APD_plans.json
        json.write_text(json_format.dumps(steps, indent=2, ensure_ascii=False) + "\n")
    for step in steps:
        show(f"{step['step']}. {step['subgoal']}\n     seen when done: {step['expected_effect']}")
