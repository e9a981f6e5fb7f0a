"""Words of a sentence that belong together, with what they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from substep_planner.decomposers.grounding.scene import Entity

# What is moved or operated, what it stands at, where it goes; what is named in a request that cannot be met.
MENTIONS = ("thing", "anchor", "place", "other")
NAMED = MENTIONS[:3]  # those that take part in what is asked for
_PART_WORDS = frozenset(
    "drawer drawers compartment layer section slot storage space area part partition division".split()
)
_OWNERS = frozenset("cupboard dresser furniture unit organizer holder".split())


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


def whole(segment: Segment) -> Segment:
    """The segment, without a part that its words do not name: "the top of the cabinet" is no drawer."""
    entity = segment.entity
    if entity is None or not entity.part or not _PART_WORDS.isdisjoint(segment.words):
        return segment
    owner = Entity(entity.kind)
    named = any(word in _OWNERS or word.removesuffix("s") in owner.label.split() for word in segment.words)
    return replace(segment, entity=owner) if named else segment
