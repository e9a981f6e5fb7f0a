"""What a sentence leaves to be decided: "or", "only if", what is taken back in it; and what only asks how things are.

None of it can be planned as if it were not said: which of two is meant, and whether a condition holds, nobody but the
user knows. The words are those of all languages at once: none of them means anything else where it is looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


def _rows(*texts: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(text.split()) for text in texts)


_OR = _rows("or", "oder", "o", "或 者", "或 是", "或", "还 是")
_CONDITIONS = _rows(
    "only if", "only when", "only once", "unless", "nur wenn", "nur falls", "es sei denn", "solo si", "sólo si",
    "solo cuando", "sólo cuando", "a menos que", "a no ser que", "除 非", "只 有",
)  # fmt: skip
_TAKES_BACK = _rows(
    "i mean", "i meant", "no wait", "wait no", "no sorry", "sorry no", "sorry", "scratch that", "correction",
    "make that", "oh no", "actually no", "no actually", "no", "actually", "ich meine", "nein", "quatsch",
    "quiero decir", "mejor dicho", "digo", "perdón", "不 对", "不 是", "说 错 了",
)  # fmt: skip
_AROUND = frozenset(
    "i oh um uh er wait actually rather instead äh ach doch lieber warte halt besser mejor espera".split()
)
_ONLY_AT_A_BREAK = frozenset((("no",), ("actually",), ("不", "是")))  # "sorry" takes back anywhere, "no" has other uses
_MEANING = _rows("i mean", "i meant", "ich meine", "quiero decir", "digo")
_STATES = frozenset("is are isnt arent does did has ist sind hat está están".split())
_DONE_ALREADY = _rows("did you", "have you", "hast du", "habt ihr", "haben sie")
_TIME = frozenset("to zu time zeit minute moment lust".split())  # "have you got time to …" asks for something
_SPANISH_STATES = frozenset("está están".split())
_NO_SUBJECT = frozenset("it there you du ihr sie es".split())
_ASKED_AT_THE_END = _rows("着 吗", "了 吗", "着 没 有", "了 没 有")
_NO_PLACE = frozenset("to for about if".split())  # "sorry to bother you"


@dataclass(frozen=True)
class Undecided:
    """Attributes:

    problem: what is left to be decided.
    question: that decides it; empty: there is none.
    is_condition: all else is clear, and it would be done if a condition held.
    """

    problem: str
    question: str = ""
    is_condition: bool = False


def undecided(
    words: Sequence[str],
    kept: Sequence[str],
    breaks: Collection[int],
    begins: Collection[str],
    requests: Collection[str],
) -> Undecided | None:
    """None: nothing.

    Args:
        words: of the sentence, as ``words_of_text`` has them.
        kept: those without what is left out: "without touching the plate or the stove" leaves nothing open.
        breaks: numbers of words that a mark stands before.
        begins: the language's words that begin a phrase for a thing, a place or a request.
        requests: those of a request alone.
    """
    if _asks_how_things_are(words, begins):
        return Undecided("it asks how things are, and for nothing to be done")
    if said := _taken_back(words, breaks, begins, requests):
        return Undecided(
            f"{said!r} takes back something that was said before", "what is meant, all of it, without that?"
        )
    for at in range(1, len(kept)):
        row = next((row for row in _OR if _begins_with(kept, at, row)), ())
        after = at + len(row)
        is_tag = after < len(kept) and (kept[after] in _STATES or kept[after] == "so")  # "… or is that too heavy"
        if row and after < len(kept) and not is_tag and (_may_be_another(kept[after], begins) or row[0] in "或还"):
            said = "".join(row) if row[0] in "或还" else row[0]
            return Undecided(f"{said!r} leaves open which of two is meant", "which of the two is meant?")
    for at in range(len(words)):
        if any(_begins_with(words, at, row) for row in _CONDITIONS):
            end = min((one for one in breaks if one > at), default=len(words))
            said = " ".join(words[at:end])
            return Undecided(f"it cannot look whether that holds: {said!r}", is_condition=True)
    return None


def _may_be_another(word: str, begins: Collection[str]) -> bool:
    """Whether it may begin the other of two: not "for serving or storing food", "for lunch or a warm dinner"."""
    return word in begins and word not in ("a", "an") and not word.endswith("ing")


def _begins_with(words: Sequence[str], at: int, row: tuple[str, ...]) -> bool:
    return tuple(words[at : at + len(row)]) == row


def _asks_how_things_are(words: Sequence[str], begins: Collection[str]) -> bool:
    """ "Is the stove on?"; "is it possible to …" and "are you able to …" ask for something."""
    if any(_begins_with(words, 0, row) for row in _DONE_ALREADY):
        return _TIME.isdisjoint(words)
    is_of_something = len(words) > 2 and words[1] in begins and words[1] not in _NO_SUBJECT
    if words[0] in _STATES and (is_of_something or words[0] in _SPANISH_STATES):
        return True
    return any(_begins_with(words, len(words) - len(row), row) for row in _ASKED_AT_THE_END if len(words) > len(row))


def _taken_back(
    words: Sequence[str], breaks: Collection[int], begins: Collection[str], requests: Collection[str]
) -> str:
    """The words that take something back: "…, no wait, on the plate"; empty: none do. What comes after them must say
    what is meant, and something must have been said before."""
    for at in range(2, len(words)):
        row = next((row for row in _TAKES_BACK if _begins_with(words, at, row)), ())
        end = at + len(row)
        is_no = (
            row not in _ONLY_AT_A_BREAK
            or at in breaks
            and (row != ("no",) or end in breaks or words[end : end + 1] == ["mejor"])
        )
        is_aside = row in _MEANING and end in breaks  # "the red bottle, the ketchup I mean, …"
        if not row or not is_no or is_aside:
            continue
        after = at + len(row)
        while after < len(words) and words[after] in _AROUND:
            after += 1
        if row in _MEANING and after < len(words) and words[after] in requests:
            continue  # "the tomatoes I mean, put those …", as dictation has it
        is_said_anew = after < len(words) and words[after] in begins and words[after] not in _NO_PLACE
        if is_said_anew or row[0] in ("不", "说") and after < len(words):
            text = " ".join(row)
            return text.replace(" ", "") if row[0] in "不说" else text
    return ""
