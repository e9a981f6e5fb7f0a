"""Splits a sentence into clauses and reads each clause's verb."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from substep_planner.decomposers.rules import lexicon
from substep_planner.decomposers.rules.phrases import PhraseError

_COLOURS = r"(?:red|green|blue|yellow|white|black|brown|orange|purple|pink|grey|gray|silver)"
_ADVERBS = r"(?:then|next|after that|after this)"


class Verb(Enum):
    """What a clause asks for."""

    PICK = "pick up"
    PUT = "put"
    STACK = "stack"
    OPEN = "open"
    CLOSE = "close"
    TURN_ON = "turn on"
    TURN_OFF = "turn off"
    PUSH = "push"


@dataclass(frozen=True)
class Clause:
    """A verb and the words that it acts on."""

    verb: Verb
    rest: str


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("^" + r"\s+".join(r"(.+)" if word == "…" else word for word in template.split()) + "$")


# Specific templates first: "push the drawer closed" is not a push.
_VERBS = tuple(
    (verb, _pattern(template))
    for verb, templates in (
        (Verb.TURN_ON, lexicon.TURN_ON),
        (Verb.TURN_OFF, lexicon.TURN_OFF),
        (Verb.OPEN, lexicon.OPEN),
        (Verb.CLOSE, lexicon.CLOSE),
        (Verb.PICK, lexicon.PICK),
        (Verb.PUT, lexicon.PUT),
        (Verb.STACK, lexicon.STACK),
        (Verb.PUSH, lexicon.PUSH),
    )
    for template in templates
)
_FIRST_WORDS = "|".join(
    sorted({template.split()[0] for group in (lexicon.PICK, lexicon.PUT, lexicon.STACK, lexicon.OPEN, lexicon.CLOSE,
            lexicon.TURN_ON, lexicon.TURN_OFF, lexicon.PUSH) for template in group})
)  # fmt: skip
_GERUNDS = "|".join(lexicon.GERUNDS)
_SEPARATOR = re.compile(
    rf"\s*(?:[.;!]|,(?=\s*(?:and\s+)?(?:{_ADVERBS}\s+)?(?:{_FIRST_WORDS})\b)|"
    rf"\band(?=\s+(?:{_ADVERBS}\s+)?(?:{_FIRST_WORDS})\b)|,?\s*\b{_ADVERBS}(?=\s+(?:{_FIRST_WORDS})\b))\s*"
)

_JOINT = re.compile(rf"\s*,\s*(?:and\s+)?(?:{_ADVERBS}\s+)?|\s+and\s+(?:{_ADVERBS}\s+)?|\s+{_ADVERBS}\s+(?!to\b)")


def clauses(sentence: str) -> list[Clause]:
    """For example "pick up the book and place it on the shelf" -> [PICK "the book", PUT "it on the shelf"].

    Raises:
        PhraseError: the sentence has a word whose meaning would be lost, or a clause has no known verb.
    """
    text = " ".join(sentence.lower().replace("’", "'").split())
    text = _in_order(text)
    for word in re.findall(r"[\w']+", text):
        if word in lexicon.UNSUPPORTED:
            raise PhraseError(f"{word!r} ({lexicon.UNSUPPORTED[word]}) is beyond the rules")
    text = lexicon.FILLERS.sub(" ", text)
    for pattern, replacement in lexicon.SYNONYMS:
        text = pattern.sub(replacement, text)
    text = protect_conjunctions(" ".join(text.split()))
    return [_clause(part) for part in map(str.strip, _SEPARATOR.split(text)) if part.strip(" ,")]


def _in_order(text: str) -> str:
    """Brings clauses into the order of doing: "after opening …, …", "… before closing …", "in the tray, put …"."""
    if found := re.match(rf"after ({_GERUNDS}) ([^,]+), (.+)$", text):
        return f"{lexicon.GERUNDS[found[1]]} {found[2]}, {found[3]}"
    if found := re.match(rf"(.+?),? before ({_GERUNDS}) ([^,]+)$", text):
        return f"{found[1]}, {lexicon.GERUNDS[found[2]]} {found[3]}"
    if found := re.match(rf"((?:in|into|inside|on|onto) the [^,]+), ((?:{_FIRST_WORDS}) [^,]+)$", text):
        return f"{found[2]} {found[1]}"
    if found := re.match(r"((?:the|both) [^,]+?) (?:should go|must go|goes|go|belongs|belong) ([^,]+)$", text):
        return f"put {found[1]} {found[2]}"
    return text


def protect_conjunctions(text: str) -> str:
    """Marks every "and" that does not join things or clauses as "&": "yellow & white mug", "between A & B"."""
    text = re.sub(rf"\b({_COLOURS}) and (?={_COLOURS}\b)", r"\1 & ", text)
    return re.sub(r"\b(between (?:(?! and ).)+?) and ", r"\1 & ", text)


def conjuncts(text: str) -> list[str]:
    """For example "the soup, the milk and the butter" -> the three."""
    text = re.sub(r"^both\s+(?:of\s+)?(?=.*\band\b)", "", text)
    parts = _JOINT.split(text)
    return [part.strip() for part in parts if part.strip()]


def _clause(text: str) -> Clause:
    text = re.sub(rf"^(?:(?:and|{_ADVERBS})\s+)+", "", text.strip(" ,"))
    for verb, pattern in _VERBS:
        if found := pattern.match(text):
            return Clause(verb, found[1].strip(" ,"))
    known = ", ".join(verb.value for verb in Verb)
    raise PhraseError(f"{text!r} does not begin with an action that the rules know ({known} …) and what to act on")
