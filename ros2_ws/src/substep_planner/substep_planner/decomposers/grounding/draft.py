"""What has been understood of a sentence so far, and what "it" and "there" may mean in the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from substep_planner.decomposers.grounding.request import Step, UnclearError
from substep_planner.decomposers.grounding.scene import Entity


@dataclass
class Draft:
    """Steps in the making; the functions that take segments change it. Args: counts: how many there are of each kind,
    where that is known."""

    counts: Mapping[str, int]
    steps: list[Step] = field(default_factory=list)
    pending: list[Step] = field(default_factory=list)  # things without a place so far
    guessed: bool = False  # one of the steps is a guess

    # --- what is heard ---
    before: str = ""  # the word before
    words_before: tuple[str, ...] = ()  # those of the segment before
    after_thing: bool = False
    said: set[str] = field(default_factory=set)  # every word that is no mention
    refused: bool = False  # what follows is what is not to be done

    # --- verbs ---
    mode: str = "put"  # the action of the things that are named next
    verbs: set[str] = field(default_factory=set)  # words of them since the last step
    waiting: str = ""  # an operation whose thing is still to come
    unmet: bool = False  # a verb asked for something that cannot be done with what was named after it
    heated: bool = False  # what is put somewhere is to be heated there

    # --- things, and where they stand ---
    relation: str = ""
    early: tuple[str, tuple[Entity | None, ...]] = ("", ())  # where a thing stands, said before it
    verb_between: bool = False  # the last two things were not named in a row
    put_since: bool = False  # a verb that puts was said since the last thing
    stands_after_verb: bool = False  # where the thing stands was said after such a verb
    comes_from: bool = False  # where the last thing stands is where it is to be taken from
    named_after_verb: Entity | None = None  # where something stands, or perhaps goes

    # --- how many ---
    number: int = 1  # of a kind, that are meant
    counted: set[int] = field(default_factory=set)  # numbers that were understood
    among: bool = False  # "of the three bowls": the number is not of what is moved

    # --- where they go ---
    preposition: str = ""
    inside: bool = False  # "inside" was said, which is more than "in"
    beside: str = ""  # a side that was read as part of a preposition
    place_first: Step | None = None  # where what is named next goes
    place_is_used: bool = True
    place_is_bare: bool = False  # it has no preposition: it may be what is moved

    # --- what may be meant by "it" and "there" ---
    again: bool = False  # "it" was said since the last thing
    place: Entity | None = None
    openable: Entity | None = None
    switched: Entity | None = None
    spoken_of: Entity | None = None  # before it was asked for

    @property
    def last(self) -> Step | None:
        """The one that what is said next is about."""
        rows = self.pending or self.steps
        return rows[-1] if rows else None

    def update_last(self, **changes) -> None:
        """Raises: UnclearError: there is none."""
        if self.last is None:
            raise UnclearError
        rows = self.pending or self.steps
        rows[-1] = replace(rows[-1], **changes)

    def remember(self, entity: Entity | None) -> None:
        """As what may be opened, closed or switched next without its name."""
        if entity is None:
            return
        if entity.affordances.opens:
            self.openable = entity
        if entity.affordances.switches:
            self.switched = entity
