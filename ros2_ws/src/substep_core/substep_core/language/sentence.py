"""Splits a sentence into clauses and reads what each asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from substep_core.language.motions import MOTIONS, STACK, VERBS, MotionKind, split_verb
from substep_core.language.nouns import in_plain_nouns
from substep_core.language.phrases import PhraseError

_COLOURS = r"(?:red|green|blue|yellow|white|black|brown|orange|purple|pink|grey|gray|silver)"
_ADVERBS = r"(?:then|next|after that|after this)"
_FILLERS = re.compile(
    r"\b(?:please|kindly|carefully|gently|slowly|quickly|simply|just|now|again|firstly|first|secondly|finally|lastly|"
    r"as well|too|(?<!upside )down(?= (?:on|onto|in|into|inside|to|under|next)\b)|afterwards|afterward|subsequently|"
    r"also|could you|can you|would you|will you|i want you to|i would like you to|your task is to|go ahead and|"
    r"make sure to|over(?= to\b)|robot)\b"
)
_VERB_OF = {
    "opening": "open", "closing": "close", "shutting": "shut", "turning": "turn", "switching": "switch",
    "putting": "put", "placing": "place", "picking": "pick", "taking": "take", "pulling": "pull", "pushing": "push",
}  # fmt: skip
# Words whose meaning the rules would lose: a sentence with one of them is refused, with the reason.
_UNSUPPORTED = {
    "not": "a negation", "don't": "a negation", "never": "a negation", "without": "a negation",
    "except": "an exception", "excluding": "an exception", "than": "an exception", "apart": "an exception",
    "but": "an exception", "avoid": "a negation", "avoiding": "a negation", "anywhere": "an unknown place",
    "if": "a condition", "unless": "a condition", "when": "a condition", "until": "a duration", "while": "a duration",
    "or": "a choice", "either": "a choice", "instead": "a choice", "before": "an order other than the sentence's",
    "after": "an order other than the sentence's", "every": "an unknown number of things",
    "all": "an unknown number of things", "everything": "an unknown number of things",
    "something": "an unknown thing", "anything": "an unknown thing", "swap": "an exchange", "pour": "a liquid",
}  # fmt: skip
_SIDE_OF_OWNER = re.compile(r"\b(?:to|on|onto) the ((?:\w+ )?\w+)'s (left|right|front|back)(?: side)?(?=$|,|;| and\b)")


@dataclass(frozen=True)
class Clause:
    """What is asked for and the words that it acts on."""

    kind: MotionKind
    rest: str


_FIRST_WORDS = "|".join(VERBS)
_GERUNDS = "|".join(_VERB_OF)
_SEPARATOR = re.compile(
    rf"\s*(?:[.;!]|,(?=\s*(?:and\s+)?(?:{_ADVERBS}\s+)?(?:{_FIRST_WORDS})\b)|"
    rf"\band(?=\s+(?:{_ADVERBS}\s+)?(?:{_FIRST_WORDS})\b)|,?\s*\b{_ADVERBS}(?=\s+(?:{_FIRST_WORDS})\b))\s*"
)

_JOINT = re.compile(rf"\s*,\s*(?:and\s+)?(?:{_ADVERBS}\s+)?|\s+and\s+(?:{_ADVERBS}\s+)?|\s+{_ADVERBS}\s+(?!to\b)")


def clauses(sentence: str) -> list[Clause]:
    """For example "pick up the book and place it on the shelf" -> [PICK_UP "the book", PLACE "it on the shelf"].

    Raises:
        PhraseError: the sentence has a word whose meaning would be lost, or a clause has no known verb.
    """
    text = " ".join(sentence.lower().replace("’", "'").split())
    text = _in_order(text)
    for word in re.findall(r"[\w']+", text):
        if word in _UNSUPPORTED:
            raise PhraseError(f"{word!r} ({_UNSUPPORTED[word]}) is beyond the rules")
    text = re.sub(r"\b(?:(?:together|along) with|as well as|plus)\b", "and", _FILLERS.sub(" ", text))
    text = _SIDE_OF_OWNER.sub(r"to the \2 of the \1", in_plain_nouns(text))
    text = protect_conjunctions(text)
    return [_clause(part) for part in map(str.strip, _SEPARATOR.split(text)) if part.strip(" ,")]


def _in_order(text: str) -> str:
    """Brings clauses into the order of doing: "after opening …, …", "… before closing …", "in the tray, put …"."""
    if found := re.match(rf"after ({_GERUNDS}) ([^,]+), (.+)$", text):
        return f"{_VERB_OF[found[1]]} {found[2]}, {found[3]}"
    if found := re.match(rf"(.+?),? before ({_GERUNDS}) ([^,]+)$", text):
        return f"{found[1]}, {_VERB_OF[found[2]]} {found[3]}"
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
    if found := split_verb(text):
        return Clause(found[0], found[1].strip(" ,"))
    known = ", ".join(kind.name for kind in (*MOTIONS, STACK))
    raise PhraseError(f"{text!r} does not begin with an action that the rules know ({known} …) and what to act on")
