"""What a sentence leaves out or forbids: "everything except the bowl", "not on the stove", "without touching it".

Words like these turn the meaning of what is said round, so they are found before a model reads the sentence: what they
are about is taken out, and the rest is read. What can only be known by them has no plan, and neither has what
contradicts them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.spelling import Speller
from substep_planner.decomposers.grounding.words import NEVER

# Words of English, into which the glossary of another language's model brings its own.
_EXCEPT = frozenset("except excepting excepted excluding exception".split())
_EXCEPT_PAIRS = frozenset(
    {("other", "than"), ("else", "than"), ("apart", "from"), ("apart", "of"), ("aside", "from"), ("save", "for"),
     ("but", "for")}
)  # fmt: skip
_UNTIL = frozenset({("until", "on")})  # German excepts so
_INSTEAD_PAIRS = frozenset({("instead", "of"), ("rather", "than"), ("opposed", "to")})
_IN_PLACE = (("in", "place", "of"), ("in", "instead", "of"))  # the second is Spanish
_WITHOUT = frozenset("without avoid avoiding".split())
_THINGS = frozenset("everything anything nothing all any every each".split())
_PLACES = frozenset("anywhere everywhere nowhere somewhere elsewhere anyplace someplace".split())
_UNIVERSAL_AT_MOST = 4  # words before "but", where it excepts
_TOUCHING = frozenset(
    "touch touching move moving use using disturb disturbing lift lifting open opening close closing push "
    "pushing".split()
)
_HARMING = frozenset(
    "drop dropping spill spilling break breaking chip chipping scratch scratching damage damaging tip tipping tilt "
    "tilting knock knocking hit hitting bump bumping hurt hurting".split()
)
_AVOIDED = _TOUCHING | _HARMING
_PRONOUNS = frozenset("it them this that".split())
_ABOUT = frozenset("the a an this that it them its my your on onto in into inside at under to of".split())
_ADVERBS = frozenset("directly just simply ever to want do".split())
_IS = frozenset("is are was were isnt its thats".split())  # "it is not on the plate" says how things are
# What leads to such words, and says nothing without them: "but making sure not to touch …".
_LEADING = frozenset(
    "but and while by making make sure being be careful carefully taking take care so please try trying do you should "
    "must just can to".split()
)
_JOINTS, _BUT, _AND_BUT = (frozenset(row.split()) for row in ("and then but", "but", "and but"))
_NO_EXCLUSION = frozenset(("only", "forget"))  # "not only the bowl", "do not forget the bowl"
_REQUESTS = frozenset("put place set pick take grab get open close shut push turn switch move slide lift bring".split())

EXCEPT, INSTEAD, AVOID = "except", "instead", "avoid"


@dataclass(frozen=True)
class Exclusion:
    """Attributes:

    kind: ``EXCEPT``: what is meant is only known by what is not; ``INSTEAD``: what is not meant, beside what is;
        ``AVOID``: what is not to be done, or not to happen.
    words: of the sentence, those that say so among them.
    about: those that say what it is about.
    is_harm: it is something that nobody wants, "without dropping it".
    of_it: what is not to be touched or moved is what was spoken of before.
    of_place: it is not said where something is to go, but for where not.
    """

    kind: str
    words: tuple[str, ...]
    about: tuple[str, ...]
    is_harm: bool = False
    of_it: bool = False
    of_place: bool = False

    @property
    def said(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Cut:
    """A sentence without what it leaves out. Attributes: kept: the words that are left."""

    kept: tuple[str, ...]
    exclusions: tuple[Exclusion, ...] = ()


class Excluding:
    """Args:

    glossary: a language's small words -> English.
    prepositions, determiners, starts: the language's words that begin a place, a phrase for a thing, a request.
    knows: whether a word is known, so that it is no slip.
    """

    def __init__(
        self,
        glossary: Mapping[str, str],
        prepositions: Collection[str],
        determiners: Collection[str],
        starts: Collection[str],
        knows: Callable[[str], bool],
    ) -> None:
        self._glossary, self._knows = glossary, knows
        self._prepositions = frozenset(prepositions)
        self._about = _ABOUT | self._prepositions | frozenset(determiners)
        self._starts = (frozenset(starts) | _REQUESTS) - self._about
        if glossary:
            self._about |= {"be"}  # Chinese says "not is"; "should not be left open" is no such thing
        self._is_english = not glossary
        markers = _EXCEPT | _WITHOUT | {"instead", "rather"}
        foreign = {word for word, english in glossary.items() if not markers.isdisjoint(english.split())}
        self._speller = Speller(foreign if glossary else markers)

    @property
    def begins_a_phrase(self) -> frozenset[str]:
        """Words that begin a phrase for a thing, a place or a request."""
        return self._about | self._starts

    @property
    def begins_a_request(self) -> frozenset[str]:
        return self._starts

    def cut(self, words: Sequence[str], breaks: Collection[int]) -> Cut:
        """The words without what is left out or forbidden.

        Args:
            words: as they are said.
            breaks: numbers of words that a mark stands before.
        """
        sentence = _Sentence(words, [self._english(word) for word in words], frozenset(breaks))
        left_out: set[int] = set()
        found = []
        for number in range(len(words)):
            if number in left_out:
                continue
            exclusion, span = self._at(sentence, number)
            if exclusion is not None:
                found.append(exclusion)
                left_out.update(span)
        kept = tuple(word for number, word in enumerate(words) if number not in left_out)
        return Cut(kept, tuple(found))

    def _english(self, word: str) -> tuple[str, ...]:
        if word not in self._glossary and not self._knows(word):
            word = self._speller.mended(word)
        return tuple(self._glossary.get(word, word).split()) or (word,)

    def _at(self, text: _Sentence, at: int) -> tuple[Exclusion | None, range]:
        """What begins with a word, and the words that belong to it."""
        nothing = (None, range(0))
        if text.has(at, _EXCEPT) or text.pair(at, _EXCEPT_PAIRS) or self._is_except(text, at):
            return self._except(text, at)
        if text.pair(at, _INSTEAD_PAIRS):
            return self._span(text, at, INSTEAD, at + 3 - len(text.english[at]))
        if any(text.words_are(at, row) for row in _IN_PLACE):
            return self._span(text, at, INSTEAD, at + 3)
        if text.has(at, _WITHOUT):
            return self._span(text, at, AVOID, at + 1)
        if not text.has(at, NEVER) or at + 1 >= text.length or text.has(at + 1, _NO_EXCLUSION):
            return nothing
        verb = next((one for one in range(at + 1, text.length) if not text.has(one, _ADVERBS)), at)
        if text.has(verb, _AVOIDED):
            return self._span(text, at, AVOID, verb)
        is_about = text.has(at + 1, self._about) or text.words[at + 1] in self._about
        if is_about and at and not text.has(at - 1, _IS) and at + 1 not in text.breaks:
            return self._span(text, at, INSTEAD, at + 1)
        return self._clause(text, at, verb)

    def _is_except(self, text: _Sentence, at: int) -> bool:
        """ "Anything but the bowl"."""
        if at in text.breaks or at + 1 >= text.length or not (text.has(at, _BUT) or text.pair(at, _UNTIL)):
            return False
        if self._begins_a_request(text, at + 1) or text.has(at + 1, NEVER | _WITHOUT | _LEADING):
            return False
        begin = max(text.clause_start(at), at - _UNIVERSAL_AT_MOST)
        return text.any(range(begin, at), _THINGS | _PLACES)

    def _except(self, text: _Sentence, at: int) -> tuple[Exclusion, range]:
        """From the word for all of which something is left out."""
        begin = text.clause_start(at)
        universal = [one for one in range(begin, at) if text.has(one, _THINGS | _PLACES)]
        first = universal[-1] if universal else at
        has_place = any(text.words[one] in self._prepositions for one in range(begin, first))
        end = self._end(text, at + 2)
        if not has_place:  # what comes after "everything except the bowl" is where it goes
            places = (one for one in range(at + 3, end) if text.words[one] in self._prepositions)
            end = next(places, end)
        of_place = has_place or bool(universal) and text.has(first, _PLACES)
        words = tuple(text.words[first:end])
        about = tuple(text.words[at + (2 if text.pair(at, _EXCEPT_PAIRS | _UNTIL) else 1) : end])
        return Exclusion(EXCEPT, words, about, of_place=of_place), range(first, end)

    def _span(self, text: _Sentence, at: int, kind: str, about: int) -> tuple[Exclusion, range]:
        """Args: about: number of the first word of what it is about."""
        end = self._end(text, about + 1)
        first = at
        while first and first not in text.breaks and text.has(first - 1, _LEADING) and kind == AVOID:
            first -= 1
        if first and first not in text.breaks and text.has(first - 1, _AND_BUT):
            first -= 1
        is_harm = text.any(range(at, end), _HARMING)
        of_it = kind == AVOID and text.any(range(at, end), _TOUCHING) and text.any(range(at, end), _PRONOUNS)
        exclusion = Exclusion(kind, tuple(text.words[at:end]), text.without_verbs(range(about, end)), is_harm, of_it)
        is_followed_by_but = end < text.length and text.has(end, _BUT)
        return exclusion, range(first, end + is_followed_by_but)

    def _clause(self, text: _Sentence, at: int, verb: int) -> tuple[Exclusion | None, range]:
        """A clause of its own that says what is not to be done; in English one that begins so."""
        begin, end = text.clause_start(at), text.clause_end(at)
        if begin == 0 and end == text.length:
            return None, range(0)
        is_command = all(text.has(one, _LEADING) for one in range(begin, at))
        if self._is_english and not (is_command and text.words[verb] in self._starts):
            return None, range(0)
        words, inside = tuple(text.words[begin:end]), range(begin, end)
        about = text.without_verbs(inside)
        of_it = text.any(inside, _TOUCHING) and text.any(inside, _PRONOUNS)
        return Exclusion(AVOID, words, about, text.any(inside, _HARMING), of_it), inside

    def _end(self, text: _Sentence, at: int) -> int:
        """Number of the word after what is left out. Args: at: of the first word that may be one."""
        for number in range(at, text.length):
            if number in text.breaks or self._begins_a_request(text, number):
                return number
            if text.has(number, _JOINTS) and number + 1 < text.length:
                if text.has(number, _BUT) or self._may_begin_a_request(text, number + 1):
                    return number
        return text.length

    def _begins_a_request(self, text: _Sentence, number: int) -> bool:
        """Whether a word can be nothing else."""
        return self._is_english and text.words[number] in _REQUESTS

    def _may_begin_a_request(self, text: _Sentence, number: int) -> bool:
        return text.words[number] in self._starts or text.has(number, _JOINTS)


@dataclass(frozen=True)
class _Sentence:
    """Attributes: english: of each word what it is in English, several words where that has several."""

    words: Sequence[str]
    english: Sequence[tuple[str, ...]]
    breaks: frozenset[int]

    @property
    def length(self) -> int:
        return len(self.words)

    def has(self, number: int, any_of: Collection[str]) -> bool:
        return 0 <= number < self.length and any(one in any_of for one in self.english[number])

    def any(self, numbers: Iterable[int], any_of: Collection[str]) -> bool:
        return any(self.has(number, any_of) for number in numbers)

    def pair(self, number: int, pairs: frozenset[tuple[str, str]]) -> bool:
        """Whether one of them begins with a word."""
        row = (*self.english[number], *(self.english[number + 1] if number + 1 < self.length else ()))
        return row[:2] in pairs and number + 1 not in self.breaks

    def words_are(self, number: int, row: tuple[str, ...]) -> bool:
        """Whether these begin with a word."""
        return all(self.has(number + after, (word,)) for after, word in enumerate(row))

    def without_verbs(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The words of what is not to be done to something that may name it."""
        return tuple(self.words[one] for one in numbers if not self.has(one, _AVOIDED | NEVER | _ADVERBS))

    def clause_start(self, number: int) -> int:
        return max((one for one in self.breaks if one <= number), default=0)

    def clause_end(self, number: int) -> int:
        return min((one for one in self.breaks if one > number), default=self.length)


def contradiction(steps: Iterable[Step], exclusion: Exclusion, about: Collection[tuple[Entity, str]]) -> Step | None:
    """The first step that does what was not to be done; None: there is none.

    Args:
        about: each thing that the exclusion names, with the side that it is on where there are several.
    """
    if exclusion.kind == EXCEPT or exclusion.is_harm:
        return None
    if exclusion.of_it and not about:
        return next(iter(steps), None)
    for step in steps:
        touched = [(step.thing, step.side)]
        if step.place is not None and not step.preposition.startswith("to the "):
            touched.append((step.place, step.place_side))
        for entity, side in touched:
            if any(one == entity and (not side or not other or side == other) for one, other in about):
                return step
    return None
