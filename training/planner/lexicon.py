"""How people talk in one language: templates of sentences, and words for things."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from substep_core.yaml_mapping import read_mapping

_FEW = 4  # entries of a list from which on some are left out


@dataclass(frozen=True)
class Words:
    """How one kind of thing is called, a row of things_….yaml."""

    names: tuple[str, ...]
    heads: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    many: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """Attributes:

    language: "en" and the like.
    templates: of wordings_….yaml; ``lexicon.PUT`` are those of "put".
    things: kind -> words for it.
    """

    language: str
    templates: Mapping[str, Any]
    things: Mapping[str, Words]

    def __getattr__(self, name: str) -> Any:
        if not name.isupper():
            raise AttributeError(name)
        return self.templates[name.lower()]

    def thinned(self, share: float, seed: int) -> Lexicon:
        """Without a share of all templates and words, each thing keeping its first name."""
        generator = random.Random(seed)
        things = {
            kind: Words(
                words.names[:1] + _fewer(words.names[1:], share, generator),
                *(_fewer(row, share, generator) for row in (words.heads, words.looks, words.holds, words.uses)),
                words.many,
            )
            for kind, words in self.things.items()
        }
        drawn_from = {key: value for key, value in self.templates.items() if key != "numbers"}  # no sentence has them
        return replace(self, templates=_thinned(drawn_from, share, generator), things=things)


@cache
def load(language: str = "en") -> Lexicon:
    """Raises: ValueError: there are no words of that language, or a file of them is damaged."""
    folder = Path(__file__).parent
    templates = read_mapping(folder / f"wordings_{language}.yaml", "templates by their names")
    rows = read_mapping(folder / f"things_{language}.yaml", "words for kinds of things")
    things = {
        kind: Words(**{("uses" if key == "for" else key): tuple(map(str, value)) for key, value in row.items()})
        for kind, row in rows.items()
    }
    return Lexicon(language, templates, things)


def _thinned(item: Any, share: float, generator: random.Random) -> Any:
    if isinstance(item, (str, bool)):
        return item
    if isinstance(item, Mapping):
        return {key: _thinned(value, share, generator) for key, value in item.items()}
    return list(_fewer(tuple(item), share, generator))


def _fewer(items: tuple[str, ...], share: float, generator: random.Random) -> tuple[str, ...]:
    """In their order; what stands there several times goes or stays together."""
    if len(items) < _FEW:
        return items
    kept = {item for item in dict.fromkeys(items) if generator.random() >= share}
    return tuple(item for item in items if item in kept) or items[:1]
