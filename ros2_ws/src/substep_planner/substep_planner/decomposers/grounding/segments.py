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
_EVERY = frozenset(("both", "pair", "each", "all"))
_ITEMS = frozenset("things thing items item objects object pieces ingredients groceries products".split())
_ONE = frozenset(("one", "ones"))
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
_ANYTHING = frozenset("the one ones this that its thing sitting standing located placed".split())
_JOINTS = frozenset("and also both with plus well as the".split())
_INTO = frozenset("in into inside within".split())
_ONTO = frozenset("on onto upon atop".split())
_OWNING = frozenset("its his her their my our your the".split())
_SWITCHED = {
    "going": "turn on",
    "on": "turn on",
    "heating": "turn on",
    "ein": "turn on",
    "an": "turn on",
    "off": "turn off",
    "aus": "turn off",
}
_TURNING = frozenset("turn turning turned switch switching switched power powering".split())
_FILLERS = frozenset("just now only please also so then first next".split())
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


def steps_of(segments: Sequence[Segment], counts: Mapping[str, int]) -> tuple[tuple[Step, ...], float, bool]:
    """The steps, how sure they are, and whether one of them is a guess; none: nothing that can be done is asked for.

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
        return (), 0.0, False
    for segment in segments:
        for word in segment.said.split():
            if (number_of(word) or 0) > 2 and number_of(word) not in builder.counted and not _is_made_of(segment):
                raise ValueError(f"it is not clear what there are to be {word!r} of")
    certainty = 1.0
    for segment in segments:
        if segment.label != "noise":
            certainty *= segment.probability
    return tuple(steps), certainty, builder.guessed


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
    words_before: tuple[str, ...] = ()  # those of the segment before
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
    place_first: Step | None = None  # where what is named next goes
    place_is_used: bool = True
    place_is_bare: bool = False  # it has no preposition: it may be what is moved
    among: bool = False  # "of the three bowls": the number is not of what is moved
    put_since: bool = False  # a verb that puts was said since the last thing
    stands_after_verb: bool = False  # where the thing stands was said after such a verb
    named_after_verb: Entity | None = None  # where something stands, or perhaps goes
    unmet: bool = False  # a verb asked for something that cannot be done with what was named after it
    guessed: bool = False
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
        is_part = segment.entity is not None and bool(segment.entity.part) and bool(self.waiting)  # "open the top one"
        is_there = kind != "place" and words <= _ON_IT and not is_part
        if mentioned and (self.refused or words <= _ANYTHING or is_there):
            self.preposition = ""
            return
        if kind in ("verb", "it", "noise") and words & _ALL and self.steps and not self.pending:
            if self.steps[-1].action == "put":
                raise _Unclear  # a stack cannot be lifted as one
        if (kind in ("verb", "heat", "to") or kind == "thing" and words.isdisjoint(OF_PARTS)) and words & _TWO:
            self._count(segment)
        try:
            self._take(kind, detail, segment, rest)
        finally:
            self.before, self.after_thing = segment.words[-1], kind == "thing"
            self.words_before = segment.words

    def _count(self, segment: Segment) -> None:
        words = segment.words
        said = next((n for word in segment.said.split() if (n := number_of(word) or 0) > 1), 2)
        if "times" in segment.said.split():
            return  # "put it there 5 times" says of nothing how many there are to be
        self.counted.add(said)
        if not _ITEMS.isdisjoint(words):
            return  # "put two things in the basket: the soup and the sauce"
        if "two" in words and "of" in words[: words.index("two")] and _EVERY.isdisjoint(words):
            self.among = True
            return
        self.number = max(said, self.number)  # "both", or what other languages have for it, may come after a number

    def _negation(self, kind: str, words: set[str]) -> None:
        self.refused = not words.isdisjoint(_NO) and "forget" not in words
        if self.refused and kind == "verb" and not self.steps and not self.pending:
            raise _Unclear

    def _take(self, kind: str, detail: str, segment: Segment, rest: Sequence[Segment]) -> None:
        words = set(segment.words)
        match kind:
            case "verb":
                self.verbs |= set(segment.words)
                self.put_since = detail == "put" and bool(self.pending)
                if not self._is_rest_of_a_verb(detail, segment.words):
                    self._verb(detail, segment.words, rest)
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
                if self.waiting == "turn on" and "off" in words:
                    self.waiting = "turn off"
                elif segment.words == ("close",) and not (self.pending or self.steps):
                    self.waiting = "close"
                elif self.named_after_verb is not None and detail in ("on", "in") and "的" not in segment.said:
                    self.preposition = detail  # "杯子放盘子上": the place, and then what says so
                    self._placed(self.named_after_verb, "", rest)
                else:
                    self._related(detail)
                self.named_after_verb = None
            case "anchor":
                self._anchor(segment)
            case "to":
                self._to(detail, segment.words)
            case "place":
                self._place(segment, rest)
            case "there":
                self._said_there(segment)
            case "aside":
                self.preposition = _with_the_side_said(detail, segment.words)
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

    def _verb(self, action: str, words: tuple[str, ...], rest: Sequence[Segment]) -> None:
        if action == "cannot":
            raise _Unclear
        if action not in _OPERATIONS:
            if not self.waiting or not _FILLERS.issuperset(words):  # "open just the top drawer"
                self.mode, self.waiting = action, ""
            return
        if action == "close" and not self.verbs.isdisjoint(_OPENING) and self.verbs.isdisjoint(_CLOSING):
            action = "open"
        if self.pending and _can(self.pending[-1].thing, action):
            return self._operate(action, self.pending.pop().thing)
        after = (s for s in rest if not (s.label.startswith("verb") and _FILLERS.issuperset(s.words)))
        following = next((s for s in after if s.label in ("thing", "it") or s.label.startswith(("verb", "to"))), None)
        is_named = following is not None and following.label == "thing"
        if is_named and _can(following.entity, "open") and not _CLOSING.isdisjoint(words):
            action = "close"  # "shut" is said of stoves as well
        if action == "turn on" and is_named and following.entity and not following.entity.affordances.fixed:
            self.heated, self.mode = True, "put"  # "heat up the pot on the stove"
            return
        if is_named and (following.entity is None or _can(following.entity, action)):
            self.waiting = action
            return
        if self._is_named_otherwise(action, rest):
            self.waiting = action
            return
        last = self.openable if action in ("open", "close") else self.switched
        if last is None and is_named:
            self.waiting, self.unmet = (
                "",
                True,
            )  # "I need the stove turned on": what is to be done with it comes after it
        else:
            self._operate(action, last)

    def _is_named_otherwise(self, action: str, rest: Sequence[Segment]) -> bool:
        """Whether the first thing named before the next verb was read as a place, and can be operated: "cierra la
        puerta del microondas"."""
        for segment in rest:
            if segment.label in ("thing", "it", "there") or segment.label.startswith("verb"):
                return False
            if segment.label in ("place", "anchor"):
                return not self.pending and _can(segment.entity, action)
        return False

    def _operate(self, action: str, thing: Entity | None) -> None:
        if thing is None and self.waiting != action:
            raise _Unclear
        self.waiting, self.verbs, self.unmet = "", set(), False
        if not any(step.action == action and step.thing == thing for step in self.steps):
            self.steps.append(Step(action, thing))
        self._remember(thing)

    def _first_it(self) -> None:
        """ "After you finish with the bowl please put it on the plate"."""
        if self.place_is_bare and self.place_first and not (self.steps or self.pending or self.waiting):
            self.spoken_of, self.place_first, self.place_is_bare = self.place_first.place, None, False
            self.place, self.place_is_used = None, True
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
            self._anchor(segment)
        elif self.pending and (preposition := self._said_before(segment.entity)):
            self.preposition = preposition
            self._placed(segment.entity, "", ())
        elif self.pending and self.before in _STANDS:
            self.relation = _STANDS[self.before]
            self._anchor(segment)
        else:
            self._thing(segment)

    def _said_before(self, entity: Entity | None) -> str:
        """The preposition at the end of the words before, where something can be put there: "… belongs in its rack"."""
        word = next((one for one in reversed(self.words_before) if one not in _OWNING), "")
        if entity is None or not (entity.part or entity.affordances.container or entity.affordances.fixed):
            return ""
        return "in" if word in _INTO else "on" if word in _ONTO and not entity.affordances.container else ""

    def _thing(self, segment: Segment) -> None:
        if self._is_switched_by_its_last_word(segment):
            return
        if self.waiting and (segment.entity is None or _can(segment.entity, self.waiting)):
            return self._operate(self.waiting, segment.entity)
        self.waiting = ""
        if self.stands_after_verb and len(self.pending) == 1 and self.pending[0].relation in ("on", "in"):
            self._stands_where_it_should()  # "the mug, put on the plate, the pudding …"
        self.put_since = self.stands_after_verb = False
        if _is_plural(segment) and self.number == 1 and not self.among:
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
            self.place_is_used = True
            self._put(self.place_first.preposition, self.place_first.place, self.place_first.place_side)

    def _is_switched_by_its_last_word(self, segment: Segment) -> bool:
        """ "Get the burner going", "schalte den Herd ein"."""
        action = _SWITCHED.get(segment.words[-1], "")
        if len(segment.words) == 1 or not action or not _can(segment.entity, action):
            return False
        self._operate(action, segment.entity)
        return True

    def _related(self, relation: str) -> None:
        if self.early[1] or relation == "table center" and not self.pending and not self.steps:
            self.early = (relation, self.early[1])
            return
        self.relation = relation
        if relation == "table center":
            self._update(relation=relation)

    def _anchor(self, segment: Segment) -> None:
        entity = segment.entity
        if self.waiting and _can(entity, self.waiting) and not self.pending:
            return self._operate(self.waiting, entity)
        if self.pending and entity is not None and entity.part and (side := _side_alone(segment)):
            self.relation = ""  # "the one in the middle" is no drawer
            return self._update(side=side)
        if self.put_since and self.pending and not self.relation:
            self.named_after_verb = entity
        self.stands_after_verb = self.stands_after_verb or self.put_since
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
        if words == ("at",):
            raise _Unclear  # "throw the bowl at the plate"
        preposition = _with_the_side_said(preposition, words)
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
        if self.waiting and not self.pending and _can(segment.entity, self.waiting):
            self.preposition = ""
            return self._operate(self.waiting, segment.entity)
        if self.preposition == "on" and not self.pending and not self.verbs.isdisjoint(_TURNING):
            if _can(segment.entity, "turn on"):
                self.preposition = ""  # "start by turning on the stove"
                return self._operate("turn on", segment.entity)
        if segment.words[-1] in ("inside", "atop") and len(segment.words) > 1:  # said after the place
            self.preposition = "in" if segment.words[-1] == "inside" else "on"
        if segment.entity is not None and not segment.entity.part and _ONE.isdisjoint(segment.words):
            if side := _side_alone(segment):
                return self._on_a_side(side)
        entity, words, side = self._meant_place(segment), segment.words, _side(segment) or self.beside
        self.beside = ""
        if _ON_IT.issuperset(words) and (self.steps or self.place):
            return self._there(side)
        if _ON_IT.issuperset(words) and len(self.pending) == 1 and self.pending[0].relation in ("on", "in"):
            return self._stands_where_it_should()
        if self.pending and not _ONE.isdisjoint(words) and (one := _side_alone(segment)):
            entity, side = self.pending[-1].thing, one  # "the front bowl on the middle one"
        if entity is not None and not entity.part and (of := _side_of(words)):
            self.preposition, side = f"to the {of} of", ""
        self._placed(entity, side, rest)

    def _on_a_side(self, side: str) -> None:
        """ "… one on the plate on the right": the side of the place named before.

        Raises: _Unclear: none was.
        """
        self.beside = ""
        if len(self.pending) == 1 and self.pending[0].relation in ("on", "in", "next to") and self.pending[0].anchors:
            return self._stands_where_it_should(side)
        if self.pending or self.steps and self.steps[-1].action in ("put", "push"):
            self.preposition = ""
            return self._update(side=side) if self.pending else self._update(place_side=side)
        if self.place is None:
            raise _Unclear
        self._there(side)

    def _meant_place(self, segment: Segment) -> Entity | None:
        """Of several that a place may be, one that is not moved itself, and that holds things which are to go in it."""
        entity = segment.entity
        if entity is None or entity.part:
            return entity
        moving = self.pending or self.steps[-1:]
        moved = {step.thing for step in moving if not step.side and not _side(segment)}
        fitting = [
            one
            for one in (entity, *segment.others)
            if one not in moved and (self.preposition != "in" or one.affordances.container)
        ]
        return fitting[0] if fitting else entity

    def _placed(self, place: Entity | None, side: str, rest: Sequence[Segment]) -> None:
        bare = not self.preposition
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
            self.place_is_used, self.place_is_bare = False, bare
        else:
            self._put(preposition, place, side)
        self.place = place
        self._remember(place)

    def _stands_where_it_should(self, side: str = "") -> None:
        """ "Make sure the bottle is resting on the rack": what was read as where it stands is where it goes."""
        (thing,) = self.pending
        self.pending = [replace(thing, relation="", anchors=())]
        self.preposition = "" if thing.relation == "next to" else thing.relation
        self._placed(thing.anchors[0], side, ())

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

    def _is_switched_on_there(self, words: tuple[str, ...]) -> bool:
        """ "Switch the stove on": what was read as a place says which way."""
        action = _SWITCHED.get(words[-1], "") if len(words) == 1 else ""
        if not action or not self.after_thing:
            return False
        if self.pending and _can(self.pending[-1].thing, action):
            self._operate(action, self.pending.pop().thing)
            return True
        last = self.steps[-1] if self.steps and not self.pending else None
        if last is None or last.action not in ("turn on", "turn off"):
            return False
        self.steps[-1] = replace(last, action=action)
        return True

    def _said_there(self, segment: Segment) -> None:
        if self._is_switched_on_there(segment.words):
            return
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
        if self.pending and self.place is not None and "same" in self.said:
            self._there("")
        if not self.steps and self.pending:
            self._without_a_place()
        if len(self.pending) == 1 and self.mode == "pick up":
            self.steps.append(replace(self.pending.pop(), action="pick up"))
        if not self.place_is_used and not self.pending:
            self._put_what_was_spoken_of()
        if self.pending or self.waiting or self.unmet or not self.steps:
            raise _Unclear
        if any(len(step.anchors) != RELATED_TO.get(step.relation, 0) for step in self.steps):
            raise _Unclear
        puts = [step for step in self.steps if step.action == "put" and step.relation != "outside"]
        moved = [(step.thing, step.side, step.relation, step.anchors) for step in puts]
        if len(set(moved)) < len(moved):
            raise _Unclear  # the same thing to two places
        return self.steps

    def _put_what_was_spoken_of(self) -> None:
        """A place was named and nothing to put there: perhaps what was spoken of, but that is a guess.

        Raises: _Unclear: nothing was.
        """
        at, thing = self.place_first, self.spoken_of
        if thing is None and any(step.action == "open" and step.thing == at.place for step in self.steps):
            return  # "I want to see what is in the drawer, open it"
        if thing is None or thing == at.place:
            raise _Unclear
        self.guessed = True
        self.steps.insert(0, replace(at, thing=thing))

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


def _with_the_side_said(preposition: str, words: Sequence[str]) -> str:
    """ "to the left of" and the like, with the side that is among its words, if one is."""
    said = {_SIDE_OF[word] for word in words if word in _SIDE_OF}.intersection(_BESIDE)
    return f"to the {said.pop()} of" if preposition.startswith("to the ") and len(said) == 1 else preposition


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


def _side_alone(segment: Segment) -> str:
    """The side, where a phrase has words for a side and for nothing else: "the middle one"."""
    rest = [word for word in segment.words if word not in _ANYTHING and word not in ("side", "hand")]
    return _SIDE_OF.get(rest[0], "") if len(rest) == 1 else ""


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
