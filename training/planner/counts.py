"""Counts what the words of drawn sentences are for: the tables of the planner's statistical language model."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from substep_planner.decomposers.grounding.markov import BEGINNING
from substep_planner.decomposers.grounding.request import CANNOT
from substep_planner.decomposers.grounding.scene import Entity, entities_of
from substep_planner.decomposers.grounding.words import words_of_text
from training.planner.example import SIGN_OR_WORD, Example
from training.planner.left_out import is_a_task
from training.planner.lexicon import Lexicon, Words, load
from training.planner.phrases import Phrases
from training.planner.sentences import Sentences
from training.planner.slips import with_slips

_MENTIONS = {"thing": "thing", "anchor": "anchor", "anchor2": "anchor", "place": "place", "other": "other"}
_WITH_MEANINGS = ("en",)  # languages of which there is a table of what words mean
_PHRASES = 400  # that are drawn of every kind


def labels(example: Example) -> Iterator[str]:
    """What each word of a sentence is for."""
    cannot = example.steps[0].action == CANNOT
    for mark in example.marks:
        if mark is None:
            yield "noise"
            continue
        role, step = mark[0], example.steps[min(mark[1], len(example.steps) - 1)]
        match role:
            case "verb":
                yield "verb:cannot" if cannot else f"verb:{step.action}"
            case "preposition":
                yield f"to:{step.preposition or 'on'}"
            case "aside":
                yield f"aside:{step.preposition}"
            case "relation":
                yield f"by:{step.relation}"
            case "it" | "there" | "before" | "heat":
                yield role
            case _:
                yield _MENTIONS[role]


def _does_not_fit(example: Example) -> bool:
    """Known motions of things that are not good for them: their words say no less what is asked for."""
    return example.steps[0].action == CANNOT and any(mark and mark[0] in ("thing", "place") for mark in example.marks)


def count(seed: int, sentences: int, lexicon: Lexicon | None = None) -> dict:
    """The tables, ready for JSON, but for ``score``."""
    lexicon = lexicon or load()
    words: dict[str, Counter] = defaultdict(Counter)
    pairs: dict[str, Counter] = defaultdict(Counter)
    steps: dict[str, Counter] = defaultdict(Counter)
    drawn, done = Sentences(seed, lexicon, typing=False), 0  # what is mistyped is mended before it is read
    while done < sentences:
        example = drawn.draw()
        if not example.words or is_a_task(example.steps) or _does_not_fit(example):
            continue
        done += 1
        before, label_before, mark_before = "", "start", None
        for word, mark, label in zip(example.words, example.marks, labels(example), strict=True):
            if not (label == label_before == "thing" and mark != mark_before):  # the next thing in a row: see markov
                steps[label_before][label] += 1
            if label not in _MENTIONS.values():
                words[label][word] += 1
                first = label != label_before
                pairs[label][f"{BEGINNING if first else before} {word}"] += 1
            before, label_before, mark_before = word, label, mark
        steps[label_before]["end"] += 1
    kinds, kind_pairs = _count_phrases(lexicon, random.Random(seed))
    known = {word for label, counts in words.items() if label != "verb:cannot" for word in counts}
    first = {_words(template)[0] for template in lexicon.UNKNOWN + lexicon.QUESTIONS}
    return {
        "names": _called({kind: words.names for kind, words in lexicon.things.items()}),
        "heads": _called({kind: words.heads for kind, words in lexicon.things.items()}),
        "called": {kind: _naming(words) for kind, words in lexicon.things.items()},
        "determiners": sorted({word for text in lexicon.DETERMINERS for word in text.split()}),
        "unable": sorted(word for word in first - known if "{" not in word),
        "polite": sorted({word for text in lexicon.POLITE for word in words_of_text(text)}),
        "glossary": lexicon.GLOSSARY,
        **({"meanings": lexicon.language} if lexicon.language in _WITH_MEANINGS else {}),
        "numbers": lexicon.templates.get("numbers"),
        "open_is_on": bool(lexicon.templates.get("open_is_on")),
        "steps": {label: dict(counts) for label, counts in steps.items()},
        "words": {label: dict(counts) for label, counts in words.items()},
        "pairs": {label: _often(counts) for label, counts in pairs.items()},
        "kinds": {kind: dict(counts) for kind, counts in kinds.items()},
        "kind_pairs": {kind: _often(counts) for kind, counts in kind_pairs.items()},
    }


def write(path: Path, tables: dict) -> None:
    """Write the model's file, one state a line."""
    rows = (f"  {json.dumps(name)}: {json.dumps(table, separators=(',', ':'))}" for name, table in tables.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def _count_phrases(lexicon: Lexicon, generator: random.Random):
    phrases = Phrases(lexicon, generator)
    words: dict[str, Counter] = defaultdict(Counter)
    pairs: dict[str, Counter] = defaultdict(Counter)
    for kind in lexicon.things:
        for part in ("", *(one.part for one in entities_of([kind]) if one.kind == kind and one.part)):
            for _ in range(_PHRASES):
                said = _words(phrases.thing(Entity(kind, part)))
                if not part and generator.random() < 0.04:
                    said = _words(phrases.many(kind))
                said += _after_place(lexicon, generator)
                said, _ = with_slips(said, [None] * len(said), generator, typing=False)
                key = f"{kind}/{part}"
                words[key].update(said)
                pairs[key].update(f"{one} {other}" for one, other in zip([BEGINNING, *said], said, strict=False))
    return words, pairs


def _after_place(lexicon: Lexicon, generator: random.Random) -> list[str]:
    """What is said after a place, where that is how a language says it."""
    after = lexicon.templates.get("after_place")
    if not after or generator.random() < 0.5:
        return []
    return _words(generator.choice(after[generator.choice(sorted(after))]))


def _words(text: str) -> list[str]:
    return re.findall(SIGN_OR_WORD, text)


def _called(rows: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Name -> kinds that are called so."""
    found: dict[str, list[str]] = defaultdict(list)
    for kind, names in rows.items():
        for name in names:
            found[" ".join(words_of_text(name))].append(kind)
    return dict(found)


def _naming(words: Words) -> list[str]:
    """Every word that a thing of the kind is called or described by, but for those of what it is used for."""
    rows = (words.names, words.heads, words.looks, words.holds, words.many)
    return sorted({word for row in rows for text in row for word in words_of_text(text)})


def _often(counts: Counter) -> dict[str, int]:
    return {pair: number for pair, number in counts.items() if number > 1}
