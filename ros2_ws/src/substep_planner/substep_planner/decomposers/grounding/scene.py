"""What there is to name in a scene, as the embedded language model sees it: things and their parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from substep_core.language.nouns import NOUNS, PARTS, Affordances, affordances_of, names_of

NO_NOUNS: Mapping[str, str] = MappingProxyType({})
TABLE = "table"  # every scene has one
_GROUND = ("table", "floor")  # how LIBERO calls what everything stands on
# Sides by which parts of one kind are told apart.
PART_SIDES = {"drawer": ("top", "middle", "bottom"), "compartment": ("left", "right", "front", "back")}


@dataclass(frozen=True)
class Entity:
    """A kind of thing, or one of its parts.

    Attributes:
        kind: LIBERO's category, or another name with underscores.
        part: for example "top drawer"; empty: the whole thing.
    """

    kind: str
    part: str = ""

    @cached_property
    def affordances(self) -> Affordances:
        return affordances_of((self.part or self.kind.replace("_", " ")).split()[-1])

    @cached_property
    def head(self) -> str:
        """The noun that says what it is: "drawer", "mug"."""
        return (self.part or self.names[0]).split()[-1]

    @cached_property
    def holds_perhaps(self) -> bool:
        """Whether something may be put in it: a container, or a thing of one's own of which nothing is known."""
        return (
            self.affordances.container
            or bool(self.part)
            or (not names_of(self.kind) and self.affordances == Affordances())
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What plans call the whole thing."""
        return tuple(names_of(self.kind)) or (self.kind.replace("_", " "),)

    @cached_property
    def label(self) -> str:
        """Words that say what it is, for the model: every name that plans have for it, and its category's."""
        names = self.names
        words = dict.fromkeys(" ".join([*names, self.kind.replace("_", " ")]).split())
        return " ".join([*self.part.split(), *(word for word in words if not word.isdigit())])


def entities_of(categories: Iterable[str]) -> tuple[Entity, ...]:
    """Everything that can be named in a scene with things of these categories, in a fixed order."""
    found = []
    for kind in sorted({*(kind for kind in categories if not kind.endswith(_GROUND)), TABLE}):
        found.append(Entity(kind))
        head = kind.split("_")[-1]
        for part in PARTS:
            if affordances_of(part).part_of == head:
                found += [Entity(kind, f"{side} {part}") for side in PART_SIDES[part]]
    return tuple(found)


ALL_CATEGORIES = frozenset(category for noun in NOUNS.values() for category in noun.categories)


def noun_for(
    kind: str, categories: frozenset[str], said: str = "", *, vague: bool = False, usual: Mapping[str, str] = NO_NOUNS
) -> str:
    """The noun that a plan uses for a kind: the usual one, the one that was said, else the plainest; in this order the
    first that means nothing else here.

    Args:
        vague: what was said may mean other things here as well.
        usual: kind -> the noun that plans use where the policy was trained.
    """
    names = [name for name, noun in NOUNS.items() if kind in noun.categories]
    if not names:
        return kind.replace("_", " ")
    clear = [name for name in names if len(categories.intersection(NOUNS[name].categories)) <= 1] or names[-1:]
    if usual.get(kind) in clear and not vague:
        return usual[kind]
    if spoken := [name for name in (names if vague else clear) if f" {name} " in f" {said} "]:
        return max(spoken, key=len)
    if vague:
        widest = max(names, key=lambda name: len(categories.intersection(NOUNS[name].categories)))
        return widest if widest not in clear or usual.get(kind) not in clear else usual[kind]
    head = kind.split("_")[-1]
    return next((name for name in clear if name.split()[-1] == head and not head.endswith("s")), clear[0])
