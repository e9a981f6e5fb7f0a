"""From the segments of a sentence, each with what it is for, to the steps that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from substep_planner.decomposers.grounding.reading import OF_PARTS, number_of
from substep_planner.decomposers.grounding.request import RELATED_TO, Step
from substep_planner.decomposers.grounding.scene import TABLE, Entity

_OPERATIONS = ("open", "close", "turn on", "turn off")
_BESIDE = ("left", "right", "front", "back")
_TWO = frozenset(("both", "two", "pair", "each"))
_SINGULAR = frozenset(("it", "this", "that"))
_FAMILIES = (("open", "close"), ("turn on", "turn off"))
_AGAIN = frozenset(("and", "then", "it"))
_IT = frozenset(("it", "them"))
_ALL = frozenset(("them", "both"))
_ON_IT = frozenset("top surface it there the its on of".split())
_PART_WORDS = frozenset(
    "drawer drawers compartment layer section slot storage space area part partition division".split()
)
_OWNERS = frozenset("cupboard dresser furniture unit organizer holder".split())
_DOOR = frozenset("the its door drawer".split())
_CLOSING = frozenset("close closed closing shut shutting seal secure lock left stay".split())
_OPENING = frozenset("open opened opening".split())
_NO = frozenset("not dont never without leave ignore".split())
_ANYTHING = frozenset("the one ones this that its thing".split())
_JOINTS = frozenset("and also both with plus well as the".split())
_INTO = frozenset("in into inside within".split())
_HOLDING = frozenset("contain contains contained has have hold holds needs need with".split())
_MOVING = frozenset("move shift slide propel thrust".split())
# Words before a thing that say where another one stands.
_STANDS = {
    "from": "on", "off": "on", "by": "next to", "near": "next to", "beside": "next to", "alongside": "next to",
    "next": "next to", "adjacent": "next to",
}  # fmt: skip
_SIDE_OF = {
    "left": "left", "leftmost": "left", "lefthand": "left", "right": "right", "rightmost": "right",
    "righthand": "right", "front": "front", "frontmost": "front", "nearest": "front", "closest": "front",
    "back": "back", "rear": "back", "rearmost": "back", "farthest": "back",
    "middle": "middle", "central": "middle", "center": "middle",
}  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """Words that belong together.

    Attributes:
        label: what they are for.
        entity: of a mention; None: what is not there. Of words around the request: the one thing that they name.
        words: mended.
        said: as they stand in the sentence.
        probability: that it is so.
        others: what else a mention may mean.
    """

    label: str
    entity: Entity | None
    words: tuple[str, ...]
    said: str
    probability: float
    others: tuple[Entity, ...] = ()


class _Unclear(Exception):
    """The segments do not add up to a request."""


def steps_of(segments: Sequence[Segment], counts: Mapping[str, int]) -> tuple[tuple[Step, ...], float]:
    """The steps, and how sure they are; none: nothing that can be done is asked for.

    Args:
        counts: how many there are of each kind, where that is known.

    Raises:
        ValueError: a number is in it that says of nothing how many are meant.
    """
    builder = _Builder(counts)
    try:
        for number, segment in enumerate(segments):
            builder.take(segment, segments[number + 1 :])
        steps = builder.finish()
    except _Unclear:
        return (), 0.0
    for segment in segments:
        for word in segment.said.split():
            if (number_of(word) or 0) > 2 and number_of(word) not in builder.counted and not _is_made_of(segment):
                raise ValueError(f"it is not clear what there are to be {word!r} of")
    certainty = 1.0
    for segment in segments:
        if segment.label != "noise":
            certainty *= segment.probability
    return tuple(steps), certainty


def whole(segment: Segment) -> Segment:
    """The segment, without a part that its words do not name: "the top of the cabinet" is no drawer."""
    entity = segment.entity
    if entity is None or not entity.part or not _PART_WORDS.isdisjoint(segment.words):
        return segment
    owner = Entity(entity.kind)
    named = any(word in _OWNERS or word.removesuffix("s") in owner.label.split() for word in segment.words)
    return replace(segment, entity=owner) if named else segment


def _is_made_of(segment: Segment) -> bool:
    """Whether a number in it says how a thing is made: "the 3 drawer cabinet"."""
    return "two" not in segment.words


@dataclass
class _Builder:
    """Takes segments one after the other, and remembers what "it" and "there" may mean."""

    counts: Mapping[str, int]
    steps: list[Step] = field(default_factory=list)
    pending: list[Step] = field(default_factory=list)  # things without a place so far
    mode: str = "put"
    waiting: str = ""  # an operation whose thing is still to come
    preposition: str = ""
    relation: str = ""
    verbs: set[str] = field(default_factory=set)  # words of them since the last step
    before: str = ""  # the word before
    after_thing: bool = False
    early: tuple[str, tuple[Entity | None, ...]] = ("", ())  # where a thing stands, said before it
    refused: bool = False  # what follows is what is not to be done
    again: bool = False  # "it" was said since the last thing
    verb_between: bool = False  # the last two things were not named in a row
    number: int = 1  # of a kind, that are meant
    counted: set[int] = field(default_factory=set)  # numbers that were understood
    heated: bool = False
    beside: str = ""  # a side that was read as part of a preposition
    said: set[str] = field(default_factory=set)  # every word that is no mention
    place_first: Step | None = None
    place: Entity | None = None
    openable: Entity | None = None
    spoken_of: Entity | None = None  # before it was asked for
    switched: Entity | None = None

    # --- one segment ---

    def take(self, segment: Segment, rest: Sequence[Segment]) -> None:
        kind, _, detail = segment.label.partition(":")
        words = set(segment.words)
        if kind in ("noise", "verb"):
            self._negation(kind, words)
        if kind not in ("thing", "place", "anchor"):
            self.said |= words
        mentioned = kind in ("thing", "place", "anchor")
        if mentioned and (self.refused or words <= _ANYTHING or kind != "place" and words <= _ON_IT):
            self.preposition = ""
            return
        if kind in ("verb", "it", "noise") and words & _ALL and self.steps and not self.pending:
            if self.steps[-1].action == "put":
                raise _Unclear  # a stack cannot be lifted as one
        if (kind in ("verb", "heat", "to") or kind == "thing" and words.isdisjoint(OF_PARTS)) and words & _TWO:
            said = next((n for word in segment.said.split() if (n := number_of(word) or 0) > 1), 2)
            self.number = max(said, self.number)  # "both", or what other languages have for it, may come after a number
            self.counted.add(said)
        try:
            self._take(kind, detail, segment, rest)
        finally:
            self.before, self.after_thing = segment.words[-1], kind == "thing"

    def _negation(self, kind: str, words: set[str]) -> None:
        self.refused = not words.isdisjoint(_NO) and "forget" not in words
        if self.refused and kind == "verb" and not self.steps and not self.pending:
            raise _Unclear

    def _take(self, kind: str, detail: str, segment: Segment, rest: Sequence[Segment]) -> None:
        words = set(segment.words)
        match kind:
            case "verb":
                self.verbs |= set(segment.words)
                if not self._is_rest_of_a_verb(detail, segment.words):
                    self._verb(detail, rest)
                if not _IT.isdisjoint(segment.words):
                    self._first_it()
            case "heat":
                self.heated, self.mode = True, "put"
            case "before":
                self._open_first()
            case "noise":
                self.spoken_of = segment.entity or self.spoken_of
            case "it":
                if len(self.pending) > 1 and self.verb_between and words & _SINGULAR:
                    raise _Unclear  # "don't forget the condiments, pick up the sauce and place it …"
                self.again = True
                self._first_it()
                if self.preposition and self.pending:
                    self._there("")
            case "thing":
                self.again = False
                self._thing_or_anchor(segment)
            case "by":
                self._related(detail)
            case "anchor":
                self._anchor(segment.entity)
            case "to":
                self._to(detail, segment.words)
            case "place":
                self._place(segment, rest)
            case "there":
                self._said_there(segment)
            case "aside":
                self.preposition = detail
                self._there("")
            case "other":
                raise _Unclear

    # --- what is done ---

    def _is_rest_of_a_verb(self, detail: str, words: tuple[str, ...]) -> bool:
        """ "… the microwave's door", "power the stove off", "mach den Herd aus": what comes after a thing changes the
        step, or nothing."""
        last = self.steps[-1] if self.steps else None
        if last is None or self.pending:
            return False
        if last.action in ("open", "close") and _DOOR.issuperset(words):
            return True
        family = next((pair for pair in _FAMILIES if last.action in pair), ())
        if detail in family and self.after_thing and _AGAIN.isdisjoint(words):
            self.steps[-1] = replace(last, action=detail)
            return True
        if last.action in ("turn on", "turn off") and words in (("on",), ("off",)):
            self.steps[-1] = replace(last, action=f"turn {words[0]}")
            return True
        return False

    def _verb(self, action: str, rest: Sequence[Segment]) -> None:
        if action == "cannot":
            raise _Unclear
        if action not in _OPERATIONS:
            self.mode, self.waiting = action, ""
            return
        if action == "close" and not self.verbs.isdisjoint(_OPENING) and self.verbs.isdisjoint(_CLOSING):
            action = "open"
        if self.pending and _can(self.pending[-1].thing, action):
            return self._operate(action, self.pending.pop().thing)
        following = next((s for s in rest if s.label in ("thing", "it") or s.label.startswith(("verb", "to"))), None)
        is_named = following is not None and following.label == "thing"
        if action == "turn on" and is_named and following.entity and not following.entity.affordances.fixed:
            self.heated, self.mode = True, "put"  # "heat up the pot on the stove"
            return
        if is_named and (following.entity is None or _can(following.entity, action)):
            self.waiting = action
            return
        last = self.openable if action in ("open", "close") else self.switched
        if last is None and is_named:
            self.waiting = ""  # "I need the stove turned on": what is to be done with it comes after it
        else:
            self._operate(action, last)

    def _operate(self, action: str, thing: Entity | None) -> None:
        if thing is None and self.waiting != action:
            raise _Unclear
        self.waiting, self.verbs = "", set()
        if not any(step.action == action and step.thing == thing for step in self.steps):
            self.steps.append(Step(action, thing))
        self._remember(thing)

    def _first_it(self) -> None:
        """ "After you finish with the bowl please put it on the plate"."""
        if self.spoken_of is not None and not (self.steps or self.pending or self.waiting or self.place_first):
            self.pending.append(Step(self.mode, self.spoken_of))

    def _open_first(self) -> None:
        put = next((step for step in reversed(self.steps) if step.action == "put"), None)
        if put is None or put.place is None or not put.place.affordances.opens:
            raise _Unclear
        self.steps.insert(self.steps.index(put), Step("open", put.place))

    def _remember(self, entity: Entity | None) -> None:
        if entity is None:
            return
        if entity.affordances.opens:
            self.openable = entity
        if entity.affordances.switches:
            self.switched = entity

    # --- what it is done with ---

    def _thing_or_anchor(self, segment: Segment) -> None:
        last = self._last()
        if last is not None and last.relation == "between" and len(last.anchors) == 1 and self.before == "and":
            self._anchor(segment.entity)
        elif self.pending and self.before in _INTO and segment.entity and segment.entity.affordances.container:
            self.preposition = "in"
            self._placed(segment.entity, "", ())
        elif self.pending and self.before in _STANDS:
            self.relation = _STANDS[self.before]
            self._anchor(segment.entity)
        else:
            self._thing(segment)

    def _thing(self, segment: Segment) -> None:
        if self.waiting and (segment.entity is None or _can(segment.entity, self.waiting)):
            return self._operate(self.waiting, segment.entity)
        self.waiting = ""
        if _is_plural(segment) and self.number == 1:
            self.number = max(2, self.counts.get(segment.entity.kind, 2))
        if self.pending and self.pending[-1].thing == segment.entity and not _side(segment):
            return
        if self.early != ("", ()):
            (relation, anchors), self.early = self.early, ("", ())
            self.verb_between = False
            self.pending.append(Step(self.mode, segment.entity, relation=relation, anchors=anchors))
            return
        self.verb_between = bool(self.pending) and self.before not in _JOINTS
        self.pending.append(Step(self.mode, segment.entity, side=_side(segment)))
        if self.place_first is not None:
            self._put(self.place_first.preposition, self.place_first.place, self.place_first.place_side)

    def _related(self, relation: str) -> None:
        if self.early[1] or relation == "table center" and not self.pending and not self.steps:
            self.early = (relation, self.early[1])
            return
        self.relation = relation
        if relation == "table center":
            self._update(relation=relation)

    def _anchor(self, entity: Entity | None) -> None:
        last = self._last()
        if last is None or self.early[1] or not self.pending and not self.relation:
            self.early = (self.early[0], (*self.early[1], entity))
            return
        if self.relation == "between" and entity is not None and entity.kind == TABLE:
            return self._update(relation="table center", anchors=())
        anchors = (*(last.anchors if last.relation == self.relation else ()), entity)
        if len(anchors) <= RELATED_TO.get(self.relation, 0):
            self._update(relation=self.relation, anchors=anchors)

    def _last(self) -> Step | None:
        return self.pending[-1] if self.pending else self.steps[-1] if self.steps else None

    def _update(self, **changes) -> None:
        rows = self.pending or self.steps
        if not rows:
            raise _Unclear
        rows[-1] = replace(rows[-1], **changes)

    # --- where it goes ---

    def _to(self, preposition: str, words: tuple[str, ...]) -> None:
        self.beside = ""
        if preposition == "on" and words == ("in",):  # "en el cuenco": what the place is decides
            preposition = ""
        if preposition == "on" and not {"top", "atop", "above"}.isdisjoint(words):
            preposition = "on top of"
        if preposition.startswith("to the ") and not {"of", "side", "behind", "before"} & set(words):
            side = preposition.split()[2]
            if side in words and side in ("left", "right"):  # "on the left plate"
                self.preposition, self.beside = "on", side
                return
        self.preposition = preposition

    def _place(self, segment: Segment, rest: Sequence[Segment]) -> None:
        if segment.words[-1] in ("inside", "atop") and len(segment.words) > 1:  # said after the place
            self.preposition = "in" if segment.words[-1] == "inside" else "on"
        entity, words, side = self._meant_place(segment), segment.words, _side(segment) or self.beside
        self.beside = ""
        if _ON_IT.issuperset(words) and (self.steps or self.place):
            return self._there(side)
        if _ON_IT.issuperset(words) and len(self.pending) == 1 and self.pending[0].relation in ("on", "in"):
            return self._stands_where_it_should()
        if entity is not None and not entity.part and (of := _side_of(words)):
            self.preposition, side = f"to the {of} of", ""
        self._placed(entity, side, rest)

    def _meant_place(self, segment: Segment) -> Entity | None:
        """Of several that a place may be, one that is not moved itself, and that holds things which are to go in it."""
        entity = segment.entity
        if entity is None or entity.part:
            return entity
        moved = {step.thing for step in self.pending if not step.side and not _side(segment)}
        fitting = [
            one
            for one in (entity, *segment.others)
            if one not in moved and (self.preposition != "in" or one.affordances.container)
        ]
        return fitting[0] if fitting else entity

    def _placed(self, place: Entity | None, side: str, rest: Sequence[Segment]) -> None:
        preposition = self.preposition or ("in" if place is not None and place.affordances.container else "on")
        if place is not None and place.kind.endswith("cabinet") and not place.part and preposition in ("on", "in"):
            preposition = "on top of"
        if preposition == "in" and place is not None and not (place.affordances.container or place.part):
            preposition = "on"  # "in the rack"
        if place is not None and place.kind == TABLE and self.steps and not self.pending:
            self.preposition = ""  # "on the plate on the counter"
            return
        if place is not None and place.part and preposition.startswith("to the "):  # "at the back in the drawer"
            self._update(side=preposition.split()[2])
            preposition = "in"
        self.preposition = ""
        more = any(segment.label == "thing" for segment in rest)
        if not self.pending and (self.again or not more) and self.steps and self.steps[-1].action == "put":
            self._moved_on(preposition, place, side)
        elif not self.pending:
            self.place_first = Step("put", preposition=preposition, place=place, place_side=side)
        else:
            self._put(preposition, place, side)
        self.place = place
        self._remember(place)

    def _stands_where_it_should(self) -> None:
        """ "Make sure the bottle is resting on the rack": what was read as where it stands is where it goes."""
        (thing,) = self.pending
        self.pending = [replace(thing, relation="", anchors=())]
        self.preposition = "" if thing.relation == "next to" else thing.relation
        self._placed(thing.anchors[0], "", ())

    def _put(self, preposition: str, place: Entity | None, side: str) -> None:
        pushed = self.mode == "push" or preposition == "to the front of" and not self.verbs.isdisjoint(_MOVING)
        action = "push" if pushed and preposition.startswith("to the") else "put"
        things = self.pending
        if len(things) == 1:
            things = _several(things[0], self.number, place)
        if self.heated and place is not None and place.affordances.switches:
            self._operate("turn on", place)
        for thing in things:
            self.steps.append(replace(thing, action=action, preposition=preposition, place=place, place_side=side))
        self.pending, self.number, self.heated, self.mode, self.verbs = [], 1, False, "put", set()

    def _moved_on(self, preposition: str, place: Entity | None, side: str) -> None:
        """ "take the bowl on the stove and put it on the plate": the place before is where it stands."""
        before = self.steps[-1]
        relation = {"in": "in", "on": "on", "on top of": "on"}.get(before.preposition, "next to")
        where = {} if before.relation else {"relation": relation, "anchors": (before.place,)}
        self.steps[-1] = replace(before, **where, preposition=preposition, place=place, place_side=side)

    def _said_there(self, segment: Segment) -> None:
        if not {"top", "atop", "onto", "on", "upon"}.isdisjoint(segment.words):
            self.preposition = "on top of"
        elif not {"in", "inside", "into", "within"}.isdisjoint(segment.words):
            self.preposition = "in"
        self._there(_side(segment))

    def _there(self, side: str) -> None:
        operated = self.steps[-1].thing if self.steps and self.steps[-1].action in _OPERATIONS else None
        place = operated or self.place
        if place is None and self._is_held_by_the_first():
            return self._without_a_place()
        if place is None:
            raise _Unclear
        if self.pending:
            self._placed(place, side, ())

    # --- the end ---

    def finish(self) -> list[Step]:
        if self.pending and self.steps and self.steps[-1].action in ("open", "turn on"):
            self._there("")
        if not self.steps and self.pending:
            self._without_a_place()
        if len(self.pending) == 1 and self.mode == "pick up":
            self.steps.append(replace(self.pending.pop(), action="pick up"))
        if self.pending or self.waiting or not self.steps:
            raise _Unclear
        if any(len(step.anchors) != RELATED_TO.get(step.relation, 0) for step in self.steps):
            raise _Unclear
        puts = [step for step in self.steps if step.action == "put" and step.relation != "outside"]
        moved = [(step.thing, step.side, step.relation, step.anchors) for step in puts]
        if len(set(moved)) < len(moved):
            raise _Unclear  # the same thing to two places
        return self.steps

    def _without_a_place(self) -> None:
        """What was named, and nowhere to put it, may be asked for in other ways."""
        first = self.pending[0]
        if len(self.pending) == 1 and self.mode == "put" and first.relation in ("on", "in"):
            self._stands_where_it_should()
        elif (
            len(self.pending) == 1
            and _can(first.thing, "turn on")
            and not self.said.isdisjoint(("on", "off", "heating"))
        ):
            self.pending = []
            self._operate("turn off" if "off" in self.said else "turn on", first.thing)
        elif self._is_held_by_the_first():
            self.pending, self.preposition = self.pending[1:], "in"  # "the basket contains both …"
            self._placed(first.thing, "", ())

    def _is_held_by_the_first(self) -> bool:
        first = self.pending[0].thing if len(self.pending) > 1 else None
        return first is not None and first.affordances.container and not self.said.isdisjoint(_HOLDING)


def _can(entity: Entity | None, action: str) -> bool:
    if entity is None:
        return False
    return entity.affordances.opens if action in ("open", "close") else entity.affordances.switches


def _several(thing: Step, number: int, place: Entity | None) -> list[Step]:
    """So many of a kind: two are told apart by their sides, of more the leftmost is taken again and again."""
    if number == 1:
        return [thing]
    if number == 2:
        return [replace(thing, side="left"), replace(thing, side="right")]
    return [replace(thing, side="left", relation="outside", anchors=(place,))] * number


def _is_plural(segment: Segment) -> bool:
    """Whether two of a kind are named: "moka pots"."""
    word, entity = segment.words[-1], segment.entity
    return entity is not None and word.endswith("s") and word[:-1] in entity.label.split()


def _side(segment: Segment) -> str:
    if segment.entity is not None and segment.entity.part:
        return ""
    return next((_SIDE_OF[word] for word in segment.words if word in _SIDE_OF), "")


def _side_of(words: tuple[str, ...]) -> str:
    """ "right" for "the right of the caddy" and "the caddy's right"; empty: the thing itself is meant.

    Raises:
        _Unclear: a side that nothing is put at.
    """
    if "of" in words[1:3] and (before := _SIDE_OF.get(words[words.index("of") - 1], "")):
        if before not in _BESIDE:
            raise _Unclear
        return before
    last = _SIDE_OF.get(words[-1], "")
    return last if last in _BESIDE and len(words) > 1 and words[-2] != "the" else ""
