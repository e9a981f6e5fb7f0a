"""What people say in LIBERO's scenes, to count how much of it is planned right.

The project's own wordings, all instructions, some of them in other languages, everyday speech, what people of several
manners say, and 200 sentences that must be refused; besides, where they are given, LIBERO-PRO's and LIBERO-plus's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from libero_bridge.tasks import LiberoSource, LiberoTask
from substep_core.yaml_mapping import read_mapping
from substep_planner.paraphrases import shipped_paraphrases
from training.evaluation.others_wordings import plus_wordings, task_named

MUST_BE_REFUSED = "must be refused"


@dataclass(frozen=True)
class Saying:
    """A sentence in a scene.

    Attributes:
        source: where the sentence is from.
        half: of LIBERO-plus's tasks: "first", which the shipped model was made with, or "second".
        task: whose scene it is said in; its plan is the right one, unless ``refused``.
        refused: there is no plan for it.
    """

    source: str
    suite: str
    text: str
    task: LiberoTask
    half: str = ""
    refused: bool = False


def own_sayings() -> Iterator[Saying]:
    """Instructions, wordings, and what must be refused."""
    source = LiberoSource()
    for suite in source.suites:
        tasks = [source.task(suite, index) for index in range(len(source.names(suite)))]
        by_instruction = {task.instruction: task for task in tasks}
        for task in tasks:
            yield Saying("instructions", suite, task.instruction, task)
        for instruction, wordings in shipped_paraphrases().get(suite, {}).items():
            for wording in wordings:
                yield Saying("own wordings", suite, wording, by_instruction[instruction])
    refusals = json.loads((files("substep_planner") / "data" / "refusals.json").read_text(encoding="utf-8"))
    suites = source.default_suites
    for number, text in enumerate(refusals.pop("anywhere")):
        suite = suites[number % len(suites)]
        yield Saying(MUST_BE_REFUSED, suite, text, source.task(suite, number // len(suites) % 10), refused=True)
    for suite, texts in refusals.items():
        for number, text in enumerate(texts):
            yield Saying(MUST_BE_REFUSED, suite, text, source.task(suite, number % 10), refused=True)


def translated_sayings() -> Iterator[Saying]:
    """LIBERO's forty tasks in other languages."""
    source = LiberoSource()
    text = (files("substep_planner") / "data" / "translations.json").read_text(encoding="utf-8")
    for language, suites in json.loads(text).items():
        for suite, sentences in suites.items():
            for number, sentence in enumerate(sentences):
                yield Saying(f"in {language}", suite, sentence, source.task(suite, number))


def everyday_sayings() -> Iterator[Saying]:
    """What people say in LIBERO's scenes: indirectly, politely, as dictated, with what does not matter around it; some
    of it asks for what cannot be done."""
    return _spoken("everyday")


def manners_sayings() -> Iterator[Saying]:
    """What people of several manners say in LIBERO's scenes: long-winded, elderly, children, in a language that they
    are learning; some of it asks for what cannot be done."""
    return _spoken("manners")


def _spoken(name: str) -> Iterator[Saying]:
    """Raises: ValueError: an instruction is not its task's."""
    source = LiberoSource()
    text = (files("substep_planner") / "data" / f"{name}.json").read_text(encoding="utf-8")
    for entry in json.loads(text):
        task, instruction = source.task(entry["suite"], entry["task"]), entry["instruction"]
        if instruction not in (None, task.instruction):
            raise ValueError(
                f"{name}.json: the task {entry['suite']} {entry['task']} is {task.instruction!r}, not {instruction!r}"
            )
        kind = entry["language"] if instruction else "refuse"
        yield Saying(f"{name}, {kind}", entry["suite"], entry["text"], task, refused=instruction is None)


def pro_sayings(file: Path) -> Iterator[Saying]:
    """LIBERO-PRO's ``ood_language.yaml``: suite -> task -> wordings. Raises: ValueError: it is none."""
    for suite, tasks in read_mapping(file, "suites, each with its tasks").items():
        for name, wordings in tasks.items():
            for wording in wordings:
                if isinstance(wording, dict):  # "set mugs: white on …" is a mapping to YAML
                    wording = ": ".join(*wording.items())
                yield Saying("LIBERO-PRO", suite, wording, task_named(suite, name))


def plus_sayings(folder: Path) -> Iterator[Saying]:
    """LIBERO-plus's BDDL files: SUITE/TASK_language_N.bddl. Of every suite's tasks in alphabetic order, every other one
    belongs to the first half."""
    for suite, tasks in plus_wordings(folder).items():
        for number, name in enumerate(sorted(tasks)):
            for text in tasks[name]:
                yield Saying("LIBERO-plus", suite, text, task_named(suite, name), ("first", "second")[number % 2])


def categories(task: LiberoTask) -> frozenset[str]:
    """Of what is in a task's scene, without what everything stands on."""
    return frozenset(task.categories)
